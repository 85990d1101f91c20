package privilege

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/lanlord/lanlord/e2e/inside"
	"github.com/lanlord/lanlord/e2e/metallb"
)

// self is the address of this machine's only node, with a LAN of its own.
var self = netip.MustParsePrefix("10.99.0.1/24")

// TestMain runs the tests in a network namespace with a LAN of its own.
func TestMain(m *testing.M) {
	inside.Main(m, inside.Options{
		Programs: []string{"./cmd/controller", "./cmd/speaker", "./cmd/kubectl-lanlord"}, Build: fetchAll,
		Prepare: func() error { return inside.LAN(self) },
	})
}

// fetchAll writes the manifests of MetalLB into the folder.
func fetchAll(folder string) error {
	for _, version := range metallbVersions {
		module, err := metallb.Folder(context.Background(), "../metallb", version)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(metallb.NativeManifest(module))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, version+".yaml"), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// metallbVersions are the versions of MetalLB whose CustomResourceDefinitions the tests have.
var metallbVersions = []string{"v0.13", "v0.15", "v0.16"}
