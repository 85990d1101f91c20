package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Local is a control plane in the network namespace of a test.
type Local struct {
	*Server
	t testing.TB
	// Dir has the files of the control plane.
	Dir      string
	binaries string
}

// StartLocal starts a control plane at an address of this process, for one test. The manifest is the path of Lanlord's
// manifest, empty for none.
func StartLocal(t testing.TB, addr netip.Addr, manifest string) *Local {
	t.Helper()
	binaries, err := Binaries()
	if err != nil {
		t.Fatal(err)
	}
	l := &Local{t: t, Dir: t.TempDir(), binaries: binaries}
	l.Server = New(Options{Binaries: binaries, Dir: l.Dir, Manifest: manifest})
	t.Cleanup(l.Close)
	if err := l.Start(t.Context(), Place{Addr: addr, Start: StartProcess, Dial: new(net.Dialer).DialContext}); err != nil {
		t.Fatal(err)
	}
	return l
}

// StartProcess starts a process that ends with this one.
func StartProcess(c *exec.Cmd) error {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c.Start()
}

// URL returns the address of the API server for clients.
func (l *Local) URL() string { return l.url() }

// Hyperkube returns the path of the program that has Kubernetes' programs in it.
func (l *Local) Hyperkube() string { return filepath.Join(l.binaries, "hyperkube") }

// Kubectl runs kubectl as administrator, and returns what kubectl printed.
func (l *Local) Kubectl(args ...string) (string, error) {
	command := exec.CommandContext(l.t.Context(), l.Hyperkube(),
		append([]string{"kubectl", "--kubeconfig", l.Kubeconfig("admin"), "--cache-dir", filepath.Join(l.Dir, "cache")}, args...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

// Kustomize renders an overlay in a folder.
func Kustomize(t testing.TB, folder string) []byte {
	t.Helper()
	binaries, err := Binaries()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), filepath.Join(binaries, "hyperkube"), "kubectl", "kustomize", folder).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize %s: %v", folder, err)
	}
	return text
}
