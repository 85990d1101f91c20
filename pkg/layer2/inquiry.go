package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// inquiry is an address being probed. An inquiry carries the data of one call of Probe for ports and packet readers.
// Ports and packet readers never wait for the caller of Probe.
type inquiry struct {
	addr  netip.Addr
	to    MAC
	heard chan sighting
	sent  chan sent
	// given is true when the caller has its result, or has given up. Ports then skip the unsent questions.
	given atomic.Bool
	// station notes the claims instead of the caller of Probe; nil for Probe.
	station *Station
}

// sighting is a claim with its time.
type sighting struct {
	claim Claim
	at    time.Time
}

// sent is the report of a port on a question: where and when the port sent the question, or the error.
type sent struct {
	name string // the name of the interface
	at   time.Time
	err  error
}

// sightings is the maximum number of sightings that wait for the caller of Probe. The caller needs far fewer.
const sightings = 16

func newInquiry(addr netip.Addr, o ProbeOptions, ports int) *inquiry {
	return &inquiry{addr: addr, to: o.To, heard: make(chan sighting, sightings), sent: make(chan sent, ports*o.Count)}
}

// inquiries holds all running inquiries, divided by address into shards, so that the cost of changes does not grow with
// the square of the number of inquiries. The zero value is ready for use, and a nil value is empty.
type inquiries struct {
	// mu orders changes: any goroutine may call Probe, and no goroutine may have to wait for a loop to start an
	// inquiry.
	mu     sync.Mutex
	shards [256]atomic.Pointer[map[netip.Addr][]*inquiry] // a stored map never changes
	count  atomic.Int32
}

func (i *inquiries) shard(addr netip.Addr) *atomic.Pointer[map[netip.Addr][]*inquiry] {
	b := addr.As16()
	return &i.shards[b[15]^b[14]]
}

// of returns the inquiries for addr. of takes no lock and allocates nothing.
func (i *inquiries) of(addr netip.Addr) []*inquiry {
	if i == nil || i.count.Load() == 0 {
		return nil
	}
	if m := i.shard(addr).Load(); m != nil {
		return (*m)[addr]
	}
	return nil
}

// hear passes a claim to the inquiries for its address. hear takes no lock, allocates nothing and does not wait. hear
// reports whether the claim is routine: one more answer of a Station.
func (i *inquiries) hear(c Claim) (routine bool) {
	for _, q := range i.of(c.Addr) {
		if q.station != nil {
			routine = q.station.hear(c) || routine
			continue
		}
		select {
		case q.heard <- sighting{c, time.Now()}:
		default:
		}
	}
	return routine
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
