package pace

import (
	"sync"
	"time"
)

// The least and the most time from one wake-up by the API server's news to the next: while Services come by the thousand they are
// decided on together, and the longer they keep coming the more of them. What comes from the wire and from gossip wakes the loop at
// once.
const (
	apiPause    = 50 * time.Millisecond
	maxAPIPause = 4 * apiPause
)

// Pacer passes calls on: the first at once, and those that come too early together, later.
type Pacer struct {
	to func()

	// mu guards the rest: several watches call.
	mu      sync.Mutex
	next    time.Time     // when the next one may be passed on
	pause   time.Duration // what next was set with
	waiting bool          // whether one is going to be passed on
}

// New returns a Pacer that passes calls on to a function, which must not block.
func New(to func()) *Pacer { return &Pacer{to: to} }

// Call never blocks.
func (p *Pacer) Call() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		return
	}
	now := time.Now()
	if wait := p.next.Sub(now); wait > 0 {
		p.waiting = true
		time.AfterFunc(wait, p.late)
		return
	}
	p.pass(now, apiPause)
}

func (p *Pacer) late() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	p.pass(time.Now(), min(2*p.pause, maxAPIPause))
}

func (p *Pacer) pass(now time.Time, pause time.Duration) {
	p.pause, p.next = pause, now.Add(pause)
	p.to()
}
