package wire

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"

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

// Listen listens on Addr, at any port.
func (h *Host) Listen() (listener net.Listener, err error) { return h.ListenAt(0) }

// ListenAt listens on Addr at a port.
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

// standIn serves package apiserver, whose objects have the status that they are made with.
type standIn struct {
	api        *apiserver.Server
	server     *http.Server
	kubeconfig string
}

// Start implements [Server].
func (s *standIn) Start(host *Host) error {
	listener, err := host.Listen()
	if err != nil {
		return err
	}
	s.server = &http.Server{Handler: s.api, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(listener) }() // until it is closed
	return os.WriteFile(s.kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: wire, cluster: {server: "http://%s"}}]
contexts: [{name: wire, context: {cluster: wire}}]
current-context: wire
`, listener.Addr()), 0o600)
}

// Put implements [Server].
func (s *standIn) Put(objects ...runtime.Object) error { return s.api.Put(objects...) }

// Kubeconfig implements [Server].
func (s *standIn) Kubeconfig() string { return s.kubeconfig }

// Close implements [Server].
func (s *standIn) Close() {
	if s.server != nil {
		_ = s.server.Close() // nobody is left to hear of it
	}
}
