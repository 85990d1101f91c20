package main

import (
	"sync"
	"time"
)

// apiPause is the least time from one wake-up by the API server's news to the next: while Services come by the thousand they are
// decided on together. What comes from the wire and from gossip wakes the loop at once.
const apiPause = 50 * time.Millisecond

// pacer passes calls on, one each apiPause at most: the first at once, and those that come too early together, later.
type pacer struct {
	to func()

	// mu guards the rest: several watches call.
	mu      sync.Mutex
	next    time.Time // when the next one may be passed on
	waiting bool      // whether one is going to be
}

// call never blocks.
func (p *pacer) call() {
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
	p.next = now.Add(apiPause)
	p.to()
}

func (p *pacer) late() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.next = false, time.Now().Add(apiPause)
	p.to()
}
