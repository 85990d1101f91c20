package peers

import (
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Two nodes may have seen different states of the cluster, most often while one of them is cut off from the API server. If each of them
// then decided alone, each could take an address from the other because its own state does not allow the other to have the address. So
// a node that defends an address, or is about to take one, sends its versions to the other node. The node that is behind gives way, and
// leaves the address alone until it has caught up or the other node is lost.

// sendInterval is the least time between two equal messages to the same peer. One message serves all addresses in dispute with it.
const sendInterval = 100 * time.Millisecond

// exchange is the exchange of versions with one peer.
type exchange struct {
	// received is what the peer sent last.
	received cluster.Versions
	// sent is what the peer was sent last, and sentAt when.
	sent   cluster.Versions
	sentAt time.Time
}

// receive takes over what the peer has sent, and reports whether that is not older than what it sent before: a datagram can arrive late.
func (e exchange) receive(v cluster.Versions) (exchange, bool) {
	if v.Less(e.received) {
		return e, false
	}
	e.received = v
	return e, true
}

// send notes that the peer is sent own, and reports whether it should be: the same versions are sent once in sendInterval.
func (e exchange) send(own cluster.Versions, now time.Time) (exchange, bool) {
	if e.sent == own && now.Sub(e.sentAt) < sendInterval {
		return e, false
	}
	e.sent, e.sentAt = own, now
	return e, true
}

// forget returns e without the versions that the peer has sent.
func (e exchange) forget() exchange { return exchange{sent: e.sent, sentAt: e.sentAt} }
