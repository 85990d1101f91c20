package vm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/e2e/inside"
)

// TestArchitectures starts the daemons of the other architectures, translated by QEMU: both print their version, and the
// controller checks the example of a configuration.
func TestArchitectures(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles both daemons for two architectures, left out with -short")
	}
	for arch, emulator := range architectures {
		t.Run(arch, func(t *testing.T) {
			dir := inside.File(arch)
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("no %s: e2e/packages.sh qemu-user-static installs it on Debian", emulator)
			}
			for _, c := range []struct{ program, arg, value, says string }{
				{"speaker", "--version", "", "lanlord-speaker"},
				{"controller", "--version", "", "lanlord-controller"},
				{"controller", "--check-config", "../../deploy/config.example.yaml", "production"},
			} {
				args := []string{filepath.Join(dir, c.program), c.arg}
				if c.value != "" {
					args = append(args, c.value)
				}
				out, err := exec.CommandContext(t.Context(), emulator, args...).CombinedOutput()
				if err != nil || !strings.Contains(string(out), c.says) {
					t.Errorf("%s %s: %v\n%.2000s", c.program, c.arg, err, out)
				}
			}
		})
	}
}
