package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	o, err := parse(strings.Fields("-speaker /s -rounds 2 -sizes 3,10 -faults stop,crash -ipv6 2"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if o.Speaker != "/s" || o.rounds != 2 || !slices.Equal(o.sizes, []int{3, 10}) || o.IPv4 != 12 || o.IPv6 != 2 {
		t.Errorf("%+v", o)
	}
	if len(o.faults) != 2 || o.faults[0].Name != "stop" || o.faults[1].Name != "crash" {
		t.Errorf("faults %+v", o.faults)
	}
	for args, want := range map[string]string{
		"-sizes 3,x":     `"x" is no number of nodes`,
		"-sizes 1":       `"1" is no number of nodes`,
		"-faults flood":  `no fault is called "flood"`,
		"-rounds 0":      "no rounds",
		"-many 0":        "no rounds, or not many addresses",
		"-unknown":       "not defined",
		"crash":          `unexpected argument "crash"`,
		"-rounds 2 more": `unexpected argument "more"`,
	} {
		if _, err := parse(strings.Fields(args), t.Output()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
