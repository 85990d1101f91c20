package membership

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// lostPath names the protocols that do not work between this member and another member.
type lostPath uint8

const (
	lostNothing lostPath = iota
	lostTCP
	lostUDP
	lostBoth
)

// String returns the names of the protocols.
func (l lostPath) String() string { return [...]string{"nothing", "TCP", "UDP", "TCP and UDP"}[l] }

// lostError is the error of a path that does not work.
type lostError lostPath

// Error returns a clause for operators.
func (e lostError) Error() string { return lostPath(e).String() + " does not pass" }

// paths records the results of TCP connections and of UDP probes. The goroutines of memberlist write to paths while
// they hold the lock of memberlist, so a mutex is simpler than a goroutine. Nothing blocks while the mutex is held.
type paths struct {
	mu sync.Mutex
	// failed maps each address to the failed connections since the last successful connection.
	failed map[netip.AddrPort]failure
	// acked maps the name of each member to the time of the last direct answer to a probe over UDP.
	acked map[string]time.Time
}

// failure is a series of failed connections.
type failure struct {
	first, last time.Time
	err         error
}

func newPaths() *paths {
	return &paths{failed: make(map[netip.AddrPort]failure), acked: make(map[string]time.Time)}
}

// dialed records the result of a connection.
func (p *paths) dialed(to string, err error) {
	addr, parseErr := netip.ParseAddrPort(to)
	if parseErr != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.failed, addr)
		return
	}
	now := time.Now()
	f, known := p.failed[addr]
	if !known {
		f.first = now
	}
	f.last, f.err = now, err
	p.failed[addr] = f
}

// dialError returns the error of the newest connection to addr, nil if the connection succeeded.
func (p *paths) dialError(addr netip.AddrPort) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed[addr].err
}

// answered records that a member has answered a probe over UDP.
func (p *paths) answered(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked[name] = time.Now()
}

// lost returns the protocols that do not work with a member that joined at joined. UDP counts as lost when no direct
// answer came for wait, and TCP when connections failed for at least joinPatience.
func (p *paths) lost(m Member, joined time.Time, wait time.Duration) (lost lostPath) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(joined) >= wait && now.Sub(p.acked[m.Name]) >= wait {
		lost |= lostUDP
	}
	if f, known := p.failed[m.Addr]; known && f.last.Sub(f.first) >= joinPatience && !f.last.Before(joined) {
		lost |= lostTCP
	}
	return lost
}

// keep removes all names for which name returns false, and all addresses for which addr returns false.
func (p *paths) keep(name func(string) bool, addr func(netip.AddrPort) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range p.acked {
		if !name(n) {
			delete(p.acked, n)
		}
	}
	for a := range p.failed {
		if !addr(a) {
			delete(p.failed, a)
		}
	}
}

// observed is a transport that records the results of its connections in paths.
type observed struct {
	memberlist.NodeAwareTransport
	paths *paths
}

// DialTimeout implements memberlist.Transport.
func (o observed) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	conn, err := o.NodeAwareTransport.DialTimeout(to, timeout)
	o.paths.dialed(to, err)
	return conn, err
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (o observed) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := o.NodeAwareTransport.DialAddressTimeout(to, timeout)
	o.paths.dialed(to.Addr, err)
	return conn, err
}
