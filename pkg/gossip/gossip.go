package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// checkInterval is the interval at which Run compares the Secret's keys and the Node's address with the keys and
	// address in use.
	checkInterval = time.Second
	// overlap is the time after a change of the address in which Members includes the former members. A membership
	// without contact considers itself alone after the same time.
	overlap = 3 * time.Second
)

// Source provides the cluster and the gossip keys.
type Source interface {
	WaitSynced(ctx context.Context) error
	Snapshot() cluster.Snapshot
	// GossipKeys returns the keys of the Secret. The first key is the key to send with.
	GossipKeys() [][]byte
}

// Options configures a Gossip.
type Options struct {
	// Member holds the options of every membership. Gossip sets Bind, Keys and Peers.
	Member membership.Options
	// Address is the address to listen on. An invalid Address means the Node's address.
	Address netip.Addr
	Port    uint16
	Source  Source
	// Secret is the name of the Secret, for the log.
	Secret string
}

// Gossip keeps one membership at a time.
type Gossip struct {
	options Options
	log     *slog.Logger
	// open makes a membership. listen reports whether this node has an address. Tests replace both.
	open   func(membership.Options) (*membership.Membership, error)
	listen func(netip.AddrPort) error

	// current is the membership in use. former lists the members of the previous membership until overlap is over.
	current atomic.Pointer[membership.Membership]
	former  atomic.Pointer[[]membership.Member]
	settled atomic.Bool
	handing atomic.Bool

	// mu guards report. Gossip repeats report to each new membership. reported is closed after the first report.
	mu         sync.Mutex
	report     *membership.Report
	reportOnce sync.Once
	reported   chan struct{}

	// Only Wait, Open and Run use the fields below.

	keys       keychain
	at         addresses
	collectors *collectors
	// unusable and refused are the address and the keys already logged as unusable.
	unusable, refused string
}

// New returns a Gossip. The Gossip does nothing before Wait, Open and Run.
func New(o Options) *Gossip {
	return &Gossip{options: o, log: o.Member.Log, reported: make(chan struct{}), open: membership.New, listen: listen}
}

// Open makes the first membership. Other nodes hear of the membership only after Run. The caller must have called Wait
// before.
func (g *Gossip) Open() error {
	g.keys.update(g.options.Source.GossipKeys(), time.Now())
	g.relocate() // the Node's address may have changed since Wait
	return g.renew()
}

// relocate stores the Node's addresses, if the Node has any.
func (g *Gossip) relocate() {
	if at := listening(g.choose(g.options.Source.Snapshot().Nodes)); at.bind.IsValid() {
		g.at = at
	}
}

// renew makes a membership at the addresses of this node.
func (g *Gossip) renew() error {
	if g.collectors != nil {
		g.collectors.unregister()
	}
	o := g.options.Member
	g.collectors = &collectors{Registerer: o.Registerer}
	o.Bind, o.Also, o.Keys, o.Registerer = g.at.bind, g.at.also, g.keys.accepted(), g.collectors
	o.Peers = func() []membership.Peer { return g.choose(g.options.Source.Snapshot().Nodes).Peers }
	next, err := g.open(o)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.report != nil {
		if err := next.SetState(*g.report); err != nil {
			return err // the previous membership has accepted the same report
		}
	}
	g.current.Store(next)
	if g.handing.Load() {
		next.HandOver()
	}
	return nil
}

// Run waits for the first SetState, so that the other nodes hear the report first. Then this node is a member until ctx
// ends, and leaves at the end unless HandOver was called. Run returns an error when the first address does not allow
// listening.
func (g *Gossip) Run(ctx context.Context) error {
	select {
	case <-g.reported:
	case <-ctx.Done():
		return nil
	}
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for first := true; ; first = false {
		started := time.Now()
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- g.current.Load().Run(running) }()
		err := g.follow(ctx, check, ended, started)
		stop()
		if err == nil {
			err = <-ended
		}
		switch {
		case first && err != nil:
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil:
			g.log.Error("gossip does not run and is tried again", "address", g.at.bind, "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-check.C:
			}
		}
		g.relocate()
		if err := g.renew(); err != nil {
			return err
		}
	}
}

// follow applies changed keys, until ctx ends or this node should and can listen on another address. follow returns the
// membership's error if the membership ends first.
func (g *Gossip) follow(ctx context.Context, check *time.Ticker, ended <-chan error, started time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			if err == nil {
				err = fmt.Errorf("gossip on %s ended", g.at.bind)
			}
			return err
		case <-check.C:
		}
		if g.former.Load() != nil && time.Since(started) >= overlap {
			g.former.Store(nil)
			if wake := g.options.Member.Wake; wake != nil {
				wake()
			}
		}
		g.followKeys()
		if g.moved() {
			members := g.Members()
			g.settled.Store(g.Settled())
			g.former.Store(&members)
			return nil
		}
	}
}

// followKeys applies the keys of the Secret after a change of the keys or of their age limits.
func (g *Gossip) followKeys() {
	next := g.keys
	next.update(g.options.Source.GossipKeys(), time.Now())
	keys := next.accepted()
	if !slices.EqualFunc(keys, g.keys.accepted(), bytes.Equal) {
		if err := g.current.Load().SetKeys(keys); err != nil {
			if text := err.Error(); text != g.refused {
				g.refused = text
				g.log.Error("the new gossip keys are not used", "secret", g.options.Secret, "err", err)
			}
			return
		}
	}
	secret := next.inSecret()
	if !slices.EqualFunc(secret, g.keys.inSecret(), bytes.Equal) {
		g.log.Info("gossip keys changed", "keys", len(secret), "accepted", len(keys))
	}
	g.keys, g.refused = next, ""
}

// moved reports whether this node should and can listen on other addresses.
func (g *Gossip) moved() bool {
	at := listening(g.choose(g.options.Source.Snapshot().Nodes))
	if !at.bind.IsValid() || at == g.at {
		g.unusable = ""
		return false
	}
	if at.bind != g.at.bind {
		if err := g.listen(at.bind); err != nil {
			if text := at.bind.String(); text != g.unusable {
				g.unusable = text
				g.log.Warn("the Node has another address, on which gossip cannot listen yet", "address", at.bind,
					"was", g.at.bind, "err", err)
			}
			return false
		}
	}
	g.log.Info("gossip moves to the Node's new address", "address", at.bind, "also", at.also, "was", g.at.bind)
	return true
}

// listen returns nil when this host has the address, the port is free, and other nodes may reach the address.
func listen(at netip.AddrPort) error {
	if a := at.Addr(); a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return fmt.Errorf("%s is no address that other nodes can reach", a)
	}
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	return listener.Close()
}

// HandOver makes Run close its sockets without leaving when its context ends, because another process of this node
// takes over.
func (g *Gossip) HandOver() {
	g.handing.Store(true)
	g.current.Load().HandOver()
}

// withFormer returns members plus the missing members of former. The entry of this node always comes from members.
func withFormer(members, former []membership.Member) []membership.Member {
	all := slices.Clone(members)
	for _, m := range former {
		if !slices.ContainsFunc(members, func(o membership.Member) bool { return o.Name == m.Name }) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b membership.Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}
