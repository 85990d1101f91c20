package allocator

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// bytes are what a world is made from: each choice takes one. When they are used up every choice is the first.
type bytes struct{ data []byte }

func (b *bytes) pick(n int) int {
	if len(b.data) == 0 {
		return 0
	}
	v := int(b.data[0]) % n
	b.data = b.data[1:]
	return v
}

func (b *bytes) chance(of int) bool { return b.pick(of) == of-1 }

// world is an input of one round.
type world struct {
	cfg      *config.Config
	resting  []Rest
	services []cluster.Service
}

// universe are the addresses that occur: around a border at which IPv4 addresses are avoided, and a few of IPv6.
func universe() []netip.Addr {
	var all []netip.Addr
	for a, i := netip.MustParseAddr("10.0.0.250"), 0; i < 12; a, i = a.Next(), i+1 {
		all = append(all, a)
	}
	for a, i := netip.MustParseAddr("fd00::fc"), 0; i < 8; a, i = a.Next(), i+1 {
		all = append(all, a)
	}
	return all
}

func newWorld(data []byte) world {
	b := &bytes{data}
	w := world{cfg: &config.Config{SetAside: []string{"far"}}}
	addrs := universe()
	names := []string{"a", "b", "c"}
	// Each address belongs to one of the pools or to none, in runs, so that pools have several ranges.
	owners := make([]int, len(addrs))
	for i := range owners {
		if owners[i] = b.pick(4); i > 0 && b.chance(2) {
			owners[i] = owners[i-1]
		}
	}
	for i, name := range names {
		p := config.Pool{Name: name, AutoAssign: !b.chance(5), AvoidBuggyIPs: b.chance(3)}
		if b.chance(4) {
			p.Namespaces = []string{"blue"}
		}
		for j, owner := range owners {
			if owner != i {
				continue
			}
			if n := len(p.Ranges); n > 0 && p.Ranges[n-1].To.Next() == addrs[j] {
				p.Ranges[n-1].To = addrs[j]
			} else {
				p.Ranges = append(p.Ranges, config.Range{From: addrs[j], To: addrs[j]})
			}
		}
		if len(p.Ranges) > 0 {
			w.cfg.Pools = append(w.cfg.Pools, p)
		}
	}
	anyAddr := func() netip.Addr { return addrs[b.pick(len(addrs))] }
	for i := range b.pick(14) {
		w.services = append(w.services, newService(b, i, anyAddr))
	}
	for range b.pick(5) {
		w.resting = append(w.resting, Rest{
			Addr: anyAddr(), Holder: cluster.Key{Namespace: "red", Name: fmt.Sprint(b.pick(8))}, Firm: b.chance(4)})
	}
	return w
}

func newService(b *bytes, i int, anyAddr func() netip.Addr) cluster.Service {
	svc := cluster.Service{
		Key:          cluster.Key{Namespace: []string{"red", "red", "blue"}[b.pick(3)], Name: fmt.Sprint(i)},
		Managed:      true,
		FamilyPolicy: cluster.FamilyPolicy(b.pick(3)),
	}
	svc.Families = [][]cluster.Family{
		{cluster.IPv4}, {cluster.IPv4, cluster.IPv6}, {cluster.IPv6, cluster.IPv4}, {cluster.IPv6}, {},
	}[b.pick(5)]
	for range b.pick(3) {
		svc.Ingress = append(svc.Ingress, anyAddr())
	}
	if b.chance(4) {
		svc.Requested = append(svc.Requested, anyAddr())
		if other := anyAddr(); b.chance(2) && other.Is4() != svc.Requested[0].Is4() {
			svc.Requested = append(svc.Requested, other)
		}
	}
	if b.chance(5) {
		svc.RequestedPool = []string{"a", "b", "c", "far", "none"}[b.pick(5)]
	}
	if b.chance(12) {
		svc.RequestProblem, svc.Requested, svc.RequestedPool = "that makes no sense", nil, ""
	}
	return svc
}

// check runs one round on both allocators, compares them, and holds the laws against the result.
func (w world) check(t *testing.T) {
	a := New(w.cfg, w.resting, len(w.services))
	n := newNaive(w.cfg, w.resting)
	held := make([][]Assignment, len(w.services))
	for i := range w.services {
		svc := &w.services[i]
		for _, addr := range svc.Ingress {
			got, refusal := a.Adopt(svc, held[i], addr)
			want, ok := n.adopt(svc, held[i], addr)
			if ok != (refusal == nil) || got != want {
				t.Fatalf("%s adopts %s: %v, %v; the reference: %v, %t\n%s", svc.Key, addr, got, refusal, want, ok, w)
			}
			checkRefusal(t, refusal)
			if ok {
				held[i] = append(held[i], got)
			}
		}
	}
	for i := range w.services {
		for _, addr := range w.services[i].Ingress {
			a.Leave(&w.services[i], addr)
			if _, used := n.used[addr]; !used {
				n.used[addr] = w.services[i].Key
			}
		}
	}
	owner := map[netip.Addr]cluster.Key{}
	for i := range w.services {
		svc := &w.services[i]
		r := a.Assign(svc, held[i])
		want, complete := n.assign(svc, held[i])
		if !slices.Equal(r.Assignments, want) || complete != (r.Refusal == nil) {
			t.Fatalf("%s gets %v, %v; the reference: %v, %t\n%s", svc.Key, r.Assignments, r.Refusal, want, complete, w)
		}
		checkRefusal(t, r.Refusal)
		w.checkResult(t, svc, held[i], r)
		for _, g := range r.Assignments {
			if other, twice := owner[g.Addr]; twice {
				t.Fatalf("%s is given to %s and to %s\n%s", g.Addr, other, svc.Key, w)
			}
			owner[g.Addr] = svc.Key
		}
	}
	w.checkUsage(t, a, n)
}

// checkResult holds the laws about one Service.
func (w world) checkResult(t *testing.T, svc *cluster.Service, held []Assignment, r Result) {
	for _, h := range held {
		if !slices.Contains(r.Assignments, h) {
			t.Fatalf("%s loses %v\n%s", svc.Key, h, w)
		}
	}
	for _, g := range r.Assignments {
		p := w.cfg.Pool(g.Pool)
		if p == nil || !p.Contains(g.Addr) || len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, svc.Key.Namespace) {
			t.Fatalf("%s gets %v, which it may not have\n%s", svc.Key, g, w)
		}
	}
	if r.Refusal == nil && len(r.Assignments) < len(Wanted(svc)) && (r.Remark == "" || svc.FamilyPolicy != cluster.PreferDualStack) {
		t.Fatalf("%s lacks an address and is not told why\n%s", svc.Key, w)
	}
	if r.Refusal != nil && len(r.Assignments) > len(held) {
		t.Fatalf("%s is refused and given %v\n%s", svc.Key, r.Assignments, w)
	}
}

func checkRefusal(t *testing.T, r *Refusal) {
	if r != nil && (r.Message == "" || len(r.Message) > MaxMessage || r.Reason == Assigned || strings.HasSuffix(r.Message, ".")) {
		t.Fatalf("bad refusal %v", r)
	}
}

func (w world) checkUsage(t *testing.T, a *Allocator, n *naive) {
	for _, u := range a.Usage() {
		p := w.cfg.Pool(u.Pool)
		var size float64
		used, resting := 0, 0
		for _, addr := range n.addrs(p) {
			if cluster.FamilyOf(addr) != u.Family {
				continue
			}
			size++
			if _, ok := n.used[addr]; ok {
				used++
			} else if slices.ContainsFunc(w.resting, func(r Rest) bool { return r.Addr == addr }) {
				resting++
			}
		}
		if want := (Usage{u.Pool, u.Family, size, used, resting}); u != want {
			t.Fatalf("usage %v, want %v\n%s", u, want, w)
		}
	}
}

func (w world) String() string {
	var text strings.Builder
	for _, p := range w.cfg.Pools {
		fmt.Fprintf(&text, "pool %s %v auto=%t avoid=%t namespaces=%v\n", p.Name, p.Ranges, p.AutoAssign, p.AvoidBuggyIPs, p.Namespaces)
	}
	for _, s := range w.services {
		fmt.Fprintf(&text, "%s %v %v has %v requests %v %q %q\n", s.Key, s.Families, s.FamilyPolicy, s.Ingress, s.Requested, s.RequestedPool, s.RequestProblem)
	}
	fmt.Fprintf(&text, "resting %v", w.resting)
	return text.String()
}

// TestLaws compares many random rounds with the reference, and checks that nothing is given twice, that nobody gets what
// it may not have, and that whoever lacks something is told why.
func TestLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 6_000
	if testing.Short() {
		rounds = 600
	}
	for range rounds {
		data := make([]byte, 60+random.IntN(300))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		newWorld(data).check(t)
	}
}

// FuzzLaws does the same with what the fuzzer thinks of.
func FuzzLaws(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("one pool, and services that take its addresses in turn"))
	f.Add([]byte{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 255, 254, 253, 252, 251, 250, 9, 9, 9, 9, 7, 7, 7, 7, 5, 5, 5, 3, 3, 1})
	f.Fuzz(func(t *testing.T, data []byte) { newWorld(data).check(t) })
}

// TestSizes holds the sizes of stocks against those that pkg/config computes, for ranges of any width.
func TestSizes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2_000 {
		first, second := random.Uint32(), random.Uint32()
		if random.IntN(2) == 0 {
			second = first + random.Uint32N(1000)
		}
		from, to := v4(min(first, second)), v4(max(first, second))
		p := config.Pool{Name: "a", Ranges: []config.Range{{From: from, To: to}}, AvoidBuggyIPs: random.IntN(2) == 0}
		got := newPool(&p)
		v4, _ := p.Size()
		if want, _ := v4.Float64(); got.v4.size != want || got.v6.size != 0 {
			t.Fatalf("%s-%s avoid=%t: %.0f and %.0f addresses, want %.0f and 0", from, to, p.AvoidBuggyIPs, got.v4.size, got.v6.size, want)
		}
	}
	for prefix, want := range map[string]float64{
		"fd00::/64": 1 << 64, "fd00::/120": 256, "fd00::5/128": 1, "fd00::/32": 1 << 96, "fd00::ffff:ffff:ffff:0/112": 65536,
	} {
		r := rangeOf(netip.MustParsePrefix(prefix))
		if got := newStock([]config.Range{r}, false).size; got != want {
			t.Errorf("%s has %.0f addresses, want %.0f", prefix, got, want)
		}
	}
	across := config.Range{From: netip.MustParseAddr("fd00::ffff:ffff:ffff:fffe"), To: netip.MustParseAddr("fd00:0:0:1::2")}
	if got := newStock([]config.Range{across}, false).size; got != 5 {
		t.Errorf("%s has %.0f addresses, want 5", across, got)
	}
}

func v4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// rangeOf returns all addresses of a prefix.
func rangeOf(p netip.Prefix) config.Range {
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return config.Range{From: p.Masked().Addr(), To: to}
}
