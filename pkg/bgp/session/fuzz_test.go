package session

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// FuzzStep passes random events, and random bytes in place of the router's. pair checks what is true after each step.
func FuzzStep(f *testing.F) {
	said := wire.Open{ASN: 64513, HoldTime: 9 * time.Second, RouterID: netip.MustParseAddr("10.0.0.1")}
	said.Capabilities = &wire.Capabilities{
		Multiprotocol: true, Families: [wire.FamilyCount]bool{true, true}, FourByteASN: true, RouteRefresh: true,
	}
	open := said.Append(nil)
	up := append([]byte{0, 1, 2, byte(len(open))}, open...)
	up = append(up, 2, wire.HeaderLen)
	up = wire.AppendKeepalive(up)
	f.Add(up)
	f.Add(append(up, 5, 3, 6, 0, 7, 8, 9, 200, 1))
	f.Add(append(up, 3, 10, 0, 11, 4, 1))
	f.Add(append(append(up, 2, 23), wire.AppendRouteRefresh(nil, wire.IPv4)...))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newPair(t, Config{HoldTime: 90 * time.Second, GracefulRestart: time.Second}, routertest.Options{Silent: true})
		next := func() (b byte) {
			if len(script) > 0 {
				b, script = script[0], script[1:]
			}
			return b
		}
		for range 200 {
			if len(script) == 0 {
				break
			}
			switch next() % 12 {
			case 0:
				p.step(Start{})
			case 1:
				p.connect()
			case 2:
				n := min(int(next()), len(script))
				if p.connected {
					p.step(Received{script[:n]})
				}
				script = script[n:]
			case 3:
				p.write(1 << 20)
			case 4:
				p.step(SetRoutes{hosts(int(next())), next()%2 == 0})
			case 5:
				p.lose()
			case 6:
				if p.dialing {
					p.dialing = false
					p.step(DialFailed{Timeout, "timeout"})
				}
			case 7:
				p.step(BFDDown{})
			case 8:
				p.step(Reconnect{})
			case 9:
				p.now = p.now.Add(time.Duration(next()) * time.Second)
				p.step(Timer{})
			case 10:
				p.handover()
			case 11:
				p.step(Stop{StopReason(next() % 3)})
			}
			if len(p.unwritten) > SendSize+wire.MaxLen {
				t.Fatalf("%d bytes wait", len(p.unwritten))
			}
		}
	})
}

// FuzzRestore reads random states of a previous process. A session must work with every accepted state.
func FuzzRestore(f *testing.F) {
	p := established(f, hosts(5))
	state, err := p.s.Save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Add([]byte(`{"Version":1,"LocalASN":64512,"RouterID":"10.0.0.7","Open":{"ASN":64513}}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		s, err := Restore(p.config, state, epoch, p.random.Float64)
		if err != nil {
			return
		}
		s.Step(epoch, Timer{})
		s.Step(epoch, Written{})
		s.Step(epoch, Received{wire.AppendRouteRefresh(nil, wire.IPv4)})
		for range 100 {
			if len(s.Step(epoch, SetRoutes{hosts(10), true})) == 0 {
				break
			}
			s.Step(epoch, Written{})
		}
		s.View()
	})
}
