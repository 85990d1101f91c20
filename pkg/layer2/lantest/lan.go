package lantest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// LAN is one segment: a switch that learns hardware addresses, with a link to each interface.
type LAN struct {
	mu       sync.Mutex
	began    time.Time
	random   *rand.Rand
	links    []*link
	stations map[layer2.MAC]*link // what the switch has learned
	trace    []Frame
	queue    []sending
	busy     bool
	macs     uint32
}

// New returns an empty segment whose time begins now. The seed decides which frames a lossy link loses.
func New(seed uint64) *LAN {
	return &LAN{
		began:    time.Now(),
		random:   rand.New(rand.NewPCG(seed, 0)),
		stations: map[layer2.MAC]*link{},
	}
}

// link is a cable from the switch to one interface.
type link struct {
	name    string
	cut     bool
	loss    float64
	island  int
	wants   func(group layer2.MAC) bool
	receive func(frame []byte) [][]byte // what the station sends at once
	state   func() []string             // what the station knows, one thing a line
}

type sending struct {
	from *link
	data []byte
}

// connect adds a link. The caller holds the mutex.
func (l *LAN) connect(ln *link) { l.links = append(l.links, ln) }

// disconnect takes a link away. The caller holds the mutex.
func (l *LAN) disconnect(ln *link) {
	l.links = slices.DeleteFunc(slices.Clone(l.links), func(other *link) bool { return other == ln })
	maps.DeleteFunc(l.stations, func(_ layer2.MAC, at *link) bool { return at == ln })
}

// newMAC returns a locally administered address that no other interface has. The caller holds the mutex.
func (l *LAN) newMAC() layer2.MAC {
	l.macs++
	return layer2.MAC{0x02, 0, 0, byte(l.macs >> 16), byte(l.macs >> 8), byte(l.macs)}
}

// send puts a frame on the wire and delivers it, and whatever is sent in reaction, in order. The caller holds the mutex.
func (l *LAN) send(from *link, data []byte) {
	l.queue = append(l.queue, sending{from, append([]byte(nil), data...)})
	if l.busy {
		return
	}
	l.busy = true
	for len(l.queue) > 0 {
		s := l.queue[0]
		l.queue = l.queue[1:]
		l.forward(s)
	}
	l.busy = false
}

func (l *LAN) forward(s sending) {
	f := Frame{At: time.Since(l.began), From: s.from.name, Data: s.data}
	defer func() { l.trace = append(l.trace, f) }()
	if len(s.data) < ethernetHeader || s.from.cut || l.lost(s.from) {
		return
	}
	destination, source := layer2.MAC(s.data[0:6]), layer2.MAC(s.data[6:12])
	l.stations[source] = s.from
	for _, to := range l.links {
		if to == s.from || to.cut || to.island != s.from.island {
			continue
		}
		if group := destination[0]&1 != 0; group && !to.wants(destination) {
			continue // the switch listens to MLD reports
		} else if at := l.stations[destination]; !group && at != nil && at != to {
			continue
		}
		if l.lost(to) {
			continue
		}
		f.To = append(f.To, to.name)
		for _, reaction := range to.receive(s.data) {
			l.queue = append(l.queue, sending{to, reaction})
		}
	}
}

func (l *LAN) lost(ln *link) bool { return ln.loss > 0 && l.random.Float64() < ln.loss }

// Partition cuts the segment in two: the named interfaces ("node/eth0") and hosts hear only each other, and so do the rest.
func (l *LAN) Partition(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.links {
		ln.island = 0
		for _, name := range names {
			if ln.name == name {
				ln.island = 1
			}
		}
	}
}

// Heal ends the partition.
func (l *LAN) Heal() { l.Partition() }

// Cut interrupts the link of the named interface or host somewhere on the way, so that both ends keep their carrier, or
// mends it.
func (l *LAN) Cut(name string, cut bool) { l.change(name, func(ln *link) { ln.cut = cut }) }

// Lose makes the link of the named interface or host lose that part of the frames in each direction, from 0 to 1.
func (l *LAN) Lose(name string, part float64) { l.change(name, func(ln *link) { ln.loss = part }) }

func (l *LAN) change(name string, set func(*link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.links {
		if ln.name == name {
			set(ln)
			return
		}
	}
	panic(fmt.Sprintf("lantest: no link %q", name)) // a mistake in the test itself
}

// Trace returns all frames that were sent so far, lost ones included.
func (l *LAN) Trace() []Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Frame(nil), l.trace...)
}

// From returns the frames that the named interface or host has sent.
func (l *LAN) From(name string) []Frame {
	var frames []Frame
	for _, f := range l.Trace() {
		if f.From == name {
			frames = append(frames, f)
		}
	}
	return frames
}

// String returns the state of the segment (links, what the switch has learned, caches and multicast groups) and the trace,
// as text that is the same for the same history.
func (l *LAN) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, ln := range l.links {
		fmt.Fprintf(&b, "link %s island=%d cut=%t loss=%.2f\n", ln.name, ln.island, ln.cut, ln.loss)
		var learned []string
		for mac, at := range l.stations {
			if at == ln {
				learned = append(learned, "station "+mac.String())
			}
		}
		slices.Sort(learned)
		for _, line := range append(learned, ln.state()...) {
			fmt.Fprintln(&b, "  "+line)
		}
	}
	for _, f := range l.trace {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}
