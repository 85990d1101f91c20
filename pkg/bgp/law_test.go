package bgp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// TestRouterHasWhatIsWanted checks the law after random histories: at rest, each router has exactly the routes of its
// peer, and none of a peer that is gone.
func TestRouterHasWhatIsWanted(t *testing.T) {
	histories := 40
	if testing.Short() {
		histories = 5
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inScene(t, nil, func(s *scene) { newHistory(s, uint64(seed)).run(60) })
		})
	}
}

// history changes peers and disturbs sessions at random.
type history struct {
	*scene
	random  *rand.Rand
	addrs   []netip.Addr
	routers map[netip.Addr]*routertest.Router
	peers   map[netip.Addr]Peer
	deeds   []string
}

func newHistory(s *scene, seed uint64) *history {
	h := &history{scene: s, random: rand.New(rand.NewPCG(seed, 1)), addrs: []netip.Addr{torA, torB,
		netip.MustParseAddr("192.0.2.13")},
		routers: map[netip.Addr]*routertest.Router{}, peers: map[netip.Addr]Peer{}}
	for i, addr := range h.addrs {
		o := routertest.Options{ASN: 64513, PeerASN: 64512}
		if i == 0 {
			o.GracefulRestart = graceful()
		}
		h.routers[addr] = s.router(addr, o)
		h.peers[addr] = peer(fmt.Sprint("tor", i), addr)
	}
	return h
}

func (h *history) run(steps int) {
	for n := range steps {
		h.disturb()
		if h.random.IntN(2) == 0 {
			h.pass(time.Duration(h.random.Int64N(int64(3 * time.Second))))
		}
		if n%20 == 19 {
			h.rest()
		}
	}
	h.rest()
	if h.t.Failed() {
		h.t.Log(h.deeds)
	}
}

// rest lets all sessions come up, changes all routes without a disturbance, and checks the law before and after.
func (h *history) rest() {
	h.pass(2 * time.Minute)
	h.check()
	for _, addr := range h.addrs {
		if p, has := h.peers[addr]; has {
			p.Routes = h.routes()
			h.peers[addr] = p
		}
	}
	h.tell()
	synctest.Wait()
	h.check()
}

// tell sets the peers.
func (h *history) tell() {
	var list []Peer
	for _, addr := range h.addrs {
		if p, has := h.peers[addr]; has {
			list = append(list, p)
		}
	}
	h.speaker.Set(list)
}

// disturb does one thing at random.
func (h *history) disturb() {
	addr := h.addrs[h.random.IntN(len(h.addrs))]
	link := h.network.link(addr)
	p, has := h.peers[addr]
	deed := "set"
	switch h.random.IntN(9) {
	case 0, 1, 2:
		if has {
			p.Routes = h.routes()
			h.peers[addr] = p
		}
	case 3:
		if deed = "remove"; has && h.random.IntN(3) == 0 {
			delete(h.peers, addr)
		} else if !has {
			h.peers[addr] = peer(fmt.Sprint("tor", slices.Index(h.addrs, addr)), addr)
		}
	case 4:
		if deed = "reset"; has {
			p.Password = fmt.Sprint(h.random.IntN(3))
			h.peers[addr] = p
		}
	case 5:
		if deed = "timers"; has {
			p.HoldTime = time.Duration(3+h.random.IntN(90)) * time.Second
			h.peers[addr] = p
		}
	case 6:
		deed = "cut"
		h.network.cut(addr)
	case 7:
		deed = "notify"
		if link.Link != nil {
			_ = link.Notify(wire.Notification{Code: wire.CodeCease, Subcode: wire.CeaseShutdown})
		}
	case 8:
		deed = "refresh"
		if link.Link != nil {
			_ = link.Refresh(wire.IPv4)
		}
	}
	h.deeds = append(h.deeds, fmt.Sprint(deed, " ", addr))
	h.tell()
	if h.random.IntN(3) == 0 {
		synctest.Wait()
	}
	for _, t := range h.monitor.list() {
		if h.random.IntN(10) == 0 {
			h.monitor.change(t.Key(), bfd.State(h.random.IntN(4)))
		}
	}
}

// routes returns some routes.
func (h *history) routes() []Route {
	var list []Route
	for i := range 12 {
		if h.random.IntN(2) == 0 {
			list = append(list, Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32),
				MED: uint32(h.random.IntN(3)), HasMED: true})
		}
	}
	return list
}

// check compares the routers with their peers.
func (h *history) check() {
	for i, addr := range h.addrs {
		rib, wanted := h.routers[addr].RIB(), h.peers[addr].Routes
		if len(rib) != len(wanted) {
			h.t.Errorf("tor%d has %d routes, want %d", i, len(rib), len(wanted))
		}
		for _, r := range wanted {
			path, has := rib[r.Prefix]
			if !has || path.Stale || path.MED == nil || *path.MED != r.MED {
				h.t.Errorf("tor%d has %v for %v, want MED %d", i, path, r.Prefix, r.MED)
			}
		}
	}
}
