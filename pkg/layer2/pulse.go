package layer2

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// staleAge is the maximum age of a frame when this process reads the frame. Another node may have answered an older
	// question, and an older claim may be out of date. staleAge is half the second after which an asker asks again (RFC
	// 4861, section 10, RETRANS_TIMER; the same in Linux for ARP). A merely busy machine therefore still sends every
	// answer that an asker waits for.
	staleAge = 500 * time.Millisecond
	// standstill is the length of a stall after which other nodes may have taken over the addresses of this node, less
	// a margin, until SetStall sets another length: the other nodes ask this node three times, 80 ms apart, and then ask
	// all stations for 80 ms.
	standstill = 300 * time.Millisecond
	// pulseInterval is the interval at which this process records that it runs. A pause may count as a stall even if
	// the pause is shorter than standstill by up to pulseInterval.
	pulseInterval = 50 * time.Millisecond
)

// pulse is the watchdog for process stalls and uses the monotonic clock. Every goroutine checks pulse before sending
// for an address, because any goroutine may run first after a stall.
type pulse struct {
	began   time.Time
	stall   atomic.Int64 // the length of a stall in nanoseconds
	beat    atomic.Int64 // time of the newest beat, in nanoseconds since began
	stops   atomic.Uint64
	resumed atomic.Uint64 // the number of stops covered by the last Resume
	stood   func()        // nil without Options.Stood
	count   func()

	// mu guards along, and is held during the calls, so that no call follows the end of OnBeat.
	mu    sync.Mutex
	along []*func(now time.Time)
}

// run beats at each tick, reads the heartbeats, and then calls the functions of OnBeat: periodic work shares wake-ups,
// because each wake-up of an idle process has a cost.
func (p *pulse) run(t ticks, read func(now time.Time, b []byte)) {
	b := make([]byte, frameSize)
	for t.next() {
		now := time.Now()
		p.look(now)
		read(now, b)
		p.mu.Lock()
		for _, f := range p.along {
			(*f)(now)
		}
		p.mu.Unlock()
	}
}

// OnBeat calls f every 50 ms while Run runs, until stop is called. All functions are called one after the other on the
// goroutine that watches for stalls. Therefore f must not block, and must not call OnBeat or stop.
func (a *Announcer) OnBeat(f func(now time.Time)) (stop func()) {
	p := &a.pulse
	p.mu.Lock()
	defer p.mu.Unlock()
	p.along = append(p.along, &f)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.along = slices.DeleteFunc(p.along, func(other *func(time.Time)) bool { return other == &f })
	}
}

// start makes now the first beat.
func (p *pulse) start(now time.Time) {
	p.stall.CompareAndSwap(0, int64(standstill))
	p.beat.Store(int64(now.Sub(p.began)))
}

// at returns the time at the given number of nanoseconds since p.began, and the zero time for 0.
func (p *pulse) at(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return p.began.Add(time.Duration(nanos))
}

// look beats. look records a stall before the beat, so that no goroutine sees the beat without the stall.
func (p *pulse) look(now time.Time) {
	last := p.beat.Load()
	if p.late(last, now) {
		p.stop(last, now)
		return
	}
	if at := now.Sub(p.began); at-time.Duration(last) > pulseInterval/4 {
		p.beat.CompareAndSwap(last, int64(at)) // if another goroutine was faster, its beat is as good
	}
}

func (p *pulse) late(last int64, now time.Time) bool {
	return now.Sub(p.began)-time.Duration(last) > time.Duration(p.stall.Load())
}

// SetStall sets the length of a stall of this process after which other nodes may have taken over the addresses of this
// node: more than 50 ms. Before the first call, the length is 300 ms.
func (a *Announcer) SetStall(d time.Duration) { a.pulse.stall.Store(int64(d)) }

// stop records a stall that ended now; last is the beat before the stall. Several goroutines may find the same stall.
func (p *pulse) stop(last int64, now time.Time) {
	p.stops.Add(1)
	if p.beat.CompareAndSwap(last, int64(now.Sub(p.began))) {
		p.count()
	}
	if p.stood != nil {
		p.stood()
	}
}

// behind records a stall because a frame had waited too long: other stations waited for answers of this process too.
// While a stall is already known, the delay belongs to that stall.
func (p *pulse) behind(now time.Time) {
	if p.stood != nil && p.stops.Load() == p.resumed.Load() {
		p.stop(p.beat.Load(), now)
	}
}

// steady beats, and reports whether this node may answer and announce. steady allocates nothing and takes no lock.
func (p *pulse) steady(now time.Time) bool {
	p.look(now)
	return p.stood == nil || p.stops.Load() == p.resumed.Load()
}

// Standstills returns the number of stalls of this process, including a stall that may just have ended. The number only
// grows, and grows by more than one for a stall found by several goroutines.
func (a *Announcer) Standstills() uint64 {
	a.pulse.steady(time.Now())
	return a.pulse.stops.Load()
}

// Resume makes the announcer answer and announce again after a stall, by the newest set. Resume has no effect if
// another stall followed; standstills is the number from Standstills. Resume takes effect together with the preceding
// Set.
func (a *Announcer) Resume(standstills uint64) {
	if a.resume.Swap(standstills) != standstills {
		a.bell.ring()
	}
}
