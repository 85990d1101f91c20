// Package metallb finds the modules of MetalLB, which the folders beside this file name, one for each version.
package metallb

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Folder downloads MetalLB's module and returns the folder of the module. here is the path of this package, and version is
// the name of a folder in here, like "v0.13".
func Folder(ctx context.Context, here, version string) (string, error) {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", "go.universe.tf/metallb")
	download.Dir = filepath.Join(here, version)
	out, err := download.Output()
	if err != nil {
		return "", fmt.Errorf("download MetalLB %s: %w\n%s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("download MetalLB %s: %w", version, err)
	}
	return module.Dir, nil
}

// NativeManifest returns the path of the manifest in the folder of the module that installs MetalLB v0.13 and later
// without FRR.
func NativeManifest(folder string) string {
	return filepath.Join(folder, "config", "manifests", "metallb-native.yaml")
}
