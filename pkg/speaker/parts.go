package speaker

import (
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// parts holds the state shared by the loop and the methods for other goroutines.
type parts struct {
	opt       Options
	mailbox   mailbox
	sightings sightings
	metrics   *metrics
	detector  *peers.Detector
	status    atomic.Pointer[Status]
	patroller *patroller
	// proving limits the questions of other members about paths that this node probes at a time.
	proving chan struct{}
}

func newParts(o Options) *parts {
	p := &parts{opt: o.withDefaults(), mailbox: newMailbox(), proving: make(chan struct{}, mostProving)}
	p.metrics = newMetrics(o.Registerer, o.AddressMetrics, p.Status)
	p.patroller = newPatroller(&p.opt, &p.sightings, p.Status)
	return p
}

// Status returns the status after the last round, and a zero value before the first round.
func (p *parts) Status() Status {
	if st := p.status.Load(); st != nil {
		return *st
	}
	return Status{}
}

// blocked reports whether gossip with a running node does not pass: gossip never reached the node, or the node answers
// on the wire.
func (p *parts) blocked(u membership.Unreached) bool {
	at, heard := p.detector.LastHeard(u.Name)
	return !u.Met || heard && at.Sub(u.Since) >= blockedAfter
}

// mostProving limits the questions of other members about paths that this node probes at a time. A member without an
// answer waits for the rules as without probes.
const mostProving = 16

// blockedAfter is the minimum time between the loss of a node in gossip and a later answer of the node on the wire.
const blockedAfter = 5 * time.Second
