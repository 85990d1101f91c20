package bgp

import (
	"context"
	"fmt"
	"sync"
)

// Detach stops all sessions at a message boundary, and returns the established ones for the next process of the node.
// The caller closes the files after that process has them. Until Resume this process sends and receives nothing; when
// Run ends instead, it ends without a word to the routers. Sessions that are not established end. Detach waits for no
// router, and so needs no context.
func (s *Speaker) Detach(context.Context) []Detached {
	s.mu.Lock()
	s.detached = true
	var workers []*worker
	for _, p := range s.wanted {
		if w := s.workers[p.Name]; w != nil {
			workers = append(workers, w)
		}
	}
	s.mu.Unlock()
	answers := make([]chan *Detached, len(workers))
	for i, w := range workers {
		answers[i] = make(chan *Detached, 1)
		w.mailbox.change(func(m *mail) { m.detach = answers[i] })
	}
	var list []Detached
	for i, w := range workers {
		select {
		case d := <-answers[i]:
			if d != nil {
				list = append(list, *d)
				s.shared.metrics.handedOver(handoverDetached)
			}
		case <-w.done:
		}
	}
	s.bfd.detach(list)
	return list
}

// Resume continues after Detach, when no other process has taken over the sessions.
func (s *Speaker) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.detached {
		return
	}
	s.detached = false
	s.bfd.resume()
	for _, w := range s.workers {
		w.mailbox.change(func(m *mail) { m.detach, m.resume = nil, true })
	}
	ring(s.wake)
}

// Flushed waits until each router whose session is established was sent all that the last Set changes: the kernel has
// the bytes. It returns an error when ctx ends before.
func (s *Speaker) Flushed(ctx context.Context) error {
	for {
		wait := s.shared.progress.wait()
		pending := s.pending()
		if pending == "" {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return fmt.Errorf("send updates to %s: %w", pending, context.Cause(ctx))
		}
	}
}

// pending returns the name of a peer that was not sent everything, empty for none.
func (s *Speaker) pending() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.wanted {
		w := s.workers[p.Name]
		if w == nil {
			return p.Name
		}
		if shown := w.shown.Load(); shown.generation < s.generation || !shown.flushed {
			return p.Name
		}
	}
	return ""
}

// broadcast wakes all who wait. The mutex guards the channel that they wait for.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// wait returns a channel that is closed by the next wake.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
