package bgp

import (
	"sync"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/session"
)

// mailbox holds requests for the goroutine of a peer. A writer never waits: a new value replaces an unread one. The
// mutex guards a few values that several goroutines write.
type mailbox struct {
	wake chan struct{} // of capacity 1

	mu sync.Mutex
	mail
}

// mail is the content of a mailbox. The zero value asks nothing.
type mail struct {
	peer       *Peer
	generation uint64
	stop       *session.StopReason
	detach     chan<- *Detached
	resume     bool
	// bfd is the newest state of the BFD session. bfdDown is true when the session went from Up to Down, even if it is
	// up again.
	bfd     *bfd.Status
	bfdDown bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// change applies f to the content and wakes the reader.
func (b *mailbox) change(f func(*mail)) {
	b.mu.Lock()
	f(&b.mail)
	b.mu.Unlock()
	ring(b.wake)
}

// take empties the mailbox.
func (b *mailbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mail
	b.mail = mail{}
	return m
}

// ring wakes the reader of a channel of capacity 1.
func ring(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
