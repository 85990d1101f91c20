package speaker

import (
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// parts are what the loop shares with the methods that other goroutines call.
type parts struct {
	opt       Options
	mailbox   mailbox
	sightings sightings
	metrics   *metrics
	detector  *peers.Detector
	status    atomic.Pointer[Status]
}

func newParts(o Options) *parts {
	p := &parts{opt: o.withDefaults(), mailbox: newMailbox()}
	p.metrics = newMetrics(o.Registerer, o.AddressMetrics, p.Status)
	return p
}

// Status returns what the loop did last, and a zero value before it has begun.
func (p *parts) Status() Status {
	if st := p.status.Load(); st != nil {
		return *st
	}
	return Status{}
}

// blocked reports whether gossip with a node does not pass, although the node runs: gossip never reached it, or it answers on the wire.
func (p *parts) blocked(u membership.Unreached) bool {
	at, heard := p.detector.LastHeard(u.Name)
	return !u.Met || heard && at.Sub(u.Since) >= blockedAfter
}

// blockedAfter is how long after gossip lost a node the node must have answered on the wire.
const blockedAfter = 5 * time.Second
