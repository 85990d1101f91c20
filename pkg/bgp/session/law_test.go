package session

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

var laws = flag.Int("laws", 100, "how many random histories TestLaw runs")

func sortRoutes(routes []Route) {
	slices.SortFunc(routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
}

// randomRoutes returns routes from a small universe, so that sets have prefixes in common.
func randomRoutes(random *rand.Rand) []Route {
	universe := hosts([]int{3, 40, 1500}[random.IntN(3)])
	var routes []Route
	share := random.Float64()
	for _, r := range universe {
		if random.Float64() > share {
			continue
		}
		switch random.IntN(4) {
		case 0:
			r.MED, r.HasMED = uint32(random.IntN(3)), true
		case 1:
			r.Communities = []uint32{wire.GracefulShutdown}
		case 2:
			r.Prepend, r.LocalPref = random.IntN(3), uint32(random.IntN(3))
			r.LargeCommunities = [][3]uint32{{64512, 1, uint32(random.IntN(2))}}
		}
		routes = append(routes, r)
	}
	return routes
}

// randomPair returns a session with random parameters on both sides.
func randomPair(t *testing.T, random *rand.Rand) *pair {
	flip := func() bool { return random.IntN(2) == 0 }
	c := Config{LocalASN: 64512, RemoteASN: 64513, HoldTime: 90 * time.Second, ForwardingKept: flip(), Restarted: flip()}
	if flip() {
		c.LocalASN = 4200000001
	}
	if flip() {
		c.GracefulRestart = 15 * time.Second
	}
	o := routertest.Options{NoFourByteASN: flip(), ExtendedNextHop: flip()}
	if random.IntN(3) == 0 {
		c.RemoteASN, o.NoFourByteASN = c.LocalASN, false
	}
	if flip() {
		o.GracefulRestart = &wire.GracefulRestart{Notification: flip(), Time: time.Minute}
	}
	if random.IntN(4) == 0 {
		o.RefuseCapabilities = &wire.Notification{Code: wire.CodeOpen, Subcode: wire.OpenUnsupportedParameter}
		c.RemoteASN = 64513
		o.NoMultiprotocol = true
	}
	p := newPair(t, c, o)
	p.random = random
	switch random.IntN(4) {
	case 0:
		p.local.Family = wire.IPv6
	case 1:
		p.local.Family, p.local.NextHop4 = wire.IPv6, netip.Addr{}
	case 2:
		p.local.NextHop6 = netip.Addr{}
	}
	return p
}

// TestLaw lives through random histories. At rest the router must have the routes of the last SetRoutes.
func TestLaw(t *testing.T) {
	for seed := range uint64(*laws) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			p := randomPair(t, random)
			p.step(Start{})
			h := history{pair: p}
			for range 20 + random.IntN(100) {
				h.act()
				if v := p.s.View(); t.Failed() || v.Reason == BadMessage {
					t.Fatalf("%v %s", v.Reason, v.Message)
				}
			}
			h.rest()
		})
	}
}

// history is a pair with what was set last.
type history struct {
	*pair
	routes []Route
	ready  bool
}

// act does one random thing.
func (h *history) act() {
	p := h.pair
	switch p.random.IntN(16) {
	case 0, 1:
		h.routes, h.ready = randomRoutes(p.random), p.random.IntN(5) > 0
		p.step(SetRoutes{h.routes, h.ready})
	case 2, 3:
		p.connect()
	case 4, 5, 6:
		p.write(1 + p.random.IntN(40000))
	case 7, 8:
		p.read(1 + p.random.IntN(60))
	case 9:
		p.settle()
	case 10:
		p.lose()
	case 11:
		p.unread = append(p.unread, p.r.Refresh(wire.Family(p.random.IntN(2)))...)
	case 12:
		if p.handover() {
			p.step(SetRoutes{h.routes, false})
			p.step(SetRoutes{h.routes, h.ready})
		}
	case 13:
		d := time.Duration(p.random.IntN(40)) * time.Second
		p.settle()
		p.advance(d)
	case 14:
		switch p.random.IntN(5) {
		case 0:
			p.step(BFDDown{})
		case 1:
			p.step(Stop{StopReason(p.random.IntN(3))})
			p.step(Start{})
		case 2:
			p.step(Reconnect{})
		case 3:
			n := wire.Notification{Code: wire.CodeCease, Subcode: uint8(p.random.IntN(11))}
			p.unread = append(p.unread, p.r.Notify(n)...)
		case 4:
			if p.dialing {
				p.dialing = false
				p.step(DialFailed{Refused, "refused"})
			}
		}
	case 15: // a crash: the next process knows nothing
		p.drop()
		c := p.config
		c.Restarted = true
		p.s = New(c, p.random.Float64)
		p.step(SetRoutes{h.routes, h.ready})
		p.step(Start{})
	}
}

// rest brings the pair to rest, and compares.
func (h *history) rest() {
	h.settle()
	h.step(SetRoutes{h.routes, true})
	h.settle()
	h.advance(5 * time.Minute)
	v := h.s.View()
	if v.State != Established {
		h.t.Fatalf("state %v at rest: %v %s", v.State, v.Reason, v.Message)
	}
	routes, wanted := carried(h.routes, v)
	h.equal(routes)
	if v.Announced != wanted {
		h.t.Errorf("announced %v, and %v are to be announced", v.Announced, wanted)
	}
	before := h.r.Counts()
	h.step(SetRoutes{slices.Clone(h.routes), true})
	h.handover()
	h.step(SetRoutes{slices.Clone(h.routes), true})
	h.advance(time.Minute)
	if after := h.r.Counts(); after.Messages[wire.TypeUpdate] != before.Messages[wire.TypeUpdate] {
		h.t.Errorf("a resync or a handover made %d UPDATEs", after.Messages[wire.TypeUpdate]-before.Messages[wire.TypeUpdate])
	}
}

// carried returns the routes of the families that the session carries, and their numbers.
func carried(routes []Route, v View) (list []Route, n [wire.FamilyCount]int) {
	for _, r := range routes {
		if f := wire.FamilyOf(r.Prefix.Addr()); !v.NotOffered[f] {
			list = append(list, r)
			n[f]++
		}
	}
	return list, n
}

// TestHosts keeps the generator honest.
func TestHosts(t *testing.T) {
	routes := hosts(10000)
	for i := 1; i < len(routes); i++ {
		if routes[i-1].Prefix.Compare(routes[i].Prefix) >= 0 {
			t.Fatalf("%v is not before %v", routes[i-1].Prefix, routes[i].Prefix)
		}
	}
	if !routes[0].Prefix.Contains(netip.MustParseAddr("10.9.0.0")) {
		t.Errorf("the first is %v", routes[0].Prefix)
	}
}
