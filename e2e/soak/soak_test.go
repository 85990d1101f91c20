package soak

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

// TestSoak is the short soak: a minute or so of faults of one seed, with the real programs.
func TestSoak(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("takes minutes; this is -short")
	case os.Geteuid() != 0:
		t.Skip("network namespaces are made by root")
	}
	programs := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", programs, "./cmd/controller", "./cmd/speaker")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	for _, test := range []struct {
		name     string
		kinds    []fault.Kind
		duration time.Duration
	}{
		{"all", namespaceRules().Kinds(), 75 * time.Second},
		// What needs the most of the machine is not left to the seed.
		{"inputs that differ", []fault.Kind{"config-restart", "config-rollout", "secret-gone", "watch-points", "kernel-address", "gossip-start"}, 75 * time.Second},
		{"memory and certificates", []fault.Kind{"squeeze", "oom", "certificate"}, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			soak(t, Options{
				Seed: 1, Duration: test.duration, Nodes: 3, Services: 12, Kinds: test.kinds, Logs: t.TempDir(), Progress: t.Output(),
			}, Namespaces(filepath.Join(programs, "speaker"), filepath.Join(programs, "controller")))
		})
	}
}

// soak soaks, and fails for each violation, or if nothing much happened.
func soak(t *testing.T, o Options, site Site) {
	t.Helper()
	report := UnderTest(t, o, site)
	if t.Failed() {
		if err := wire.WriteLogs(t.Output(), o.Logs); err != nil {
			t.Error(err)
		}
		return
	}
	if !report.Settled || report.faults() < 5 || report.Deeds < 10 || len(report.Assigned) < 10 || len(report.Usage) < 3 {
		t.Errorf("nothing much happened: %+v", report)
	}
	for k, tally := range report.Faults {
		if len(o.Kinds) < 5 && k != "none" && tally.Count == 0 && !report.without(k) {
			t.Errorf("%s did not happen", k)
		}
	}
}
