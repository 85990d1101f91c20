package membership

import (
	"errors"
	"log"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// The timers of gossip. They are moderate: much shorter ones make large clusters declare living members dead.
const (
	// probeInterval is how often each member probes one other. A member that does not answer is suspected at the end of
	// the interval.
	probeInterval = 200 * time.Millisecond
	// probeTimeout is how long the direct answer to a probe may take before others are asked to try. They too wait as
	// long, and then say that they heard nothing, so twice this time must fit into probeInterval: a prober that misses
	// those reports takes itself for ill and slows down.
	probeTimeout = 80 * time.Millisecond
	// suspicionMult times probeInterval (times log10 of the number of members from 10 on) is how long a member is
	// suspected before it is dead, if as many others as that less two confirm it.
	suspicionMult = 3
	// suspicionMaxTimeoutMult times that is how long it takes if nobody confirms it.
	suspicionMaxTimeoutMult = 2
	// gossipInterval is how often news goes to a few others.
	gossipInterval = 50 * time.Millisecond
	// pushPullInterval is how often all state is exchanged with one other; memberlist stretches it in clusters of more
	// than 32.
	pushPullInterval = 10 * time.Second
	// tcpTimeout bounds an attempt to join, and an exchange of all state: that long for connecting, and again for the rest.
	tcpTimeout = time.Second
	// gossipToTheDead is how long a dead member is told of its death, so that it can contradict.
	gossipToTheDead = 30 * time.Second
	// deadNodeReclaim is how long after its death the name of a member may come back under another address: at once, since
	// names are nodes and only their owners hold the key. (Zero would mean never.)
	deadNodeReclaim = time.Nanosecond

	// leaveTimeout bounds the wait until the others have been told that this member leaves.
	leaveTimeout = 500 * time.Millisecond
	// updateWait bounds the wait until news of this member has been sent, for which nothing here waits. It is as short as
	// it can be, for memberlist takes zero for endless.
	updateWait = time.Nanosecond
)

// create opens the sockets and starts memberlist.
func (m *Membership) create(logger *log.Logger) (*memberlist.Memberlist, error) {
	transport := m.options.Transport
	if transport == nil {
		sockets, err := newTransport(m.options.Bind, m.options.Log, m.expected, m.refuse)
		if err != nil {
			return nil, err
		}
		transport = sockets
	}
	config := m.config(logger)
	config.Transport = transport
	if m.adjust != nil {
		m.adjust(config)
	}
	list, err := memberlist.Create(config)
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	return list, nil
}

// expect notes at which addresses other members should be found.
func (m *Membership) expect(peers []netip.AddrPort) {
	addrs := make(map[netip.Addr]struct{}, len(peers))
	for _, p := range peers {
		addrs[p.Addr().Unmap()] = struct{}{}
	}
	m.peers.Store(&addrs)
}

// expected tells whether an address is that of a member, or one at which a member should be found.
func (m *Membership) expected(addr netip.Addr) bool {
	if _, peer := (*m.peers.Load())[addr]; peer {
		return true
	}
	return slices.ContainsFunc(m.published.Load().members, func(member Member) bool { return member.Addr.Addr() == addr })
}

// config returns memberlist's configuration, without a transport.
func (m *Membership) config(logger *log.Logger) *memberlist.Config {
	config := memberlist.DefaultLANConfig()
	config.Name = m.options.Name
	config.BindAddr, config.BindPort = m.options.Bind.Addr().String(), int(m.options.Bind.Port())
	config.ProbeInterval, config.ProbeTimeout = probeInterval, probeTimeout
	config.SuspicionMult, config.SuspicionMaxTimeoutMult = suspicionMult, suspicionMaxTimeoutMult
	config.GossipInterval, config.GossipToTheDeadTime = gossipInterval, gossipToTheDead
	config.PushPullInterval, config.TCPTimeout = pushPullInterval, tcpTimeout
	config.DeadNodeReclaimTime = deadNodeReclaim
	config.Keyring = m.keyring
	config.GossipVerifyIncoming, config.GossipVerifyOutgoing = true, true
	config.EnableCompression = false
	config.Logger = logger
	config.Delegate, config.Events, config.Conflict = delegate{m}, delegate{m}, delegate{m}
	return config
}
