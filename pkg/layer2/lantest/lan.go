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
	stations map[layer2.MAC]*link // the MAC table of the switch
	trace    []Frame
	tap      func(Frame) // receives the frames instead of the trace, nil for none
	queue    []sending
	busy     bool
	flights  []flight // sorted by arrival time, the earliest first
	macs     uint32
}

// New returns an empty segment. Time on the segment begins now. The seed determines which frames the links lose and
// duplicate, and the delay of each frame.
func New(seed uint64) *LAN {
	return &LAN{
		began:    time.Now(),
		random:   rand.New(rand.NewPCG(seed, 0)),
		stations: map[layer2.MAC]*link{},
	}
}

// Began returns the time from which the times of frames are counted.
func (l *LAN) Began() time.Time { return l.began }

type sending struct {
	from *link
	data []byte
}

// connect adds a link. The caller holds the mutex.
func (l *LAN) connect(ln *link) { l.links = append(l.links, ln) }

// disconnect removes a link. The caller holds the mutex.
func (l *LAN) disconnect(ln *link) {
	l.links = slices.DeleteFunc(slices.Clone(l.links), func(other *link) bool { return other == ln })
	maps.DeleteFunc(l.stations, func(_ layer2.MAC, at *link) bool { return at == ln })
}

// newMAC returns a locally administered address that no other interface has. The caller holds the mutex.
func (l *LAN) newMAC() layer2.MAC {
	l.macs++
	return layer2.MAC{0x02, 0, 0, byte(l.macs >> 16), byte(l.macs >> 8), byte(l.macs)}
}

// send sends and delivers a frame, and all frames sent in reaction, in order. The caller holds the mutex.
func (l *LAN) send(from *link, data []byte) {
	l.queue = append(l.queue, sending{from, append([]byte(nil), data...)})
	l.drain()
}

// drain sends the queued frames. The caller holds the mutex.
func (l *LAN) drain() {
	if l.busy {
		return
	}
	l.busy = true
	for len(l.queue) > 0 {
		s := l.queue[0]
		l.queue = l.queue[1:]
		number := len(l.trace)
		f := Frame{At: time.Since(l.began), From: s.from.name, Data: s.data}
		if l.tap != nil {
			l.tap(f)
			number = untraced
		} else {
			l.trace = append(l.trace, f)
		}
		s.from.sent.add(s.data)
		if len(s.data) >= ethernetHeader && !s.from.mute {
			l.pass(s.from, func() { l.forward(s, number) })
		}
	}
	l.busy = false
}

// untraced is the number of a frame outside the trace.
const untraced = -1

// forward makes the switch forward a frame. number is the number of the frame in the trace. The caller holds the mutex.
func (l *LAN) forward(s sending, number int) {
	destination, source := layer2.MAC(s.data[0:6]), layer2.MAC(s.data[6:12])
	l.stations[source] = s.from
	group := destination[0]&1 != 0
	links := l.links
	if at := l.stations[destination]; !group && at != nil {
		links = []*link{at}
	}
	for _, to := range links {
		if to == s.from || to.deaf || to.island != s.from.island {
			continue
		}
		if group && !to.wants(destination) {
			continue // the switch filters groups by MLD reports
		}
		l.pass(to, func() {
			if number != untraced {
				l.trace[number].To = append(l.trace[number].To, to.name)
			}
			to.received.add(s.data)
			for _, reaction := range to.receive(s.data) {
				l.queue = append(l.queue, sending{to, reaction})
			}
		})
	}
}

// Tap makes the segment call see with each frame from now on and keep no trace: the trace of many nodes over a long
// time would fill the memory. The segment calls see with the mutex held. see may keep the frame.
func (l *LAN) Tap(see func(Frame)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap = see
}

// Trace returns all frames sent so far, including lost frames.
func (l *LAN) Trace() []Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Frame(nil), l.trace...)
}

// From returns the frames sent by the named interface or host.
func (l *LAN) From(name string) []Frame {
	var frames []Frame
	for _, f := range l.Trace() {
		if f.From == name {
			frames = append(frames, f)
		}
	}
	return frames
}

// String returns the state of the segment (links, MAC table, caches and multicast groups) and the trace, as text. Equal
// histories give equal texts.
func (l *LAN) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, ln := range l.links {
		fmt.Fprintln(&b, ln)
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
