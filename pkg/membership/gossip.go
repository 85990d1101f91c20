package membership

import (
	"errors"
	"log"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// The timers of gossip. With much shorter timers, large clusters would declare living members dead.
const (
	// probeInterval is the interval at which each member probes one other member. A member that does not answer is
	// suspected at the end of the interval.
	probeInterval = 200 * time.Millisecond
	// probeTimeout bounds the wait for the direct answer to a probe, before other members are asked to probe too. These
	// members wait for the same time and then report a failure, so probeInterval must be longer than twice
	// probeTimeout: a prober that misses these reports considers itself overloaded and slows down.
	probeTimeout = 80 * time.Millisecond
	// suspicionMult times probeInterval is the time between suspicion and death of a member, if suspicionMult-2 other
	// members confirm the suspicion. From 10 members on, memberlist multiplies this time by log10 of the number of
	// members.
	suspicionMult = 3
	// suspicionMaxTimeoutMult times the time of suspicionMult is the time without any confirmation.
	suspicionMaxTimeoutMult = 2
	// gossipInterval is the interval between messages about changes to a few other members; see also carry.go.
	gossipInterval = 200 * time.Millisecond
	// retransmitMult times the decimal logarithm of the number of members, rounded up, is the number of members to which
	// this member sends the same news.
	retransmitMult = 4
	// pushPullInterval is the interval between exchanges of the complete state with one other member; memberlist
	// stretches the interval in clusters of more than 32 members.
	pushPullInterval = 10 * time.Second
	// tcpTimeout bounds the connection for a join or an exchange of the complete state, and then the exchange itself.
	tcpTimeout = time.Second
	// gossipToTheDead is the time for which gossip reports the death of a member to the member, so that a living member
	// can refute the report.
	gossipToTheDead = 30 * time.Second
	// deadNodeReclaim is the time after the death of a member until its name may come back with another address. The
	// shortest value is safe, because only the owner of the name of a node has the key; zero would mean never.
	deadNodeReclaim = time.Nanosecond

	// leaveTimeout bounds the wait until the other members know that this member leaves.
	leaveTimeout = 500 * time.Millisecond
	// updateWait bounds the wait until an update of this member has been sent. Nothing here depends on that wait, so
	// updateWait has the shortest value; zero would mean an endless wait.
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

// nodes returns the number of members or the number of peers, whichever is greater.
func (m *Membership) nodes() int {
	return max(len(m.peers.Load().peers), len(m.published.Load().members))
}

// config returns the configuration of memberlist, without a transport.
func (m *Membership) config(logger *log.Logger) *memberlist.Config {
	config := memberlist.DefaultLANConfig()
	config.Name = m.options.Name
	config.BindAddr, config.BindPort = m.options.Bind.Addr().String(), int(m.options.Bind.Port())
	config.ProbeInterval, config.ProbeTimeout = probeInterval, probeTimeout
	config.SuspicionMult, config.SuspicionMaxTimeoutMult = suspicionMult, suspicionMaxTimeoutMult
	config.GossipInterval, config.GossipToTheDeadTime = gossipInterval, gossipToTheDead
	config.RetransmitMult = retransmitMult
	config.PushPullInterval, config.TCPTimeout = pushPullInterval, tcpTimeout
	config.DeadNodeReclaimTime = deadNodeReclaim
	config.Keyring = m.keyring
	config.GossipVerifyIncoming, config.GossipVerifyOutgoing = true, true
	config.EnableCompression = false
	config.Logger = logger
	config.Delegate, config.Events, config.Conflict, config.Ping = delegate{m}, delegate{m}, delegate{m}, delegate{m}
	return config
}
