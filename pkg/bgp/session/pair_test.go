package session

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// epoch is the first moment of each test.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Addresses of the tests.
var (
	hop4 = netip.MustParseAddr("10.0.0.7")
	hop6 = netip.MustParseAddr("2001:db8::7")
)

// pair is a session and a router in simulated time, with the connection between them.
type pair struct {
	t      testing.TB
	config Config
	s      *Session
	r      *routertest.Router
	random *rand.Rand
	now    time.Time
	local  Connected

	dialing, connected bool
	// unwritten are the bytes of Sends that the kernel has not taken; sends counts the Sends without Written.
	unwritten []byte
	sends     int
	// unread are bytes of the router that the session has not read.
	unread []byte
	// extended is true when the router offers RFC 8950.
	extended bool
	// mute loses what the router says, slow lets time pass without carrying bytes.
	mute, slow bool
	// log is called for each Send and Close.
	log func(Action)
}

func newPair(t testing.TB, c Config, o routertest.Options) *pair {
	if c.LocalASN == 0 {
		c.LocalASN, c.RemoteASN = 64512, 64513
	}
	if !c.RouterID.IsValid() {
		c.RouterID = netip.MustParseAddr("10.0.0.7")
	}
	if o.ASN == 0 {
		o.ASN = c.RemoteASN
	}
	if o.PeerASN == 0 {
		o.PeerASN = c.LocalASN
	}
	p := &pair{t: t, config: c, r: routertest.New(o), random: rand.New(rand.NewPCG(1, 2)), now: epoch,
		extended: o.ExtendedNextHop && !o.NoCapabilities}
	p.local = Connected{NextHop4: hop4, NextHop6: hop6, Family: wire.IPv4}
	p.s = New(c, p.random.Float64)
	return p
}

// step passes an event, and carries out the actions.
func (p *pair) step(e Event) {
	p.t.Helper()
	for _, a := range p.s.Step(p.now, e) {
		if p.log != nil {
			p.log(a)
		}
		switch a := a.(type) {
		case Dial:
			if p.dialing || p.connected {
				p.t.Fatalf("Dial while dialling (%v) or connected (%v)", p.dialing, p.connected)
			}
			p.dialing = true
		case Send:
			if len(a.Data) == 0 || len(a.Data) > SendSize || !p.connected {
				p.t.Fatalf("Send of %d bytes, connected: %v", len(a.Data), p.connected)
			}
			p.unwritten = append(p.unwritten, a.Data...)
			if p.sends++; p.sends > 2 {
				p.t.Fatalf("%d Sends at once", p.sends)
			}
		case Close:
			p.drop()
		}
	}
	if p.sends > 1 {
		p.t.Fatalf("two Sends at once without a Close")
	}
	p.check()
}

// drop ends the connection, after the kernel has delivered all bytes that it can.
func (p *pair) drop() {
	if p.connected {
		p.r.Receive(p.unwritten)
		p.r.Disconnect()
	}
	p.dialing, p.connected, p.unwritten, p.unread, p.sends = false, false, nil, nil, 0
}

// check holds what is true after each step.
func (p *pair) check() {
	p.t.Helper()
	v := p.s.View()
	if up := v.State >= OpenSent; up != p.connected {
		p.t.Fatalf("state %v with connection %v", v.State, p.connected)
	}
	if (v.State == Connect) != p.dialing {
		p.t.Fatalf("state %v with dial %v", v.State, p.dialing)
	}
	if v.State == Active && p.s.Next().IsZero() {
		p.t.Fatal("no time to dial again")
	}
	for f := range wire.FamilyCount {
		if v.Announced[f] < 0 || v.State != Established && v.Announced[f] != 0 {
			p.t.Fatalf("announced %v in the state %v", v.Announced, v.State)
		}
	}
}

// connect completes the dial.
func (p *pair) connect() {
	p.t.Helper()
	if !p.dialing {
		return
	}
	p.dialing, p.connected = false, true
	p.r.Connect()
	p.step(p.local)
}

// write lets the kernel take up to n bytes and the router read them.
func (p *pair) write(n int) {
	p.t.Helper()
	n = min(n, len(p.unwritten))
	if n == 0 {
		return
	}
	answer, open := p.r.Receive(p.unwritten[:n])
	p.unwritten = p.unwritten[n:]
	if !p.mute {
		p.unread = append(p.unread, answer...)
	}
	if len(p.unwritten) == 0 {
		p.sends = 0
		p.step(Written{})
	}
	if !open && p.connected {
		p.read(len(p.unread))
		p.lose()
	}
}

// read passes up to n bytes to the session.
func (p *pair) read(n int) {
	p.t.Helper()
	n = min(n, len(p.unread))
	if n == 0 {
		return
	}
	data := p.unread[:n]
	p.unread = p.unread[n:]
	p.step(Received{data})
}

// lose breaks the connection.
func (p *pair) lose() {
	p.t.Helper()
	if p.connected {
		p.drop()
		p.step(Closed{ConnectionLost, "the router closed the connection"})
	}
}

// settle lets all happen that needs no time.
func (p *pair) settle() {
	p.t.Helper()
	for p.dialing || len(p.unwritten) > 0 || len(p.unread) > 0 {
		p.connect()
		p.write(1 << 30)
		p.read(1 << 30)
	}
}

// advance lets time pass, with all timers, and settles after each.
func (p *pair) advance(d time.Duration) {
	p.t.Helper()
	for end := p.now.Add(d); ; {
		next := p.s.Next()
		if next.IsZero() || next.After(end) {
			p.now = end
			return
		}
		p.now = later(p.now, next)
		p.step(Timer{})
		if !p.slow {
			p.settle()
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// handover replaces the session by the next process, as far as the state allows.
func (p *pair) handover() bool {
	p.t.Helper()
	state, err := p.s.Save()
	if err != nil {
		return false
	}
	next, err := Restore(p.config, state, p.now, p.random.Float64)
	if err != nil {
		p.t.Fatalf("%v: %s", err, state)
	}
	p.s = next
	return true
}

// equal fails when the router has other routes than these.
func (p *pair) equal(routes []Route) {
	p.t.Helper()
	if list := p.r.Differences(routes, p.hops()); len(list) > 0 {
		p.t.Errorf("%d differences, the first: %v", len(list), list[0])
	}
	p.fair()
}

// hops returns the next hops that the router should have.
func (p *pair) hops() [wire.FamilyCount]netip.Addr {
	hops := [wire.FamilyCount]netip.Addr{p.local.NextHop4, p.local.NextHop6}
	if opens := p.r.Opens(); p.local.Family == wire.IPv6 && p.extended && opens[len(opens)-1].Capabilities != nil {
		hops[wire.IPv4] = p.local.NextHop6
	}
	return hops
}

// fair fails when the router has found something wrong.
func (p *pair) fair() {
	p.t.Helper()
	if list := p.r.Violations(); len(list) > 0 {
		p.t.Errorf("%d violations, the first: %v", len(list), list[0])
	}
}

// hosts returns n host routes of both families.
func hosts(n int) []Route {
	routes := make([]Route, n)
	for i := range routes {
		a := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
		if i%2 == 1 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 9, 14: byte(i >> 8), 15: byte(i)})
		}
		routes[i] = Route{Prefix: netip.PrefixFrom(a, a.BitLen()), LocalPref: 100}
	}
	sortRoutes(routes)
	return routes
}
