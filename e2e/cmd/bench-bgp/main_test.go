package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-speaker /s -rounds 2 -only crash,busy -busy 30m -v"), t.Output())
	if err != nil || o.Speaker != "/s" || o.Rounds != 2 || !slices.Equal(o.names, []string{"crash", "busy"}) ||
		o.Busy != 30*time.Minute ||
		!o.verbose {
		t.Errorf("%+v, %v", o, err)
	}
	for args, want := range map[string]string{
		"-rounds 0":        "no rounds",
		"-prefixes 100000": "not 1 to 30000 prefixes",
		"-unknown":         "not defined",
		"crash":            `unexpected argument "crash"`,
	} {
		if _, err := parse(strings.Fields(args), t.Output()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
