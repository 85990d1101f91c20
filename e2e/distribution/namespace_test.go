package distribution

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
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
	*controlplane.Server
	t        *testing.T
	binaries string
	dir      string
}

// startServer starts a control plane for one test.
func startServer(t *testing.T) *server {
	t.Helper()
	binaries, err := controlplane.Binaries()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, binaries: binaries, dir: t.TempDir()}
	s.Server = controlplane.New(controlplane.Options{Binaries: binaries, Dir: s.dir})
	t.Cleanup(s.Close)
	err = s.Start(t.Context(), controlplane.Place{
		Addr: self.Addr(), Start: start,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts a process that ends with this one.
func start(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c.Start()
}

// kubectl runs kubectl as administrator and returns what kubectl printed.
func (s *server) kubectl(args ...string) (string, error) {
	command := exec.CommandContext(s.t.Context(), filepath.Join(s.binaries, "hyperkube"),
		append([]string{"kubectl", "--kubeconfig", s.Kubeconfig("admin"), "--cache-dir", filepath.Join(s.dir, "cache")}, args...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

// must is kubectl for what has to succeed.
func (s *server) must(args ...string) string {
	s.t.Helper()
	out, err := s.kubectl(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}
