package apiserver

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lanlord/lanlord/e2e/certificate"
)

// Endpoint serves a Server on one port, over TLS and with bearer tokens.
type Endpoint struct {
	*Server
	// dir has the kubeconfig of all clients, and the files that the kubeconfig names.
	dir    string
	listen func(port uint16) (net.Listener, error)
	addr   netip.AddrPort
	http   *http.Server
	cert   tls.Certificate

	// mu guards trouble.
	mu      sync.Mutex
	trouble Trouble
}

// NewEndpoint returns an Endpoint of an empty Server. The files for the clients go to a folder.
func NewEndpoint(dir string) *Endpoint { return &Endpoint{Server: New(), dir: dir} }

// Start serves at the address at which listen listens: at any port first, and at the same port after [Endpoint.Down].
func (e *Endpoint) Start(listen func(port uint16) (net.Listener, error)) error {
	e.listen = listen
	listener, err := listen(0)
	if err != nil {
		return err
	}
	e.addr = listener.Addr().(*net.TCPAddr).AddrPort()
	if err := e.Rotate(); err != nil {
		return err
	}
	if err := e.Recertify(); err != nil {
		return err
	}
	e.serve(listener)
	return os.WriteFile(e.Kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://%s", certificate-authority: %q}}]
users: [{name: test, user: {tokenFile: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`, e.addr, e.file("ca.crt"), e.file("token")), 0o600)
}

func (e *Endpoint) serve(listener net.Listener) {
	e.http = &http.Server{
		Handler: e.Server, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{e.cert}},
		// A handshake that a fault interrupts is not worth a line.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func(h *http.Server) { _ = h.ServeTLS(listener, "", "") }(e.http) // until Close
}

func (e *Endpoint) file(name string) string { return filepath.Join(e.dir, name) }

// Kubeconfig returns the path of the clients' kubeconfig.
func (e *Endpoint) Kubeconfig() string { return e.file("kubeconfig") }

// Down ends the server with all its connections. Up starts the server again with the same objects.
func (e *Endpoint) Down() error { return e.http.Close() }

// Up serves again after Down.
func (e *Endpoint) Up() error {
	listener, err := e.listen(e.addr.Port())
	if err == nil {
		e.serve(listener)
	}
	return err
}

// Close ends the server, also if Start was never called.
func (e *Endpoint) Close() {
	if e.http != nil {
		_ = e.http.Close() // no client is left
	}
}

// Change changes one thing about the trouble of the server. Several goroutines may call Change.
func (e *Endpoint) Change(change func(*Trouble)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.trouble)
	e.SetTrouble(e.trouble)
}

// Rotate writes a new token into the clients' file. From then on the server refuses every other token.
func (e *Endpoint) Rotate() error {
	token := rand.Text()
	err := replace(e.file("token"), []byte(token))
	e.Change(func(t *Trouble) { t.Tokens = []string{token} })
	return err
}

// Recertify makes a certificate of a new authority. From then on the clients' file has this authority alone. The server
// uses the certificate after the next Up.
func (e *Endpoint) Recertify() error {
	authority, err := certificate.NewAuthority()
	if err != nil {
		return err
	}
	cert, key, err := authority.Server(e.addr.Addr())
	if err != nil {
		return err
	}
	if e.cert, err = tls.X509KeyPair(cert, key); err != nil {
		return err
	}
	return replace(e.file("ca.crt"), authority.PEM)
}

// replace replaces a file at once, as a kubelet replaces the files of a ServiceAccount.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
