package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestBadFlags(t *testing.T) {
	for _, c := range []struct{ flag, problem string }{
		{"-services=many", `"many" is no number of Services`},
		{"-services=0", `"0" is no number of Services`},
		{"-services=1,99999", `"99999" is no number of Services`},
		{"-changes=0", "no changes"},
		{"-nodes=0", "no other Nodes"},
		{"-binaries=/nonexistent", "/nonexistent"},
		{"-only=rest,sleep", `no part is called "sleep"; there are rest, arp, crash, create`},
		{"-turns=0", "no turns"},
		{"-metallb-speaker=.", "MetalLB needs"},
		{"-before=/nonexistent", "/nonexistent/controller"},
		{"more", `unexpected argument "more"`},
	} {
		var stdout, stderr bytes.Buffer
		err := run(context.Background(), []string{"-controller=.", "-speaker=.", "-manifest=.", "-binaries=.", c.flag}, &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v", c.flag, err)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: printed %q", c.flag, stdout.String())
		}
	}
}
