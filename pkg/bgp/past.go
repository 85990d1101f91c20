package bgp

import (
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/session"
)

// past keeps the parts of status and metrics that outlive a state machine.
type past struct {
	counters session.Counters
	since    time.Time
	reason   Reason
	message  string
	// adopted is true when the first session began in the previous process, outdated when that process had other
	// parameters.
	adopted, outdated bool
	// restarted is true until the first session of the process is established.
	restarted bool
}

// add adds the last view of a state machine that is replaced.
func (p *past) add(v session.View) {
	v = p.merge(v)
	p.counters, p.since, p.reason, p.message = v.Counters, v.Since, v.Reason, v.Message
}

// merge returns the view of the current state machine as if the worker never had another one.
func (p *past) merge(v session.View) session.View {
	if v.State == Established {
		p.restarted = false
	} else if v.Counters.Resets == 0 && !p.since.IsZero() {
		v.Since = p.since
	}
	if v.Reason == None {
		v.Reason, v.Message = p.reason, p.message
	}
	for i, n := range p.counters.Sent {
		v.Counters.Sent[i] += n
	}
	for i, n := range p.counters.Received {
		v.Counters.Received[i] += n
	}
	for i, n := range p.counters.Lost {
		v.Counters.Lost[i] += n
	}
	v.Counters.Resets += p.counters.Resets
	return v
}
