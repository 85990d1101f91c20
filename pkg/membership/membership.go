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
	// Configured is true when the member has a valid configuration. Older versions do not announce this fact.
	Configured bool
	// Links lists the interfaces that the member announces from, sorted by name. The slice is immutable.
	Links []Link
	// MACs lists further MAC addresses of the member's node. The slice is immutable.
	MACs []MAC
}

// member returns the member with this name and address that reports r.
func (r Report) member(name string, addr netip.AddrPort) Member {
	return Member{
		Name: name, Addr: addr,
		State: r.State, Since: r.Since, Configured: r.Configured, Links: r.Links, MACs: r.MACs,
	}
}

// Has reports whether mac is an address of the node of the member.
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

// Options holds the inputs of New.
type Options struct {
	// Name is the name of this node, unique in the cluster.
	Name string
	// Bind is the address for gossip over TCP and UDP: an address of this node that the other members can reach. Gossip
	// announces Bind to the other members.
	Bind netip.AddrPort
	// Also is a second address of this node, in the other family, for nodes without the family of Bind. Also is
	// optional. See Choose.
	Also netip.AddrPort
	// Keys holds secrets of at least 16 bytes. The first key encrypts outgoing gossip; incoming gossip is accepted when
	// any of the keys decrypts it.
	Keys [][]byte
	// Peers returns the nodes with a speaker that should be a member. This node may be included. A goroutine of Run
	// calls Peers about once a second. Peers must not block.
	Peers func() []Peer
	// Wake is called after a change of the result of Members, Settled, Unreached or Impaired. Wake must not block, and
	// must not call the Membership. Wake is optional.
	Wake func()
	// Suspected is called when another member calls Suspect with these arguments. Suspected must not block, and may be
	// called from several goroutines at once. Suspected is optional.
	Suspected func(name string, silent time.Duration)
	// Told is called when the other member name sends words to this member with Tell. The rules of Suspected apply.
	Told func(name string, words [8]uint64)
	// PathAsked is called when the other member name asks this member with AskPath, and PathAnswered when that member
	// answers a question of this member with AnswerPath. The rules of Suspected apply.
	PathAsked    func(name string, q PathQuestion)
	PathAnswered func(name string, number uint32, there bool)
	// Transport replaces the sockets bound to Bind, for networks in memory. Run closes the Transport. Transport is
	// optional.
	Transport memberlist.NodeAwareTransport
	Log       *slog.Logger
	// Registerer receives the metrics.
	Registerer prometheus.Registerer
}

// Membership maintains the list of members. New returns a Membership.
type Membership struct {
	options Options
	keyring *memberlist.Keyring
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec

	own       atomic.Pointer[announcement]
	published atomic.Pointer[view]
	// peers holds the result of Options.Peers in the last round of joining.
	peers atomic.Pointer[peerTable]
	// unreached holds the result of Unreached.
	unreached atomic.Pointer[[]Unreached]
	// impaired holds the result of Impaired.
	impaired atomic.Pointer[[]Unreached]
	// paths records the failing connections to members.
	paths *paths
	// settled holds the result of Settled.
	settled atomic.Bool
	// frozen is set when this member leaves. Later gossip does not show the state of the cluster.
	frozen atomic.Bool
	// handedOver is set when another process of this node takes over the name.
	handedOver atomic.Bool
	// list holds the memberlist while Run runs, else nil.
	list atomic.Pointer[memberlist.Memberlist]
	// news wakes the goroutine that carries news.
	news news
	// changed wakes the loop of Run.
	changed chan struct{}
	// announced wakes keepJoining after memberlist has received a new announcement.
	announced chan struct{}

	// adjust changes the configuration of memberlist, especially the transport, in tests that cut the network; nil
	// otherwise.
	adjust func(*memberlist.Config)
}

// New checks the options and registers the metrics. New starts nothing and opens no socket.
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
		options: options, keyring: keyring, paths: newPaths(), news: newNews(),
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

// unmapped converts an IPv4-mapped IPv6 address to an IPv4 address.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// reachable reports whether other nodes may be able to reach a.
func reachable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == ""
}

// Members returns the living members sorted by name, including this member. The list stays frozen after the context of
// Run has ended. The slice is immutable.
func (m *Membership) Members() []Member { return m.published.Load().members }

// Unreached returns the peers that this member has failed to reach for ten seconds, sorted by name. The slice is
// immutable.
func (m *Membership) Unreached() []Unreached { return *m.unreached.Load() }

// Impaired returns the members with a broken TCP or UDP path, sorted by name. Other members, or the other protocol,
// keep these members alive. In the result, Since is zero and Met is false. The slice is immutable.
func (m *Membership) Impaired() []Unreached { return *m.impaired.Load() }

// Settled returns true once this member has heard from another member, has tried its peers without success for three
// seconds, or has no peers. While Settled is false, a list without other members means nothing. Once true, Settled
// stays true.
func (m *Membership) Settled() bool { return m.settled.Load() }
