package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// installationHeader is the header with the namespace of the answering process, in each answer of a port that
	// several processes may share.
	installationHeader = "Lanlord-Namespace"
	// portRetry is the time from one look at a port that another installation has to the next look.
	portRetry = time.Second
	// portTurn is the longest time in which a process waits for another process that opens the same port.
	portTurn, portTurnRetry = 2 * time.Second, 20 * time.Millisecond
)

// ports keeps which listen addresses another installation uses. Several goroutines call the methods.
type ports struct {
	mu sync.Mutex
	// unknown holds the addresses that nobody has looked at yet, or that another installation has had since the start.
	unknown []string
	// taken maps listen addresses to the namespaces of the other installations.
	taken map[string]string
	// free is closed when unknown is empty.
	free chan struct{}
}

func newPorts(addresses ...string) *ports {
	p := &ports{taken: map[string]string{}, free: make(chan struct{})}
	for _, address := range addresses {
		if address != "" {
			p.unknown = append(p.unknown, address)
		}
	}
	if len(p.unknown) == 0 {
		close(p.free)
	}
	return p
}

// note records that another installation uses the address, or with an empty namespace that none does. note reports
// whether that is news.
func (p *ports) note(address, namespace string) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if namespace != "" {
		news = p.taken[address] != namespace
		p.taken[address] = namespace
		return news
	}
	_, news = p.taken[address]
	delete(p.taken, address)
	before := len(p.unknown)
	p.unknown = slices.DeleteFunc(p.unknown, func(a string) bool { return a == address })
	if before > 0 && len(p.unknown) == 0 {
		close(p.free)
	}
	return news
}

// problem returns nil, or an error about all addresses that another installation uses.
func (p *ports) problem() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) == 0 {
		return nil
	}
	byNamespace := map[string][]string{}
	for address, namespace := range p.taken {
		byNamespace[namespace] = append(byNamespace[namespace], address)
	}
	var texts []string
	for namespace, addresses := range byNamespace {
		slices.Sort(addresses)
		texts = append(texts, fmt.Sprintf("the Lanlord in the namespace %s uses %s", namespace, strings.Join(addresses, " and ")))
	}
	slices.Sort(texts)
	return errors.New(strings.Join(texts, ", and ") +
		": give one of the two ports of its own (--listen, --status-listen, --gossip-port), or remove it")
}

// PortProblem returns nil, or an error that names the listen addresses that another installation uses on this host, and
// the fix. The check "ports" of /readyz returns the same.
func (s *Server) PortProblem() error { return s.ports.problem() }

// WaitForPorts waits until no other installation uses a listen address of this server. WaitForPorts returns the cause of
// ctx if ctx ends first. The server looks at the addresses in Run.
func (s *Server) WaitForPorts(ctx context.Context) error {
	select {
	case <-s.ports.free:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// named adds the namespace of this process to the answers of a handler.
func (s *Server) named(handler http.Handler) http.Handler {
	if !s.options.Rebindable || s.options.Installation == "" {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(installationHeader, s.options.Installation)
		handler.ServeHTTP(w, r)
	})
}

// open listens on a TCP address that several processes of this installation may share, and no other installation. While
// another installation uses the address, open waits, and the check "ports" fails. open returns nil and the cause when ctx
// ends.
func (s *Server) open(ctx context.Context, config net.ListenConfig, address string) (net.Listener, error) {
	for {
		listener, other, err := s.tryOpen(ctx, config, address)
		if other == "" {
			s.ports.note(address, "")
			return listener, err
		}
		if s.ports.note(address, other) {
			s.options.Log.Error("another Lanlord uses a port of this node, so this one waits",
				"address", address, "namespace", other, "retry", portRetry,
				"fix", "give one of the two other ports with --listen, --status-listen and --gossip-port, or remove it")
		}
		if !pause(ctx, portRetry) {
			return nil, context.Cause(ctx)
		}
	}
}

// tryOpen listens on an address, or returns the namespace of the other installation that uses the address. One process
// of a host does so at a time, so that of two installations which start together one sees the other.
func (s *Server) tryOpen(ctx context.Context, config net.ListenConfig,
	address string) (listener net.Listener, other string, err error) {
	target, shareable := portTarget(address)
	if shareable && s.options.Rebindable && s.options.Installation != "" {
		defer takeTurn(ctx, target.Port())()
		if other = installationAt(ctx, target); other == s.options.Installation {
			other = ""
		}
		if other != "" {
			return nil, other, nil
		}
	}
	listener, err = config.Listen(ctx, "tcp", address)
	return listener, "", err
}

// portTarget returns the address at which a process of this host reaches a listen address. ok is false without a fixed
// port or an address.
func portTarget(listen string) (target netip.AddrPort, ok bool) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return target, false
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || host == "localhost" || err == nil && addr == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr.IsUnspecified():
		host = "::1"
	}
	target, err = netip.ParseAddrPort(net.JoinHostPort(host, port))
	return target, err == nil && target.Port() != 0
}

// takeTurn waits until no other process of this host looks at a port, for portTurn at most, and returns a function that
// ends the turn. The turn is an abstract socket, which ends with its process.
func takeTurn(ctx context.Context, port uint16) (end func()) {
	for began := time.Now(); ; {
		turn, err := new(net.ListenConfig).Listen(ctx, "unix", fmt.Sprintf("@lanlord/port/%d", port))
		switch {
		case err == nil:
			return func() { _ = turn.Close() } // nobody connects
		case !errors.Is(err, syscall.EADDRINUSE) || time.Since(began) > portTurn || !pause(ctx, portTurnRetry):
			return func() {}
		}
	}
}

// installationAt returns the namespace of the installation that answers at an address; empty if nobody answers within
// probeTimeout, or a program that does not name an installation.
func installationAt(ctx context.Context, target netip.AddrPort) string {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target.String()+"/healthz", nil)
	if err != nil {
		return ""
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return ""
	}
	_ = response.Body.Close() // only the header counts
	return response.Header.Get(installationHeader)
}
