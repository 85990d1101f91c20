package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// upSession returns a session that is Up at time 0, with a peer that promises 50 ms.
func upSession(t testing.TB, p Profile) *Session {
	t.Helper()
	s := New(p, 1, 1, 0)
	for _, state := range []wire.State{wire.Init, wire.Up} {
		if _, _, verdict := s.Receive(0, &wire.Packet{State: state, Final: state == wire.Up, Multiplier: 3,
			MyDiscriminator:   7,
			YourDiscriminator: 1, DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond}); verdict != wire.Accepted {
			t.Fatal(verdict)
		}
		s.Advance(0)
	}
	if s.State() != wire.Up {
		t.Fatalf("%+v", s.View())
	}
	return s
}

var fast = Profile{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond, DetectMultiplier: 3}

// TestTransitions compares the table with the text of RFC 5880, section 6.8.6, for each state and each received state.
func TestTransitions(t *testing.T) {
	for own := range wire.StateCount {
		for got := range wire.StateCount {
			want := wire.State(own)
			switch own, got := wire.State(own), wire.State(got); {
			case own == wire.AdminDown:
			case got == wire.AdminDown:
				want = wire.Down
			case own == wire.Down && got == wire.Down:
				want = wire.Init
			case own == wire.Down && got == wire.Init:
				want = wire.Up
			case own == wire.Init && (got == wire.Init || got == wire.Up):
				want = wire.Up
			case own == wire.Up && got == wire.Down:
				want = wire.Down
			}
			if next[own][got] != want {
				t.Errorf("%v receives %v: %v, want %v", wire.State(own), wire.State(got), next[own][got], want)
			}
		}
	}
}

// TestJitter has intervals between 75 % and 100 %, and uses that range.
func TestJitter(t *testing.T) {
	s := upSession(t, fast)
	least, most, last := time.Hour, time.Duration(0), time.Duration(-1)
	for now := time.Duration(0); now < 100*time.Second; now = s.Deadline() {
		s.Receive(now, &wire.Packet{State: wire.Up, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1,
			DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond})
		if _, send := s.Advance(now); send {
			if last >= 0 {
				least, most = min(least, now-last), max(most, now-last)
			}
			last = now
		}
	}
	if least < 37500*time.Microsecond || least > 38*time.Millisecond || most > 50*time.Millisecond ||
		most < 49500*time.Microsecond {
		t.Errorf("intervals from %v to %v", least, most)
	}
}

// TestClamped has New refuse profiles that would send without pause.
func TestClamped(t *testing.T) {
	s := upSession(t, Profile{})
	if v := s.View(); v.TransmitInterval != 50*time.Millisecond { // the peer's RequiredMinRx
		t.Errorf("%+v", v)
	}
	s.Receive(0, &wire.Packet{State: wire.Up, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1,
		RequiredMinRx: time.Microsecond})
	if v := s.View(); v.TransmitInterval != shortest || v.DetectionTime != 3*shortest {
		t.Errorf("%+v", v)
	}
	s.Configure(Profile{TransmitInterval: time.Hour, ReceiveInterval: time.Hour, DetectMultiplier: 1}, 0)
	if packet, _ := s.Advance(0); packet.DesiredMinTx != longest || packet.RequiredMinRx != longest ||
		packet.Multiplier != leastMultiplier {
		t.Errorf("%+v", packet)
	}
}

// TestRestoreOtherClock restores the state of another boot: times count from the moment of the encoding.
func TestRestoreOtherClock(t *testing.T) {
	s := upSession(t, fast)
	b, err := s.Encode(10 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Duration{5 * time.Millisecond, time.Hour} {
		s, err := Restore(b, fast, 1, now)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.expiry(), now+140*time.Millisecond; got != want || s.State() != wire.Up {
			t.Errorf("at %v: %v expires at %v, want %v", now, s.State(), got, want)
		}
		if _, send := s.Advance(now); !send {
			t.Errorf("at %v: no packet is due", now)
		}
	}
}

// TestRestoreRefuses changes one value of a good state after the other.
func TestRestoreRefuses(t *testing.T) {
	b, err := upSession(t, fast).Encode(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for old, changed := range map[string]string{
		`"At":1000000000`:             `"At":-1`,
		`"Discriminator":1,`:          `"Discriminator":0,`,
		`"State":3,"Diagnostic":0,"C`: `"State":4,"Diagnostic":0,"C`,
		`"Stretch":0`:                 `"Stretch":8`,
		`"Discriminator":7`:           `"Discriminator":0`,
		`"Multiplier":3`:              `"Multiplier":0`,
		`"SaidTx":50000000`:           `"SaidTx":9999999`,
		`"UsedRx":50000000`:           `"UsedRx":60000000001`,
		`"MinRx":50000000`:            `"MinRx":-1`,
		`"Polls":1,`:                  `"Polls":-1,`,
		`"Since":0`:                   `"Since":1000000001`,
		`{"At"`:                       `["At"`,
	} {
		if !strings.Contains(string(b), old) {
			t.Errorf("%s is not in %s", old, b)
			continue
		}
		if _, err := Restore([]byte(strings.Replace(string(b), old, changed, 1)), fast, 1, time.Second); err == nil {
			t.Errorf("%s is accepted", changed)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	s, now := upSession(t, fast), time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 10 * time.Millisecond
		p := wire.Packet{State: wire.Up, Poll: true, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1,
			DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond}
		s.Receive(now, &p)
		s.Advance(now)
		s.Deadline()
		s.View()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzSession feeds a session with packets, times and changes from bytes, and checks what each packet of it must obey.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x00\x40\x03\x10\x00\x80\x03\x10\x01\xc0\x03\x10\x20\x00\x00\x00"))
	f.Add([]byte("\x00\x80\x03\x00\xff\x01\x07\x05\xff\x02\x09\x01\xff\x03\x00\x00\x00\x60\x02\x01"))
	f.Fuzz(func(t *testing.T, script []byte) {
		s, now, last := New(fast, 1, 1, 0), time.Duration(0), time.Duration(-1)
		sent := func(p wire.Packet, send bool) {
			var b [wire.Size]byte
			p.Marshal(&b)
			if _, verdict := wire.Parse(b[:]); send && verdict != wire.Accepted && verdict != wire.LostDiscriminator {
				t.Fatalf("sends %+v: %v", p, verdict)
			}
			if send && (p.Poll && p.Final || p.State != wire.Up && p.DesiredMinTx < slow || p.State >= wire.Init &&
				p.YourDiscriminator == 0) {
				t.Fatalf("sends %+v", p)
			}
		}
		for len(script) >= 4 {
			step := script[:4]
			script = script[4:]
			now += time.Duration(step[0]%64) * 10 * time.Millisecond
			if step[0] == 255 {
				configure(t, &s, step, now)
			} else {
				p := wire.Packet{State: wire.State(step[1] >> 6), Poll: step[1]&32 != 0, Final: step[1]&16 != 0,
					Demand:     step[1]&2 != 0,
					Multiplier: max(step[2], 1), MyDiscriminator: 7, YourDiscriminator: 1, DesiredMinTx: time.Duration(step[3]) * time.Millisecond,
					RequiredMinRx: time.Duration(step[3]>>4) * 10 * time.Millisecond}
				reply, send, _ := s.Receive(now, &p)
				sent(reply, send)
			}
			for range 3 {
				packet, send := s.Advance(now)
				sent(packet, send)
				if send && now == last && s.clock.due <= now {
					t.Fatalf("%v: sends again at once: %+v", now, s.View())
				}
				if last = -1; send {
					last = now
				}
			}
			if s.Deadline() < now-longest*255 {
				t.Fatalf("%v: the deadline is %v", now, s.Deadline())
			}
		}
	})
}

func configure(t *testing.T, s **Session, step []byte, now time.Duration) {
	switch step[1] % 4 {
	case 0:
		(*s).Stop(now)
	case 1:
		(*s).Configure(Profile{TransmitInterval: time.Duration(step[2]) * 10 * time.Millisecond,
			DetectMultiplier: step[3],
			ReceiveInterval:  time.Duration(step[3]) * 10 * time.Millisecond, Passive: step[2]&1 != 0}, now)
	case 2:
		(*s).Stretch(step[2], now)
	case 3:
		b, err := (*s).Encode(now)
		if err == nil {
			*s, err = Restore(b, fast, 1, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzRestore has no state make a session that panics or that sends without pause.
func FuzzRestore(f *testing.F) {
	b, err := upSession(f, fast).Encode(time.Second)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Second
		s, err := Restore(b, fast, 1, now)
		if err != nil {
			return
		}
		s.Receive(now, &wire.Packet{State: wire.Up, Multiplier: 3, MyDiscriminator: 7, YourDiscriminator: 1,
			RequiredMinRx: 1})
		packets := 0
		for end := now + 10*time.Second; s.Deadline() < end && packets < 10000; packets++ {
			now = max(now, s.Deadline())
			s.Advance(now)
		}
		if packets >= 2000 {
			t.Errorf("%d steps in 10 s: %+v", packets, s.View())
		}
	})
}

func ExampleSession() {
	a := New(Profile{TransmitInterval: 50 * time.Millisecond, ReceiveInterval: 50 * time.Millisecond,
		DetectMultiplier: 3}, 1, 1, 0)
	b := New(Profile{TransmitInterval: 100 * time.Millisecond, ReceiveInterval: 100 * time.Millisecond,
		DetectMultiplier: 3}, 2, 2, 0)
	for now := time.Duration(0); now < 2*time.Second; now += time.Millisecond {
		for from, to := a, b; ; from, to = b, a {
			if packet, send := from.Advance(now); send {
				if reply, send, _ := to.Receive(now, &packet); send {
					from.Receive(now, &reply)
				}
			}
			if from == b {
				break
			}
		}
	}
	fmt.Println(a.State(), a.View().TransmitInterval, a.View().DetectionTime)
	fmt.Println(b.State(), b.View().TransmitInterval, b.View().DetectionTime)
	// Output:
	// Up 100ms 300ms
	// Up 100ms 300ms
}
