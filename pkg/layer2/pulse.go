package layer2

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// staleAge is how old a frame may be when it is read. What it asks was answered by another node meanwhile if there is one, and
	// what it claims may be over. It is half the second after which an asker asks again (RFC 4861, section 10, RETRANS_TIMER;
	// the same in Linux for ARP), so that a machine that is merely busy loses nobody an answer that was still waited for.
	staleAge = 500 * time.Millisecond
	// standstill is how long this process must not have run for others to have taken over what it answers for, less some margin:
	// they ask three times, 80 ms apart, and then everybody for 80 ms.
	standstill = 300 * time.Millisecond
	// pulseInterval is how often this process notes that it runs. A pause that is so much shorter may pass for a standstill.
	pulseInterval = 50 * time.Millisecond
)

// pulse knows by the monotonic clock whether this process has run all the time: whoever is about to send on behalf of an address looks
// at it first, for after a standstill nobody can know which goroutine runs first.
type pulse struct {
	began   time.Time
	beat    atomic.Int64 // the newest, in nanoseconds since began
	stops   atomic.Uint64
	resumed atomic.Uint64 // up to which of the stops all is known again
	stood   func()        // nil for nobody who could know
	count   func()
}

// run beats until ctx is done, unless something else does: an idle process costs what it is woken.
func (p *pulse) run(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		now := time.Now()
		left := time.Duration(p.beat.Load()) + pulseInterval - now.Sub(p.began)
		if left <= 0 || left > pulseInterval {
			p.look(now)
			left = pulseInterval
		}
		rest.Reset(left)
	}
}

// start makes now the first beat.
func (p *pulse) start(now time.Time) { p.beat.Store(int64(now.Sub(p.began))) }

// look beats. It has a standstill noted before the beat, so that nobody sees the one without the other.
func (p *pulse) look(now time.Time) {
	last := p.beat.Load()
	if p.late(last, now) {
		p.stop(last, now)
		return
	}
	if at := now.Sub(p.began); at-time.Duration(last) > pulseInterval/4 {
		p.beat.CompareAndSwap(last, int64(at)) // where another one was faster, its beat is as good
	}
}

func (p *pulse) late(last int64, now time.Time) bool {
	return now.Sub(p.began)-time.Duration(last) > standstill
}

// stop notes a standstill that ended now; last is the beat before it. Several goroutines may find the same one.
func (p *pulse) stop(last int64, now time.Time) {
	p.stops.Add(1)
	if p.beat.CompareAndSwap(last, int64(now.Sub(p.began))) {
		p.count()
	}
	if p.stood != nil {
		p.stood()
	}
}

// behind notes that a frame had waited for too long: whatever kept it, others were kept waiting for answers too. While a standstill is
// known already, that is a part of it.
func (p *pulse) behind(now time.Time) {
	if p.stood != nil && p.stops.Load() == p.resumed.Load() {
		p.stop(p.beat.Load(), now)
	}
}

// steady beats, and reports whether this node may answer and announce. It allocates nothing and takes no lock.
func (p *pulse) steady(now time.Time) bool {
	p.look(now)
	return p.stood == nil || p.stops.Load() == p.resumed.Load()
}

// Standstills returns how often this process was found to have stood still, the one included that may just have ended. It counts up,
// by more than one for a standstill that several found.
func (a *Announcer) Standstills() uint64 {
	a.pulse.steady(time.Now())
	return a.pulse.stops.Load()
}

// Resume has the announcer answer and announce again after a standstill, by the newest set, if there was none after the one with
// that number. It takes effect together with the Set before it.
func (a *Announcer) Resume(standstills uint64) {
	if a.resume.Swap(standstills) != standstills {
		a.bell.ring()
	}
}
