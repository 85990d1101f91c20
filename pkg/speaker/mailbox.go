package speaker

import (
	"net/netip"
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// mailbox carries messages to the loop. A full channel drops messages: senders repeat claims, suspicions and versions.
type mailbox struct {
	claims     chan layer2.Claim
	suspicions chan peers.Suspicion
	versions   chan versionsFrom
	// probed carries the results of probes. The channel has no buffer: the prober waits for the loop.
	probed chan probed
	// proofs carries the answers of other members that probe the path to a Service through this node.
	proofs chan pathNews
	// lostClaim is true after the mailbox has dropped a claim, which is an input of an address.
	lostClaim atomic.Bool
}

// versionsFrom holds the versions of another member: how far the member has seen the cluster.
type versionsFrom struct {
	node     string
	versions cluster.Versions
}

// probed holds the result of a probe.
type probed struct {
	addr  netip.Addr
	event ownership.Event
	err   error
}

// pathNews is an answer of another member, or the result of a comparison of this node.
type pathNews struct {
	number uint32
	// there is true when the path through this node works. compared is true when the path through the present owner
	// works, and the path through this node does not.
	there, compared bool
}

func newMailbox() mailbox {
	return mailbox{
		claims: make(chan layer2.Claim, 4096), suspicions: make(chan peers.Suspicion, 64),
		versions: make(chan versionsFrom, 64), probed: make(chan probed), proofs: make(chan pathNews, 256),
	}
}

func (m *mailbox) claim(c layer2.Claim) {
	if !offer(m.claims, c) {
		m.lostClaim.Store(true)
	}
}

func (m *mailbox) suspect(x peers.Suspicion) { offer(m.suspicions, x) }

func (m *mailbox) tell(v versionsFrom) { offer(m.versions, v) }

// offer sends a message unless the channel is full. The result is false for a full channel.
func offer[T any](to chan T, message T) bool {
	select {
	case to <- message:
		return true
	default:
		return false
	}
}
