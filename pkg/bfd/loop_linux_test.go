package bfd

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/session"
	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// testLink puts a session that is Up into a loop. Packets of the session go nowhere.
func testLink(t *testing.T, l *loop, p Profile, number uint32) *link {
	t.Helper()
	s := session.New(p, number, 1, 0)
	for _, state := range []State{Init, Up} {
		s.Receive(0, &wire.Packet{State: state, Final: state == Up, Multiplier: 3, MyDiscriminator: 7,
			YourDiscriminator: number,
			DesiredMinTx:      50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond})
		s.Advance(0)
	}
	k := l.newLink(Target{Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"),
		Profile: p}, s, 0)
	k.retry = never
	l.links = append(l.links, k)
	return k
}

func testLoop(t *testing.T) *loop {
	t.Helper()
	w, err := newWaker()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	p, err := newPoller(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return &loop{m: New(Options{}), poll: p, batch: newBatch(), byNumber: map[uint32]*link{},
		receivers: map[receiverKey]*receiver{},
		pulse:     never}
}

func packet(state State, diagnostic Diagnostic, your uint32) *datagram {
	var b [wire.Size]byte
	(&wire.Packet{State: state, Diagnostic: diagnostic, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: your,
		DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond}).Marshal(&b)
	return &datagram{payload: b[:], from: netip.MustParseAddr("192.0.2.2"), ttl: ttl}
}

// TestFalseAlarm counts a Down of the peer as a false alarm only when this process was late before, and the peer's
// detection time has expired.
func TestFalseAlarm(t *testing.T) {
	for _, c := range []struct {
		name       string
		late       time.Duration
		diagnostic Diagnostic
		after      time.Duration
		want       uint64
	}{
		{"late just before", 110 * time.Millisecond, wire.DetectionTimeExpired, 10 * time.Millisecond, 1},
		{"on time", 10 * time.Millisecond, wire.DetectionTimeExpired, 10 * time.Millisecond, 0},
		{"another reason", 110 * time.Millisecond, wire.PathDown, 10 * time.Millisecond, 0},
		{"late long ago", 110 * time.Millisecond, wire.DetectionTimeExpired, 201 * time.Millisecond, 0},
	} {
		l := testLoop(t)
		k := testLink(t, l, Profile{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond,
			DetectMultiplier: 3}, 1)
		r := &receiver{}
		k.receiver = r
		l.settle(k, 0)
		l.sample(c.late, time.Second)
		l.receive(r, packet(Down, c.diagnostic, 1), time.Second+c.after)
		if got := k.counts.falseAlarms.Load(); got != c.want || k.view.State != Down {
			t.Errorf("%s: %d false alarms, want %d; %v", c.name, got, c.want, k.view.State)
		}
	}
}

// TestAdapt has a late process slow its sessions down, and wake for samples meanwhile.
func TestAdapt(t *testing.T) {
	l := testLoop(t)
	k := testLink(t, l, Profile{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond,
		DetectMultiplier: 3}, 1)
	l.settle(k, 0)
	now := time.Second
	l.adapt(now)
	if k.session.Stretched() != 0 || l.pulse != never {
		t.Fatalf("stretched %d, pulse %v", k.session.Stretched(), l.pulse)
	}
	l.sample(80*time.Millisecond, now)
	now += adaptDelay
	l.adapt(now)
	if k.session.Stretched() != 1 || l.pulse != now+50*time.Millisecond {
		t.Fatalf("stretched %d, pulse %v", k.session.Stretched(), l.pulse)
	}
	for end := now + calmSpan + 3*latenessSpan; now < end; now += 50 * time.Millisecond {
		l.sample(time.Millisecond, now)
		l.adapt(now)
	}
	if k.session.Stretched() != 0 {
		t.Errorf("stretched %d after a calm time", k.session.Stretched())
	}
}

// TestFind selects sessions by discriminator, address and interface.
func TestFind(t *testing.T) {
	l := testLoop(t)
	p := Profile{TransmitInterval: time.Second, ReceiveInterval: time.Second, DetectMultiplier: 3, MinimumTTL: 250}
	k := testLink(t, l, p, 1)
	r := &receiver{}
	k.receiver, k.index = r, 5
	find := func(change func(*datagram, *wire.Packet)) wire.Verdict {
		d, p := datagram{from: k.remote, index: 5, ttl: ttl}, wire.Packet{YourDiscriminator: 1}
		change(&d, &p)
		got, verdict := l.find(r, &d, &p)
		if (got == k) != (verdict == wire.Accepted) && verdict < wire.BadTTL {
			t.Errorf("%v with a session %v", verdict, got != nil)
		}
		return verdict
	}
	for _, c := range []struct {
		name   string
		change func(*datagram, *wire.Packet)
		want   wire.Verdict
	}{
		{"by discriminator", func(*datagram, *wire.Packet) {}, wire.Accepted},
		{"by address", func(_ *datagram, p *wire.Packet) { p.YourDiscriminator = 0 }, wire.Accepted},
		{"another discriminator", func(_ *datagram, p *wire.Packet) { p.YourDiscriminator = 2 }, wire.UnknownSession},
		{"another source", func(d *datagram, _ *wire.Packet) { d.from = k.target.Local }, wire.BadSource},
		{"another source by address", func(d *datagram, p *wire.Packet) {
			d.from, p.YourDiscriminator = k.target.Local,
				0
		}, wire.UnknownSession},
		{"another interface", func(d *datagram, _ *wire.Packet) { d.index = 6 }, wire.BadInterface},
		{"another interface by address", func(d *datagram, p *wire.Packet) { d.index, p.YourDiscriminator = 6, 0 },
			wire.BadInterface},
		{"multihop", func(d *datagram, _ *wire.Packet) { k.target.Multihop, d.ttl = true, 250 }, wire.Accepted},
		{"multihop from too far", func(d *datagram, _ *wire.Packet) { d.ttl = 249 }, wire.BadTTL},
		{"to another local address", func(*datagram, *wire.Packet) { k.receiver = &receiver{} }, wire.UnknownSession},
	} {
		if got := find(c.change); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRoundAllocatesNothing has a round with a packet and a transmission allocate nothing.
func TestRoundAllocatesNothing(t *testing.T) {
	l := testLoop(t)
	k := testLink(t, l, Profile{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond,
		DetectMultiplier: 3}, 1)
	r := &receiver{}
	k.receiver = r
	d := packet(Up, 0, 1)
	start, wall := l.poll.now()
	now := time.Second
	round := func() {
		now += 50 * time.Millisecond
		l.receive(r, d, now)
		l.round(now, wall)
		l.sample(time.Millisecond, now)
		l.deadline()
	}
	if now < start { // the clock of the host counts from its boot
		now = start
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 || k.view.State != Up {
		t.Errorf("%v allocations, %v", n, k.view.State)
	}
}
