package soak

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/wire"
)

const systemNamespace = "lanlord-system"

// server is the API server of a soak: the stand-in, on one port for good, with tokens. It implements [wire.Server].
type server struct {
	api   *apiserver.Server
	dir   string
	host  *wire.Host
	port  uint16
	http  *http.Server
	token string
	cert  tls.Certificate

	// mu guards trouble, which faults of two scopes change.
	mu      sync.Mutex
	trouble apiserver.Trouble
}

var _ wire.Server = (*server)(nil)

// Start implements [wire.Server].
func (s *server) Start(host *wire.Host) error {
	s.host = host
	if err := s.rotate(); err != nil {
		return err
	}
	if err := s.recertify(); err != nil {
		return err
	}
	listener, err := host.Listen()
	if err != nil {
		return err
	}
	s.port = uint16(listener.Addr().(*net.TCPAddr).Port)
	s.serve(listener)
	return os.WriteFile(s.Kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: soak, cluster: {server: "https://%s", certificate-authority: %s}}]
users: [{name: soak, user: {tokenFile: %s}}]
contexts: [{name: soak, context: {cluster: soak, user: soak}}]
current-context: soak
`, listener.Addr(), s.authorityFile(), s.tokenFile()), 0o600)
}

func (s *server) serve(listener net.Listener) {
	s.http = &http.Server{
		Handler: s.api, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{s.cert}},
		// Whoever is cut off in the middle of a handshake is not worth a line.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func(h *http.Server) { _ = h.ServeTLS(listener, "", "") }(s.http) // until it is closed
}

// down ends the server with all its connections; up starts it again with the same data.
func (s *server) down() error { return s.http.Close() }

func (s *server) up() error {
	listener, err := s.host.ListenAt(s.port)
	if err == nil {
		s.serve(listener)
	}
	return err
}

// set changes what is wrong with the server.
func (s *server) set(change func(*apiserver.Trouble)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.trouble)
	s.api.SetTrouble(s.trouble)
}

// rotate writes a new token into the file that all read, and accepts no other one from then on.
func (s *server) rotate() error {
	s.token = rand.Text()
	err := replace(s.tokenFile(), []byte(s.token))
	s.set(func(t *apiserver.Trouble) { t.Tokens = []string{s.token} })
	return err
}

func (s *server) tokenFile() string { return filepath.Join(s.dir, "token") }

func (s *server) authorityFile() string { return filepath.Join(s.dir, "ca.crt") }

// Put implements [wire.Server].
func (s *server) Put(objects ...runtime.Object) error { return s.api.Put(objects...) }

// Kubeconfig implements [wire.Server].
func (s *server) Kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

// Close implements [wire.Server].
func (s *server) Close() {
	if s.http != nil {
		_ = s.http.Close() // nobody is left to hear of it
	}
}

// nodeLabel is the label that a node needs for addresses of the pool for those who ask.
const nodeLabel = "soak.example.com/asked"

// askedPool has the addresses that are only given to those who ask, and that only some nodes may announce.
var askedPool = netip.MustParsePrefix("10.99.200.0/24")

// configuration is the ConfigMap's text: a pool for all, one for those who ask, and what else there may be.
func configuration(pools, layer2 string) string {
	return `address-pools:
- {name: main, protocol: layer2, addresses: [10.99.128.0/18, "fd00:99::1:0/112"]}
- {name: asked, protocol: layer2, addresses: [10.99.200.0/24], auto-assign: false,
   node-selectors: [{match-labels: {` + nodeLabel + `: "yes"}}]}
` + pools + "layer2: {ping: false" + layer2 + "}\n"
}

// configure writes the ConfigMap.
func (s *server) configure(text string) error {
	return s.api.Put(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"}, Data: map[string]string{"config": text},
	})
}

// edits are configurations that take no address from anybody, and broken ones that change nothing at all.
var (
	edits = []string{
		configuration("", ", failback: 5s"),
		configuration("", ", rate: 200, refresh: 5s"),
		configuration("- {name: spare, protocol: layer2, addresses: [10.99.240.0/24], auto-assign: false}\n", ""),
		configuration("- {name: spare, protocol: layer2, addresses: [10.99.240.0/24], exclude: [10.99.240.7], priority: 5, auto-assign: false}\n", ", failback: never"),
	}
	breakages = []string{
		"address-pools: [",
		strings.ReplaceAll(configuration("", ""), "10.99.200.0/24", "10.99.200.0/99"),
		strings.ReplaceAll(configuration("", ""), "auto-assign", "auto-asign"),
		configuration("- {name: twice, protocol: layer2, addresses: [10.99.128.0/18]}\n", ""),
	}
)

// keys are the entries of the gossip Secret.
func (s *server) keys(change func(map[string][]byte)) error {
	found, err := s.api.Edit("secrets", types.NamespacedName{Namespace: systemNamespace, Name: "lanlord-gossip"}, func(o runtime.Object) {
		change(o.(*corev1.Secret).Data)
	})
	if err == nil && !found {
		err = errors.New("there is no gossip Secret")
	}
	return err
}
