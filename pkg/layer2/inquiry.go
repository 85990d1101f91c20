package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// inquiry is an address that is being asked for: what ports and packet readers need of a call of Probe. They never wait for
// its caller.
type inquiry struct {
	addr  netip.Addr
	to    MAC
	heard chan sighting
	sent  chan sent
	// given is true when the caller has its result, or has given up: what was not yet sent need not be.
	given atomic.Bool
}

// sighting is a claim with its time.
type sighting struct {
	claim Claim
	at    time.Time
}

// sent is what a port reports of a question: that it was sent, or why not.
type sent struct {
	name string // of the interface
	at   time.Time
	err  error
}

// sightings is how many may wait for the caller of Probe. It has seen enough long before there are more.
const sightings = 16

func newInquiry(addr netip.Addr, o ProbeOptions, ports int) *inquiry {
	return &inquiry{addr: addr, to: o.To, heard: make(chan sighting, sightings), sent: make(chan sent, ports*o.Count)}
}

// inquiries are all that run, divided by address, so that the cost of a change does not grow with their square. The zero value is
// ready, and a nil one has none.
type inquiries struct {
	// mu orders changes; any goroutine may call Probe, and none of them may wait for a loop to start one.
	mu     sync.Mutex
	shards [256]atomic.Pointer[map[netip.Addr][]*inquiry] // never changed after they were stored
	count  atomic.Int32
}

func (i *inquiries) shard(addr netip.Addr) *atomic.Pointer[map[netip.Addr][]*inquiry] {
	b := addr.As16()
	return &i.shards[b[15]^b[14]]
}

// of returns those for addr. It takes no lock and allocates nothing.
func (i *inquiries) of(addr netip.Addr) []*inquiry {
	if i == nil || i.count.Load() == 0 {
		return nil
	}
	if m := i.shard(addr).Load(); m != nil {
		return (*m)[addr]
	}
	return nil
}

// hear tells those who ask for it of a claim. It takes no lock, allocates nothing and does not wait.
func (i *inquiries) hear(c Claim) {
	for _, q := range i.of(c.Addr) {
		select {
		case q.heard <- sighting{c, time.Now()}:
		default:
		}
	}
}

func (i *inquiries) add(q *inquiry) {
	i.change(q.addr, func(list []*inquiry) []*inquiry { return append(slices.Clone(list), q) })
	i.count.Add(1)
}

func (i *inquiries) remove(q *inquiry) {
	i.count.Add(-1)
	i.change(q.addr, func(list []*inquiry) []*inquiry {
		return slices.DeleteFunc(slices.Clone(list), func(other *inquiry) bool { return other == q })
	})
}

func (i *inquiries) change(addr netip.Addr, edit func([]*inquiry) []*inquiry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	shard := i.shard(addr)
	next := map[netip.Addr][]*inquiry{}
	if m := shard.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if list := edit(next[addr]); len(list) > 0 {
		next[addr] = list
	} else {
		delete(next, addr)
	}
	shard.Store(&next)
}
