package session

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

var laws = flag.Int("laws", 300, "number of random histories")

// TestLaw has two sessions live through random histories of a link in simulated time, and holds them to three laws:
//
//   - Without loss, delays and reordering below the slack of the profile take no session down, and neither do changes of
//     profiles, slow-downs and handovers.
//   - After silence in one direction the receiving end is Down within its detection time. The other end learns that at once
//     from an active end, and within its own detection time from a passive one.
//   - After healing both ends are Up within a few slow intervals, with the negotiated intervals.
func TestLaw(t *testing.T) {
	for seed := range *laws {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := newWorld(t, uint64(seed))
			w.run(5 * time.Second)
			w.bothUp("at the start")
			w.lossless = true
			for range 8 {
				w.disturb()
				w.run(time.Duration(w.random.Int64N(int64(3 * time.Second))))
			}
			w.run(30 * time.Second) // both ends are at their intervals
			w.bothUp("without loss")
			w.settled()
			w.lossless = false
			w.silence()
			w.run(5 * time.Second)
			w.bothUp("after healing")
			w.loss = 0.4
			w.run(20 * time.Second)
			w.loss = 0
			w.run(10 * time.Second)
			w.bothUp("after loss")
			w.run(10 * time.Second)
			w.settled()
		})
	}
}

// world is two ends and the link between them.
type world struct {
	t      *testing.T
	random *rand.Rand
	now    time.Duration
	ends   [2]*end
	wire   flight
	// loss is the share of lost packets. cut[i] is true when packets of end i are lost. slack bounds the delay.
	loss  float64
	cut   [2]bool
	slack time.Duration
	// lossless is true while no session may go down.
	lossless bool
}

// end is a session with its profile.
type end struct {
	s       *Session
	profile Profile
	state   wire.State
	// changed is the time of the last change of state.
	changed time.Duration
	// said holds the intervals of the last packet. last is the latest arrival of a packet. No packet arrives before
	// barrier.
	said          [2]time.Duration
	last, barrier time.Duration
}

// parcel is a packet on its way.
type parcel struct {
	at time.Duration
	to int
	b  [wire.Size]byte
}

// flight is a heap of parcels.
type flight []parcel

func (f flight) Len() int           { return len(f) }
func (f flight) Less(i, j int) bool { return f[i].at < f[j].at }
func (f flight) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)        { *f = append(*f, x.(parcel)) }
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1))}
	w.slack = 2 * time.Millisecond
	for i := range w.ends {
		p := w.profile()
		w.ends[i] = &end{profile: p, state: wire.Down, s: New(p, uint32(i)+1, seed, 0)}
	}
	if w.random.IntN(4) == 0 {
		w.ends[1].profile.Passive = true
		w.ends[1].s.Configure(w.ends[1].profile, 0)
	}
	return w
}

func (w *world) profile() Profile {
	intervals := []time.Duration{10, 20, 50, 100, 300, 1000, 1500}
	pick := func() time.Duration { return intervals[w.random.IntN(len(intervals))] * time.Millisecond }
	return Profile{TransmitInterval: pick(), ReceiveInterval: pick(), DetectMultiplier: uint8(2 + w.random.IntN(5))}
}

// run lets the time pass.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	for stop := w.now + d; ; {
		at, next := stop, -1
		for i, e := range w.ends {
			if deadline := e.s.Deadline(); deadline <= at {
				at, next = deadline, i
			}
		}
		if len(w.wire) > 0 && w.wire[0].at <= at { // what has arrived is read before the peer is judged
			p := heap.Pop(&w.wire).(parcel)
			w.now = max(w.now, p.at)
			w.deliver(p)
			continue
		}
		w.now = max(w.now, at)
		if next < 0 {
			return
		}
		packet, send := w.ends[next].s.Advance(w.now)
		w.after(next, packet, send)
	}
}

func (w *world) deliver(p parcel) {
	w.t.Helper()
	packet, verdict := wire.Parse(p.b[:])
	if verdict != wire.Accepted {
		w.t.Fatalf("%v: %v: %x", w.now, verdict, p.b)
	}
	e := w.ends[p.to]
	if packet.YourDiscriminator != 0 && packet.YourDiscriminator != e.s.Discriminator() {
		w.t.Fatalf("%v: a packet for session %d", w.now, packet.YourDiscriminator)
	}
	reply, send, verdict := e.s.Receive(w.now, &packet)
	if verdict != wire.Accepted {
		w.t.Fatalf("%v: %v", w.now, verdict)
	}
	w.after(p.to, reply, send)
}

// after checks a change of state and puts a packet on the wire.
func (w *world) after(i int, packet wire.Packet, send bool) {
	w.t.Helper()
	e := w.ends[i]
	if state := e.s.State(); state != e.state {
		if w.lossless {
			w.t.Fatalf("%v: end %d went from %v to %v without loss: %+v", w.now, i, e.state, state, e.s.View())
		}
		e.state, e.changed = state, w.now
	}
	if !send {
		return
	}
	if packet.Poll && packet.Final {
		w.t.Fatalf("%v: end %d sends P and F", w.now, i)
	}
	if packet.State != wire.Up && packet.DesiredMinTx < time.Second {
		w.t.Fatalf("%v: end %d promises %v while %v", w.now, i, packet.DesiredMinTx, packet.State)
	}
	if w.cut[i] || w.random.Float64() < w.loss {
		return
	}
	p := parcel{at: w.now + time.Duration(w.random.Int64N(int64(w.slack))), to: 1 - i}
	// A packet does not overtake an older one with other intervals: without sequence numbers the peer would take the
	// old intervals for the new ones, and no session can do anything about that.
	if intervals := [2]time.Duration{packet.DesiredMinTx, packet.RequiredMinRx}; intervals != e.said {
		e.said, e.barrier = intervals, e.last
	}
	p.at = max(p.at, e.barrier)
	e.last = max(e.last, p.at)
	packet.Marshal(&p.b)
	heap.Push(&w.wire, p)
}

// disturb does something that must not take a session down.
func (w *world) disturb() {
	w.t.Helper()
	e := w.ends[w.random.IntN(2)]
	switch w.random.IntN(4) {
	case 0:
		p := w.profile()
		p.Passive = e.profile.Passive
		e.profile = p
		e.s.Configure(p, w.now)
	case 1:
		e.s.Stretch(uint8(w.random.IntN(MaxStretch+1)), w.now)
	case 2:
		b, err := e.s.Encode(w.now)
		if err == nil {
			e.s, err = Restore(b, e.profile, w.random.Uint64(), w.now)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	case 3: // delays and reordering within what each profile allows: one interval of 10 ms less jitter is due anyway
		w.slack = time.Millisecond + time.Duration(w.random.Int64N(int64(8*time.Millisecond)))
	}
}

// silence cuts one direction and checks both ends.
func (w *world) silence() {
	w.t.Helper()
	cut := w.random.IntN(2)
	hears, deaf := w.ends[cut], w.ends[1-cut]
	detection, start := deaf.s.View().DetectionTime, w.now
	w.cut[cut] = true
	w.run(detection + w.slack)
	if deaf.state != wire.Down || deaf.s.View().Diagnostic != wire.DetectionTimeExpired {
		w.t.Fatalf("end %d is %v %v after the silence: %+v", 1-cut, deaf.state, w.now-start, deaf.s.View())
	}
	want := wire.NeighborSignaledDown
	if deaf.profile.Passive { // a passive end falls silent with its peer (RFC 5880, section 6.8.7)
		want = wire.DetectionTimeExpired
		w.run(hears.s.View().DetectionTime)
	}
	w.run(w.slack)
	if hears.state == wire.Up || hears.s.View().Diagnostic != want {
		w.t.Fatalf("end %d was not told: %+v", cut, hears.s.View())
	}
	w.run(time.Second)
	for i, e := range w.ends {
		if e.state == wire.Up {
			w.t.Fatalf("end %d is Up although one direction is cut", i)
		}
	}
	w.cut[cut] = false
}

func (w *world) bothUp(when string) {
	w.t.Helper()
	for i, e := range w.ends {
		if e.state != wire.Up {
			w.t.Fatalf("%v: end %d is %v %s: %+v", w.now, i, e.state, when, e.s.View())
		}
	}
}

// settled checks the negotiated intervals of both ends against a computation from the profiles.
func (w *world) settled() {
	w.t.Helper()
	for i, e := range w.ends {
		peer := w.ends[1-i]
		tx := max(stretched(e.profile.TransmitInterval, e.s.Stretched()), stretched(peer.profile.ReceiveInterval,
			peer.s.Stretched()))
		from := max(stretched(peer.profile.TransmitInterval, peer.s.Stretched()), stretched(e.profile.ReceiveInterval,
			e.s.Stretched()))
		v := e.s.View()
		if v.TransmitInterval != tx || v.DetectionTime != time.Duration(peer.profile.DetectMultiplier)*from {
			w.t.Fatalf("%v: end %d sends each %v, want %v; detects in %v, want %d x %v", w.now, i, v.TransmitInterval,
				tx, v.DetectionTime,
				peer.profile.DetectMultiplier, from)
		}
	}
}
