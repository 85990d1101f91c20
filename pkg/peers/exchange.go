package peers

import (
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Two nodes may have seen different states of the cluster, most often while one node is cut off from the API server. In
// one state only the first node may have an address, and in the other state only the second node. If each node decided
// alone, the two nodes would take the address from each other without end. So a node that defends an address, or is
// about to take an address, sends its versions to the other node. The node with older versions gives way, and leaves
// the address alone until it has caught up or the other node is lost.

// sendInterval is the least time between two equal messages to the same peer. One message serves all addresses in
// dispute with the peer.
const sendInterval = 100 * time.Millisecond

// exchange is the exchange of versions with one peer.
type exchange struct {
	// received holds the last versions from the peer.
	received cluster.Versions
	// sent holds the last versions that were sent to the peer, at the time sentAt.
	sent   cluster.Versions
	sentAt time.Time
}

// receive stores versions from the peer, and reports whether they count. Older versions than before do not: a datagram
// can arrive late.
func (e exchange) receive(v cluster.Versions) (exchange, bool) {
	if v.Less(e.received) {
		return e, false
	}
	e.received = v
	return e, true
}

// send reports whether to send own to the peer now, and stores that. The same versions are sent once in sendInterval.
func (e exchange) send(own cluster.Versions, now time.Time) (exchange, bool) {
	if e.sent == own && now.Sub(e.sentAt) < sendInterval {
		return e, false
	}
	e.sent, e.sentAt = own, now
	return e, true
}

// forget returns e without the versions from the peer.
func (e exchange) forget() exchange { return exchange{sent: e.sent, sentAt: e.sentAt} }
