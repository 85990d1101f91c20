package soak

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// TestLeaks finds what grows, and leaves alone what comes and goes.
func TestLeaks(t *testing.T) {
	for _, test := range []struct {
		name, want string
		use        func(i int) Usage
	}{
		{"flat", "", func(i int) Usage {
			return Usage{RSS: 3e7 + float64(i%5)*1e6, Heap: 1e7, Goroutines: 50 + i%30, Files: 20, Sockets: 10, Series: 300}
		}},
		{"goroutines", "goroutines", func(i int) Usage { return Usage{Goroutines: 50 + i} }},
		{"sockets", "sockets", func(i int) Usage { return Usage{Files: 20, Sockets: 5 + i} }},
		{"series", "series", func(i int) Usage { return Usage{Series: 100 + 4*i} }},
		{"memory", "heap", func(i int) Usage { return Usage{Heap: 1e7 + 2e5*float64(i)} }},
	} {
		var samples []Usage
		for i := range 90 {
			u := test.use(i)
			u.At = time.Duration(i) * 5 * time.Second
			samples = append(samples, u)
		}
		if got := strings.Join(leaks(samples), "; "); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
	}
}

// TestMeasure measures this process.
func TestMeasure(t *testing.T) {
	u, err := measure(t.Context(), os.Getpid(), func(context.Context) (string, error) {
		return "# HELP x\ngo_goroutines 12\ngo_memstats_heap_inuse_bytes 1.5e+06\nx{a=\"b c\"} 1\n", nil
	})
	if err != nil || u.RSS < 1e6 || u.Files < 3 || u.Goroutines != 12 || u.Heap != 1.5e6 || u.Series != 3 {
		t.Errorf("measured %+v, error %v", u, err)
	}
	if wire.Starved(os.Getpid()) < 0 {
		t.Error("waited for less than nothing")
	}
}
