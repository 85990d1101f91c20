package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

// TestHelp asks each command for its flags, where others have their target.
func TestHelp(t *testing.T) {
	for _, command := range []string{"arp", "ndp", "http", "udp", "stream"} {
		if err := run(t.Context(), []string{command, "-h"}, strings.NewReader(""), io.Discard); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s -h: %v, want %v", command, err, flag.ErrHelp)
		}
	}
}
