package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
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
	if o, err := parse(strings.Fields("-faults busy,stop -busy 3m -from a,b"), t.Output()); err != nil || o.faults[0].Hold != 3*time.Minute ||
		o.faults[1].Hold == 3*time.Minute || !slices.Equal(o.from, []string{"a", "b"}) {
		t.Errorf("%+v, %v", o, err)
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

// TestFrom prints one table of the rounds in two files, and names the line that is none.
func TestFrom(t *testing.T) {
	first, second := filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	for _, path := range []string{first, second} {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r := wire.Record{Result: wire.Result{Fault: "crash", Nodes: 3, Gap: 7 * time.Millisecond, Addr: netip.MustParseAddr("192.0.2.1")}}
		for range 2 {
			if err := r.Write(file); err != nil {
				t.Fatal(err)
			}
			r.Failed = path == second
		}
		file.Close()
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"-from", first + "," + second}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	if want := "crash 3 3 1 7 7 7 "; !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
	if err := os.WriteFile(second, []byte("{}\n{\"Gap\": \"no\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-from", second}, &out, t.Output()); err == nil || !strings.Contains(err.Error(), second+": record 2: ") {
		t.Errorf("%v", err)
	}
}
