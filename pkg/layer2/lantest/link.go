package lantest

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// link is a cable from the switch to one interface.
type link struct {
	name          string
	mute, deaf    bool // mute drops all frames from the station, and deaf all frames to the station
	loss          float64
	duplicate     float64
	delay, jitter time.Duration
	island        int
	wants         func(group layer2.MAC) bool
	receive       func(frame []byte) [][]byte // returns the frames that the station sends at once in reaction
	state         func() []string             // returns the state of the station, one line for each fact
	sent          Count
	received      Count
}

// Count counts frames, and their bytes without padding and check sequences.
type Count struct{ Frames, Bytes uint64 }

func (c *Count) add(frame []byte) {
	c.Frames++
	c.Bytes += uint64(len(frame))
}

// Traffic returns the counts of the named interface or host: the frames sent so far, lost frames included, and the
// frames received.
func (l *LAN) Traffic(name string) (sent, received Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.find(name)
	return ln.sent, ln.received
}

// String returns the line about the link for LAN.String. Mute, deaf, duplicate, delay and jitter appear only if set.
func (ln *link) String() string {
	s := fmt.Sprintf("link %s island=%d cut=%t loss=%.2f", ln.name, ln.island, ln.mute && ln.deaf, ln.loss)
	if ln.mute != ln.deaf {
		s += fmt.Sprintf(" mute=%t deaf=%t", ln.mute, ln.deaf)
	}
	if ln.duplicate > 0 {
		s += fmt.Sprintf(" duplicate=%.2f", ln.duplicate)
	}
	if ln.delay > 0 || ln.jitter > 0 {
		s += fmt.Sprintf(" delay=%s jitter=%s", ln.delay, ln.jitter)
	}
	return s
}

// flight is a frame in transit on a link.
type flight struct {
	due    time.Time
	arrive func()
}

// pass sends a frame through a link and calls arrive for each copy at the other end, at once or later. The caller of
// pass holds the mutex, and pass calls arrive with the mutex held.
func (l *LAN) pass(ln *link, arrive func()) {
	if l.happens(ln.loss) {
		return
	}
	copies := 1
	if l.happens(ln.duplicate) {
		copies = 2
	}
	for range copies {
		d := ln.delay
		if ln.jitter > 0 {
			d += time.Duration(l.random.Int64N(int64(ln.jitter)))
		}
		if d <= 0 {
			arrive()
			continue
		}
		due := time.Now().Add(d)
		at := sort.Search(len(l.flights), func(i int) bool { return l.flights[i].due.After(due) })
		l.flights = slices.Insert(l.flights, at, flight{due, arrive})
		time.AfterFunc(d, l.land)
	}
}

// happens returns true with the given probability.
func (l *LAN) happens(probability float64) bool {
	return probability > 0 && l.random.Float64() < probability
}

// land delivers all frames whose arrival time has come. Frames with the same arrival time arrive in the order of
// sending, whichever timer calls first.
func (l *LAN) land() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.flights) > 0 && !l.flights[0].due.After(time.Now()) {
		f := l.flights[0]
		l.flights = l.flights[1:]
		f.arrive()
		l.drain()
	}
}

// Partition cuts the segment in two: the named interfaces ("node/eth0") and hosts hear only each other, and the other
// interfaces and hosts hear only each other.
func (l *LAN) Partition(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ln := range l.links {
		ln.island = 0
		if slices.Contains(names, ln.name) {
			ln.island = 1
		}
	}
}

// Heal ends the partition.
func (l *LAN) Heal() { l.Partition() }

// Cut interrupts or restores the link of the named interface or host in the middle, so that both ends keep their
// carrier. Frames in transit still arrive.
func (l *LAN) Cut(name string, cut bool) {
	l.change(name, func(ln *link) { ln.mute, ln.deaf = cut, cut })
}

// Mute interrupts or restores the sending direction of the link: a muted station hears but is not heard.
func (l *LAN) Mute(name string, mute bool) { l.change(name, func(ln *link) { ln.mute = mute }) }

// Deafen interrupts or restores the receiving direction of the link: a deafened station is heard but does not hear.
func (l *LAN) Deafen(name string, deaf bool) { l.change(name, func(ln *link) { ln.deaf = deaf }) }

// Lose makes the link of the named interface or host lose the given part of the frames in each direction, from 0 to 1.
func (l *LAN) Lose(name string, part float64) { l.change(name, func(ln *link) { ln.loss = part }) }

// Duplicate makes the link deliver the given part of the frames twice in each direction, from 0 to 1.
func (l *LAN) Duplicate(name string, part float64) {
	l.change(name, func(ln *link) { ln.duplicate = part })
}

// Delay delays each frame on the link in each direction by delay, plus a random time up to jitter. With jitter, frames
// overtake each other. Neither value may be negative.
func (l *LAN) Delay(name string, delay, jitter time.Duration) {
	l.change(name, func(ln *link) { ln.delay, ln.jitter = delay, jitter })
}

func (l *LAN) change(name string, set func(*link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(l.find(name))
}

// find returns the link of the named interface or host. The caller holds the mutex.
func (l *LAN) find(name string) *link {
	i := slices.IndexFunc(l.links, func(ln *link) bool { return ln.name == name })
	if i < 0 {
		panic(fmt.Sprintf("lantest: no link %q", name)) // an error in the test itself
	}
	return l.links[i]
}
