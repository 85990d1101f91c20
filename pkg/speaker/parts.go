package speaker

import "sync/atomic"

// parts are what the loop shares with the methods that other goroutines call.
type parts struct {
	opt       Options
	mailbox   mailbox
	sightings sightings
	metrics   *metrics
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
