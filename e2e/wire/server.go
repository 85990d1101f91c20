package wire

import (
	"context"
	"net"
	"net/netip"
	"os/exec"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// Server is what a laboratory has as its API server.
type Server interface {
	// Start starts it on a host. It is called once, before the others.
	Start(*Host) error
	// Put creates objects.
	Put(...runtime.Object) error
	// Kubeconfig is the file by which speakers find it.
	Kubeconfig() string
	// Close ends it, also if it was never started.
	Close()
}

// Host is the machine of the API server: the namespace of the switches, with an address in the network of the API.
type Host struct {
	Addr netip.Addr
	hub  *hub
}

// Start starts a process there, which is killed when the laboratory is closed or this process ends.
func (h *Host) Start(cmd *exec.Cmd) error { return h.hub.start(cmd) }

// ListenAt listens on Addr at a port, 0 for any port.
func (h *Host) ListenAt(port uint16) (listener net.Listener, err error) {
	err = h.hub.do(func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(h.Addr, port).String())
		return err
	})
	return listener, err
}

// Dial connects from there.
func (h *Host) Dial(ctx context.Context, network, target string) (conn net.Conn, err error) {
	err = h.hub.do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, target)
		return err
	})
	return conn, err
}

// Scripted is a [Server] of package apiserver. Its objects have the status that they are created with.
type Scripted struct{ *apiserver.Endpoint }

var _ Server = Scripted{}

// NewScripted returns a Scripted, with the files of its clients in a folder.
func NewScripted(dir string) Scripted { return Scripted{apiserver.NewEndpoint(dir)} }

// Start implements [Server].
func (s Scripted) Start(host *Host) error { return s.Endpoint.Start(host.ListenAt) }
