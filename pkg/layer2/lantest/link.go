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
	mute, deaf    bool // lets nothing through from the station, or to it
	loss          float64
	duplicate     float64
	delay, jitter time.Duration
	island        int
	wants         func(group layer2.MAC) bool
	receive       func(frame []byte) [][]byte // what the station sends at once
	state         func() []string             // what the station knows, one thing a line
	sent          Count
	received      Count
}

// Count counts frames, and their bytes without padding and check sequences.
type Count struct{ Frames, Bytes uint64 }

func (c *Count) add(frame []byte) {
	c.Frames++
	c.Bytes += uint64(len(frame))
}

// Traffic returns what the named interface or host has sent so far, lost frames included, and what has reached it.
func (l *LAN) Traffic(name string) (sent, received Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.find(name)
	return ln.sent, ln.received
}

// String returns what the segment prints of the link: beyond the usual only what is not as it should be.
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

// flight is a frame that is underway on a link.
type flight struct {
	due    time.Time
	arrive func()
}

// pass has a frame go through a link: arrive is called for each copy that comes out at the other end, at once or later. The
// caller holds the mutex, and so does that of arrive.
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

// happens draws whether something does that has this probability.
func (l *LAN) happens(probability float64) bool {
	return probability > 0 && l.random.Float64() < probability
}

// land has the frames arrive whose time has come: those of one moment in the order in which they were sent, whichever timer is
// the first to call.
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

// Partition cuts the segment in two: the named interfaces ("node/eth0") and hosts hear only each other, and so do the rest.
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

// Cut interrupts the link of the named interface or host somewhere on the way, so that both ends keep their carrier, or
// mends it. What is underway arrives.
func (l *LAN) Cut(name string, cut bool) {
	l.change(name, func(ln *link) { ln.mute, ln.deaf = cut, cut })
}

// Mute interrupts, or mends, the one direction of that link in which the station sends: it hears and is not heard.
func (l *LAN) Mute(name string, mute bool) { l.change(name, func(ln *link) { ln.mute = mute }) }

// Deafen interrupts, or mends, the one direction of that link in which the station receives: it is heard and does not hear.
func (l *LAN) Deafen(name string, deaf bool) { l.change(name, func(ln *link) { ln.deaf = deaf }) }

// Lose makes the link of the named interface or host lose that part of the frames in each direction, from 0 to 1.
func (l *LAN) Lose(name string, part float64) { l.change(name, func(ln *link) { ln.loss = part }) }

// Duplicate makes the link deliver that part of the frames twice in each direction, from 0 to 1.
func (l *LAN) Duplicate(name string, part float64) {
	l.change(name, func(ln *link) { ln.duplicate = part })
}

// Delay makes each frame take so long through the link in each direction, and up to jitter longer: with jitter, frames
// overtake each other. Neither may be less than 0.
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
		panic(fmt.Sprintf("lantest: no link %q", name)) // a mistake in the test itself
	}
	return l.links[i]
}
