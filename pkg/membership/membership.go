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

// Member is a node that gossip considers alive.
type Member struct {
	Name string
	// Addr is the gossip address of the member.
	Addr netip.AddrPort
	// State is the state that the member announces.
	State State
	// Since is the time at which the member became ready, by the clock of the member, to the second; zero if unknown.
	Since time.Time
	// Configured is true when the member has a valid configuration. Older versions do not announce it.
	Configured bool
	// Links are the interfaces that the member announces from, sorted by name. Nobody may change them.
	Links []Link
	// MACs are further MAC addresses of the member's node. Nobody may change them.
	MACs []MAC
}

// member returns the member of this name that reports r.
func (r Report) member(name string, addr netip.AddrPort) Member {
	return Member{
		Name: name, Addr: addr,
		State: r.State, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs,
	}
}

// Has reports whether mac is an address of the member's node.
func (m Member) Has(mac MAC) bool {
	return slices.ContainsFunc(m.Links, func(l Link) bool { return l.MAC == mac }) || slices.Contains(m.MACs, mac)
}

// report is the inverse of Report.member.
func (m Member) report() Report {
	return Report{State: m.State, Since: m.Since, Configured: m.Configured, Links: m.Links, MACs: m.MACs}
}

func (m Member) equal(o Member) bool {
	return m.Name == o.Name && m.Addr == o.Addr && m.report().Equal(o.report())
}

// Options are the inputs of New.
type Options struct {
	// Name is the name of this node, unique in the cluster.
	Name string
	// Bind is the address on which gossip listens, over TCP and UDP: an address of this node that the others can reach.
	// The others are told of it.
	Bind netip.AddrPort
	// Also is a second address of this node, of the other family, on which gossip listens for nodes that lack the
	// family of Bind. It is optional. See Choose.
	Also netip.AddrPort
	// Keys are secrets of at least 16 bytes. The first one encrypts outgoing gossip; incoming gossip is accepted when
	// any of the keys decrypts it.
	Keys [][]byte
	// Peers returns the nodes whose speakers should be members. This node may be among them. It is called about once a
	// second, from a goroutine of Run, and must not block.
	Peers func() []Peer
	// Wake is called after the result of Members, Settled or Unreached has changed. It must not block, and must not
	// call back. It is optional.
	Wake func()
	// Suspected is called when another member calls Suspect with these arguments. It must not block, and may be called
	// from several goroutines at once. It is optional.
	Suspected func(name string, silent time.Duration)
	// Told is called when another member, of this name, sends words to this one by Tell. The same rules as for
	// Suspected apply.
	Told func(name string, words [8]uint64)
	// Transport carries gossip instead of sockets bound to Bind, for networks in memory. Run closes it. It is optional.
	Transport memberlist.NodeAwareTransport
	Log       *slog.Logger
	// Registerer receives the metrics.
	Registerer prometheus.Registerer
}

// Membership keeps the list of members. New makes one.
type Membership struct {
	options Options
	keyring *memberlist.Keyring
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec

	own       atomic.Pointer[announcement]
	published atomic.Pointer[view]
	// peers is the result of Options.Peers in the last round of joining.
	peers atomic.Pointer[peerTable]
	// unreached is the result of Unreached.
	unreached atomic.Pointer[[]Unreached]
	// impaired is the result of Impaired.
	impaired atomic.Pointer[[]Unreached]
	// paths records which connections to members fail.
	paths *paths
	// settled is the result of Settled.
	settled atomic.Bool
	// frozen is set when this member leaves. Gossip after that does not show the state of the cluster.
	frozen atomic.Bool
	// handedOver is set when another process of this node takes over the name.
	handedOver atomic.Bool
	// list is memberlist while Run runs, else nil.
	list atomic.Pointer[memberlist.Memberlist]
	// changed wakes the loop of Run.
	changed chan struct{}
	// announced wakes keepJoining after memberlist has received a new announcement.
	announced chan struct{}

	// adjust changes the configuration, above all its transport, in tests that cut the network. It is nil otherwise.
	adjust func(*memberlist.Config)
}

// New checks the options and registers the metrics. Nothing is started, and no socket is opened, before Run.
func New(options Options) (*Membership, error) {
	if options.Name == "" {
		return nil, errors.New("membership: no node name")
	}
	options.Bind, options.Also = unmapped(options.Bind), unmapped(options.Also)
	if !reachable(options.Bind.Addr()) {
		return nil, fmt.Errorf("membership: gossip address %s is not one that other nodes can reach", options.Bind)
	}
	if also := options.Also.Addr(); also.IsValid() && (!reachable(also) || also.Is4() == options.Bind.Addr().Is4()) {
		return nil, fmt.Errorf("membership: second gossip address %s is not one of the other family that nodes can reach", also)
	}
	keyring, err := newKeyring(options.Keys)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	if options.Wake == nil {
		options.Wake = func() {}
	}
	m := &Membership{
		options: options, keyring: keyring, paths: newPaths(),
		changed: make(chan struct{}, 1), announced: make(chan struct{}, 1),
	}
	own, err := newAnnouncement(Report{State: Joining})
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	m.own.Store(own)
	m.peers.Store(newPeerTable(nil))
	m.unreached.Store(new([]Unreached))
	m.impaired.Store(new([]Unreached))
	m.published.Store(&view{members: []Member{m.self(options.Bind)}})
	if err := m.registerMetrics(options.Registerer); err != nil {
		return nil, fmt.Errorf("membership: register metrics: %w", err)
	}
	return m, nil
}

// unmapped turns an IPv4 address that is mapped into IPv6 into a plain one.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// reachable reports whether other nodes may be able to reach a.
func reachable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == ""
}

// Members returns the living members sorted by name, this one included. The end of the context of Run freezes the list.
// The slice is immutable.
func (m *Membership) Members() []Member { return m.published.Load().members }

// Unreached returns the peers that are not members although this member has tried to reach them for ten seconds, sorted
// by name. The slice is immutable.
func (m *Membership) Unreached() []Unreached { return *m.unreached.Load() }

// Impaired returns the members with which TCP or UDP does not work, sorted by name: other members, or the other protocol, keep them alive.
// Since is zero, and Met is false. Options.Wake is called when the result has changed. The caller must not change the slice.
func (m *Membership) Impaired() []Unreached { return *m.impaired.Load() }

// Settled is false until this member has heard from another one, has tried its peers without success for three seconds,
// or has no peers. Before that an empty list of other members means nothing. Once true it stays true.
func (m *Membership) Settled() bool { return m.settled.Load() }
