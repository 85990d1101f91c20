package membership

import (
	"errors"
	"log"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// The timers of gossip. Much shorter ones make large clusters declare living members dead.
const (
	// probeInterval is the interval at which each member probes one other member. A member that does not answer is
	// suspected at the end of the interval.
	probeInterval = 200 * time.Millisecond
	// probeTimeout bounds the wait for the direct answer to a probe, before others are asked to probe too. They wait as
	// long and then report a failure, so probeInterval must be longer than twice this time: a prober that misses those
	// reports considers itself overloaded and slows down.
	probeTimeout = 80 * time.Millisecond
	// suspicionMult times probeInterval (times log10 of the number of members from 10 on) is the time between suspicion
	// and death of a member, if as many others as that less two confirm the suspicion.
	suspicionMult = 3
	// suspicionMaxTimeoutMult times that is the time if nobody confirms the suspicion.
	suspicionMaxTimeoutMult = 2
	// gossipInterval is the interval at which changes go to a few others.
	gossipInterval = 50 * time.Millisecond
	// pushPullInterval is the interval at which all state is exchanged with one other member; memberlist stretches it
	// in clusters of more than 32.
	pushPullInterval = 10 * time.Second
	// tcpTimeout bounds the connection of a join or an exchange of all state, and then the exchange itself.
	tcpTimeout = time.Second
	// gossipToTheDead is the time in which a dead member is told of its death, so that it can refute it.
	gossipToTheDead = 30 * time.Second
	// deadNodeReclaim is the time after its death until the name of a member may come back under another address. It is
	// the shortest one, because only the owner of a node's name holds the key; zero would mean never.
	deadNodeReclaim = time.Nanosecond

	// leaveTimeout bounds the wait until the others know that this member leaves.
	leaveTimeout = 500 * time.Millisecond
	// updateWait bounds the wait until an update of this member has been sent. Nothing here depends on that wait, so it
	// is the shortest one; zero would mean endless.
	updateWait = time.Nanosecond
)

// create opens the sockets and starts memberlist.
func (m *Membership) create(logger *log.Logger) (*memberlist.Memberlist, error) {
	transport := m.options.Transport
	if transport == nil {
		sockets, err := m.openSockets()
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
	if aware, is := config.Transport.(memberlist.NodeAwareTransport); is {
		config.Transport = observed{aware, m.paths}
	}
	list, err := memberlist.Create(config)
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	return list, nil
}

// expected reports whether addr is the address of a member or of a peer.
func (m *Membership) expected(addr netip.Addr) bool {
	if m.peers.Load().has(addr) {
		return true
	}
	return slices.ContainsFunc(m.published.Load().members, func(member Member) bool { return member.Addr.Addr() == addr })
}

// nodes returns the number of members, or of peers if there are more.
func (m *Membership) nodes() int {
	return max(len(m.peers.Load().peers), len(m.published.Load().members))
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
	config.Delegate, config.Events, config.Conflict, config.Ping = delegate{m}, delegate{m}, delegate{m}, delegate{m}
	return config
}
