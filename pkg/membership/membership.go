package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Member is a node that gossip holds to be alive.
type Member struct {
	Name string
	// Addr is where the member listens for gossip.
	Addr netip.AddrPort
	// State is what the member says of itself.
	State State
	// Links are the interfaces that the member announces from, sorted by name. Nobody may change them.
	Links []Link
	// MACs are other hardware addresses of the node. Nobody may change them.
	MACs []MAC
	// Since is when the member became ready, by its own clock, to the second. It is zero when it is not known.
	Since time.Time
	// Configured is true when the member has a valid configuration.
	Configured bool
}

// Has tells whether mac is the address of one of the member's links.
func (m Member) Has(mac MAC) bool {
	return slices.ContainsFunc(m.Links, func(l Link) bool { return l.MAC == mac })
}

func (m Member) equal(o Member) bool {
	return m.Name == o.Name && m.Addr == o.Addr && m.State == o.State && slices.EqualFunc(m.Links, o.Links, Link.Equal) &&
		slices.Equal(m.MACs, o.MACs) && m.Since.Equal(o.Since) && m.Configured == o.Configured
}

// Options are what a Membership is made of.
type Options struct {
	// Name is this node's name, unique in the cluster.
	Name string
	// Bind is where to listen for gossip, over TCP and UDP: an address of this node that the others can reach.
	Bind netip.AddrPort
	// Keys are secrets of at least 16 bytes. The first encrypts what is sent; whatever is encrypted with any of them is
	// accepted, and nothing else.
	Keys [][]byte
	// Peers returns where the other members should be found. This member's own address may be among them. It is called
	// about once a second, from a goroutine of Run, and must not block.
	Peers func() []netip.AddrPort
	// Wake is called after the result of Members or Settled has changed. It must not block, and must not call back. It may be nil.
	Wake func()
	// Suspected is called when another member says by Suspect that it has heard nothing from the node of this name for
	// silent, or hears it again if that is 0. It must not block, and may be called from several goroutines at once. It may be nil.
	Suspected func(name string, silent time.Duration)
	// Told is called when another member, of this name, says by Tell what it knows. It is to be as Suspected, and may be nil, too.
	Told func(name string, known [4]uint64)
	// Transport carries gossip instead of sockets bound to Bind, as a network in memory does. Run closes it. It may be nil.
	Transport memberlist.NodeAwareTransport
	Log       *slog.Logger
	// Registerer receives the metrics.
	Registerer prometheus.Registerer
}

// Membership keeps the list of members. Its zero value is of no use; see New.
type Membership struct {
	options Options
	keyring *memberlist.Keyring
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec

	own       atomic.Pointer[announcement]
	published atomic.Pointer[view]
	// peers are the addresses at which other members should be found, as of the last round over them.
	peers atomic.Pointer[map[netip.Addr]struct{}]
	// settled is what Settled returns.
	settled atomic.Bool
	// frozen is set when this member leaves: what it hears from then on is not the state of the cluster.
	frozen atomic.Bool
	// handedOver is set when another process of this node is to take over the name.
	handedOver atomic.Bool
	// list is memberlist while it can be asked, else nil.
	list atomic.Pointer[memberlist.Memberlist]
	// changed wakes the loop of Run.
	changed chan struct{}
	// announced wakes keepJoining when memberlist has been told what this member says of itself.
	announced chan struct{}

	// adjust changes the configuration, its transport above all, in tests that cut the network. It is nil otherwise.
	adjust func(*memberlist.Config)
}

// New checks the options and registers the metrics. Nothing is started, and no socket is opened, before Run.
func New(options Options) (*Membership, error) {
	if options.Name == "" {
		return nil, errors.New("membership: no node name")
	}
	options.Bind = netip.AddrPortFrom(options.Bind.Addr().Unmap(), options.Bind.Port())
	if a := options.Bind.Addr(); !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return nil, fmt.Errorf("membership: gossip address %s is not one that other nodes can reach", options.Bind)
	}
	keyring, err := newKeyring(options.Keys)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	if options.Wake == nil {
		options.Wake = func() {}
	}
	m := &Membership{
		options: options, keyring: keyring, changed: make(chan struct{}, 1), announced: make(chan struct{}, 1),
	}
	own, err := newAnnouncement(Joining, nil)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	m.own.Store(own)
	m.expect(nil)
	m.published.Store(&view{members: []Member{m.self(options.Bind)}})
	if err := m.registerMetrics(options.Registerer); err != nil {
		return nil, fmt.Errorf("membership: register metrics: %w", err)
	}
	return m, nil
}

// Members returns the living members sorted by name, this one included. From the moment that the context of Run ends the
// list stays as it is. The slice is immutable.
func (m *Membership) Members() []Member { return m.published.Load().members }

// Settled is false until this member has heard from another one, or has tried its peers in vain for three
// seconds, or has none. Before that an empty list of others means nothing. Once true it stays true.
func (m *Membership) Settled() bool { return m.settled.Load() }
