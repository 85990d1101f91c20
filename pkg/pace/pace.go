package pace

import (
	"sync"
	"time"
)

// apiPause and maxAPIPause are the shortest and the longest pause between two wake-ups by events of the API server.
// When thousands of Services change, each round of the loop decides on many Services, and on more Services the longer
// the changes continue. Frames and gossip wake the loop without a pause.
const (
	apiPause    = 50 * time.Millisecond
	maxAPIPause = 4 * apiPause
)

// Pacer passes calls on: the first call at once, and all calls during a pause together at its end.
type Pacer struct {
	to func()

	// mu guards the fields below, because several watches call.
	mu      sync.Mutex
	next    time.Time     // the end of the pause
	pause   time.Duration // the length of the pause
	waiting bool          // a call is passed on at the end of the pause
}

// New returns a Pacer for a function. The function must not block.
func New(to func()) *Pacer { return &Pacer{to: to} }

// Call passes a call on, now or later. Call never blocks.
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
