package soak

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// TestSoak is the short soak: a minute of faults of one seed, with the real programs.
func TestSoak(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("takes minutes; this is -short")
	case os.Geteuid() != 0:
		t.Skip("network namespaces are made by root")
	}
	programs, logs := t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", programs, "./cmd/controller", "./cmd/speaker")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	report, err := Run(t.Context(), Options{
		Speaker: filepath.Join(programs, "speaker"), Controller: filepath.Join(programs, "controller"),
		Seed: 1, Duration: 75 * time.Second, Nodes: 3, Services: 12, Kinds: Kinds(), Logs: logs, Progress: t.Output(),
	})
	if report != nil {
		if err := report.Write(t.Output(), "under test"); err != nil {
			t.Error(err)
		}
		for _, v := range report.Violations {
			t.Error(v)
		}
	}
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		if err := wire.WriteLogs(t.Output(), logs); err != nil {
			t.Error(err)
		}
		return
	}
	if !report.Settled || report.faults() < 5 || report.Deeds < 10 || len(report.Assigned) < 10 || len(report.Usage) < 3 {
		t.Errorf("nothing much happened: %+v", report)
	}
}
