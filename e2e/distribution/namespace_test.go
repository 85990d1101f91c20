package distribution

import (
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"github.com/lanlord/lanlord/e2e/controlplane"
	"github.com/lanlord/lanlord/e2e/inside"
)

// self is the address of the only node, outside of the range of cluster IPs.
var self = netip.MustParsePrefix("192.168.77.1/24")

// TestMain runs the tests in a process with a network and with mounts of its own.
func TestMain(m *testing.M) {
	inside.Main(m, inside.Options{Programs: []string{"./cmd/speaker"}, Build: compileHelm, Prepare: prepare, Mounts: true})
}

// compileHelm lets helm.sh compile each Helm, out here.
func compileHelm(string) error {
	for _, major := range helms {
		command := exec.Command("../helm.sh", "version")
		command.Env = append(command.Environ(), "LANLORD_HELM="+major)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("compile Helm %s: %w\n%s", major, err, out)
		}
	}
	return nil
}

// prepare makes an interface with the node's address, and an empty /run, where pods find their ServiceAccount's token.
func prepare() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("detach from the machine's mounts: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount an empty /run: %w", err)
	}
	if err := inside.LAN(self); err != nil {
		return err
	}
	// Cluster IPs have no route of their own: packets to them leave by the default route, and the service proxy changes their
	// destination before.
	return exec.Command("ip", "route", "add", "default", "via", self.Addr().Next().String()).Run()
}

// server is a control plane without Lanlord's objects.
type server struct {
	*controlplane.Local
	t *testing.T
}

// startServer starts a control plane for one test.
func startServer(t *testing.T) *server {
	t.Helper()
	return &server{controlplane.StartLocal(t, self.Addr(), ""), t}
}

// must is kubectl for what has to succeed.
func (s *server) must(args ...string) string {
	s.t.Helper()
	out, err := s.Kubectl(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}
