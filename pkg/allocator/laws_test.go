package allocator

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// bytes is the source of choices for a world: each choice consumes one byte. Once all bytes are used, each choice is
// the first option.
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

// world is the input of one round.
type world struct {
	cluster.Snapshot
	resting []Rest
}

// universe returns the addresses used in the tests: IPv4 addresses around a .255 and .0 that AvoidBuggyIPs leaves out,
// and a few IPv6 addresses.
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
	w := world{Snapshot: cluster.Snapshot{Config: &config.Config{}}}
	addrs := universe()
	anyAddr := func() netip.Addr { return addrs[b.pick(len(addrs))] }
	w.Namespaces = []cluster.Namespace{{Name: "blue", Labels: map[string]string{"team": "sea"}}, {Name: "red"}}
	w.Config.Allocation.AvoidNetworkAddresses = b.chance(2)
	for range b.pick(3) {
		w.Taken = append(w.Taken, cluster.Taken{Addr: anyAddr(), By: cluster.TakenBy(b.pick(3)), Name: "x"})
	}
	if b.chance(3) {
		w.Nodes = []cluster.Node{{Name: "n", Addresses: []netip.Addr{anyAddr()}}}
	}
	for range b.pick(2) {
		w.Subnets = append(w.Subnets, netip.PrefixFrom(anyAddr(), []int{24, 29, 30, 31, 32}[b.pick(5)]).Masked())
	}
	// Each address belongs to one pool or to none. Neighbours often belong to the same pool, so that pools have several
	// ranges.
	owners := make([]int, len(addrs))
	for i := range owners {
		if owners[i] = b.pick(4); i > 0 && b.chance(2) {
			owners[i] = owners[i-1]
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		if p := newRandomPool(b, name, addrs, func(j int) bool { return owners[j] == i }); len(p.Ranges) > 0 {
			w.Config.Pools = append(w.Config.Pools, p)
		}
	}
	for i := range b.pick(14) {
		w.Services = append(w.Services, newService(b, i, anyAddr))
	}
	slices.SortFunc(w.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	for range b.pick(4) {
		w.Claims = append(w.Claims, newClaim(b, anyAddr()))
	}
	slices.SortFunc(w.Claims, cluster.Claim.Compare)
	for range b.pick(5) {
		w.resting = append(w.resting, Rest{Addr: anyAddr(), Holder: anyKey(b), Firm: b.chance(4)})
	}
	return w
}

// newClaim returns a random claim. The holder of a Service or Gateway claim may have the key of a Service of the world.
func newClaim(b *bytes, addr netip.Addr) cluster.Claim {
	c := cluster.Claim{Addr: addr, By: cluster.ClaimedBy(b.pick(4)), Holder: anyKey(b)}
	c.Managed = c.By == cluster.ClaimedByExternalIPs && b.chance(2)
	return c
}

// wishAndRemember gives svc implicit requests and a record of former addresses.
func wishAndRemember(b *bytes, svc *cluster.Service, anyAddr func() netip.Addr) {
	if b.chance(5) {
		svc.ExternalIPs = append(svc.ExternalIPs, anyAddr())
	}
	if b.chance(6) {
		svc.Gateway = anyKey(b)
		svc.GatewayAddresses = append(svc.GatewayAddresses, anyAddr())
	}
	if b.chance(3) {
		svc.Assignment = &cluster.Assignment{Former: []netip.Addr{anyAddr()}}
		if b.chance(2) {
			svc.Assignment.Addresses = []cluster.AssignedAddress{{Addr: anyAddr(), Pool: "a"}}
		}
	}
}

func newRandomPool(b *bytes, name string, addrs []netip.Addr, has func(int) bool) config.Pool {
	p := config.Pool{Name: name, AutoAssign: !b.chance(5), AvoidBuggyIPs: b.chance(3), Disabled: b.chance(8), SeparateNamespaces: b.chance(3)}
	if b.chance(4) {
		p.Namespaces = []string{"blue"}
	}
	if b.chance(5) {
		p.NamespaceSelectors = []labels.Selector{labels.SelectorFromSet(labels.Set{"team": "sea"})}
	}
	if b.chance(5) {
		p.ServiceSelectors = []labels.Selector{labels.SelectorFromSet(labels.Set{"tier": "front"})}
	}
	if b.chance(4) {
		p.Quotas = map[string]int{"": b.pick(4)}
		if b.chance(2) {
			p.Quotas["red"] = b.pick(6)
		}
	}
	for j, addr := range addrs {
		if !has(j) {
			continue
		}
		if n := len(p.Ranges); n > 0 && p.Ranges[n-1].To.Next() == addr {
			p.Ranges[n-1].To = addr
		} else {
			p.Ranges = append(p.Ranges, config.Range{From: addr, To: addr})
		}
		if p.Contains(addr) && b.chance(9) {
			r := config.Reservation{Addr: addr}
			for range 1 + b.pick(2) {
				r.Services = append(r.Services, config.ServiceName(anyKey(b)))
			}
			p.Reserve = append(p.Reserve, r)
		}
	}
	return p
}

func anyKey(b *bytes) cluster.Key {
	return cluster.Key{Namespace: []string{"red", "blue"}[b.pick(2)], Name: fmt.Sprint(b.pick(8))}
}

func newService(b *bytes, i int, anyAddr func() netip.Addr) *cluster.Service {
	svc := &cluster.Service{
		Key:          cluster.Key{Namespace: []string{"red", "red", "blue"}[b.pick(3)], Name: fmt.Sprint(i)},
		Created:      time.Unix(int64(b.pick(4)), 0),
		Managed:      true,
		FamilyPolicy: cluster.FamilyPolicy(b.pick(3)),
	}
	svc.Families = [][]cluster.Family{
		{cluster.IPv4}, {cluster.IPv4, cluster.IPv6}, {cluster.IPv6, cluster.IPv4}, {cluster.IPv6}, {},
	}[b.pick(5)]
	if b.chance(3) {
		svc.Labels = map[string]string{"tier": "front"}
	}
	if b.chance(2) {
		svc.SharingKey = []string{"k", "k", "l"}[b.pick(3)]
		svc.TrafficPolicy = cluster.TrafficPolicy(b.pick(5) / 4)
		svc.Selector = []string{"app=x", "app=y"}[b.pick(2)]
		for _, port := range []cluster.Port{{Number: 53}, {Number: 80}, {Protocol: cluster.UDP, Number: 53}} {
			if b.chance(3) {
				svc.Ports = append(svc.Ports, port)
			}
		}
	}
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
	wishAndRemember(b, svc, anyAddr)
	if b.chance(12) {
		svc.RequestProblem, svc.Requested, svc.RequestedPool = "that makes no sense", nil, ""
	}
	return svc
}

// check runs one round on the Allocator and on the reference, compares the results, and checks the laws.
func (w world) check(t *testing.T) {
	a := New(w.Snapshot, w.resting)
	n := newNaive(w.Snapshot, w.resting)
	held := make([][]Assignment, len(w.Services))
	for i := range w.Services {
		svc := w.Services[i]
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
	for i := range w.Services {
		for _, addr := range w.Services[i].Ingress {
			if !slices.ContainsFunc(held[i], func(h Assignment) bool { return h.Addr == addr }) {
				a.Leave(w.Services[i], addr)
				n.leave(w.Services[i], addr)
			}
		}
	}
	n.adopted()
	owners := map[netip.Addr][]*cluster.Service{}
	for i := range w.Services {
		svc := w.Services[i]
		r := a.Assign(svc, held[i])
		want, complete := n.assign(svc, held[i])
		if !slices.Equal(r.Assignments, want) || complete != (r.Refusal == nil) {
			t.Fatalf("%s gets %v, %v; the reference: %v, %t\n%s\n%s", svc.Key, r.Assignments, r.Refusal, want, complete, w, n)
		}
		checkRefusal(t, r.Refusal)
		w.checkResult(t, svc, held[i], r)
		for _, g := range r.Assignments {
			for _, other := range owners[g.Addr] {
				if !n.mayShare(svc, other, g.Addr) {
					t.Fatalf("%s is given to %s and to %s\n%s", g.Addr, other.Key, svc.Key, w)
				}
			}
			owners[g.Addr] = append(owners[g.Addr], svc)
		}
	}
	w.checkUsage(t, a, n)
	w.checkQuotas(t, n, held)
}

// checkResult checks the laws about one Service.
func (w world) checkResult(t *testing.T, svc *cluster.Service, held []Assignment, r Result) {
	for _, h := range held {
		if !slices.Contains(r.Assignments, h) {
			t.Fatalf("%s loses %v\n%s", svc.Key, h, w)
		}
	}
	for _, g := range r.Assignments {
		p := w.Config.Pool(g.Pool)
		if p == nil || !p.Contains(g.Addr) || p.Disabled && !slices.Contains(held, g) {
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

// checkQuotas checks that a namespace has no more addresses than its quota, apart from addresses held before the round
// and reserved addresses.
func (w world) checkQuotas(t *testing.T, n *naive, held [][]Assignment) {
	for i := range w.Config.Pools {
		p := &w.Config.Pools[i]
		for _, namespace := range []string{"red", "blue"} {
			limit, limited := p.Quota(namespace)
			has, had := 0, 0
			for _, addr := range n.addrs(p) {
				if !n.counts(namespace, addr) {
					continue
				}
				has++
				if n.reservedFor(addr) != nil || len(n.perhaps(addr)) > 0 || slices.ContainsFunc(held, func(h []Assignment) bool {
					return slices.Contains(h, Assignment{Addr: addr, Pool: p.Name})
				}) {
					had++
				}
			}
			if limited && has-had > limit {
				t.Fatalf("namespace %s has %d of %s, %d of them from before\n%s", namespace, has, p.Name, had, w)
			}
		}
	}
}

func checkRefusal(t *testing.T, r *Refusal) {
	if r != nil && (r.Message == "" || len(r.Message) > MaxMessage || r.Reason == reason.Assigned || strings.HasSuffix(r.Message, ".")) {
		t.Fatalf("bad refusal %v", r)
	}
}

func (w world) checkUsage(t *testing.T, a *Allocator, n *naive) {
	for _, u := range a.Usage() {
		p := w.Config.Pool(u.Pool)
		var size float64
		used, resting, quarantined, withheld, reserved := 0, 0, 0, 0, 0
		for _, addr := range n.addrs(p) {
			if cluster.FamilyOf(addr) != u.Family {
				continue
			}
			size++
			if n.isUsed(addr) {
				used++
			} else if slices.ContainsFunc(w.resting, func(r Rest) bool { return r.Addr == addr }) {
				resting++
			}
			switch {
			case n.isUsed(addr):
			case n.isTakenByStranger(addr):
				quarantined++
			case n.isTaken(addr) || n.isEdge(addr) || n.hasClaim(addr):
				withheld++
			case n.reservedFor(addr) != nil:
				reserved++
			}
		}
		if want := (Usage{u.Pool, u.Family, size, used, resting, quarantined, withheld, reserved}); u != want {
			t.Fatalf("usage %+v, want %+v\n%s", u, want, w)
		}
		if free := u.Free(); free != size-float64(used+quarantined+withheld+reserved) {
			t.Fatalf("%+v has %g free", u, free)
		}
	}
}

func (w world) String() string {
	var text strings.Builder
	for _, p := range w.Config.Pools {
		fmt.Fprintf(&text, "pool %+v\n", p)
	}
	for _, s := range w.Services {
		fmt.Fprintf(&text, "%+v\n", *s)
	}
	fmt.Fprintf(&text, "resting %v\nnodes %v taken %v claims %v subnets %v avoid %t", w.resting, w.Nodes, w.Taken, w.Claims, w.Subnets,
		w.Config.Allocation.AvoidNetworkAddresses)
	return text.String()
}

// TestLaws compares many random rounds with the reference. TestLaws also checks that no address goes to two Services
// that may not share, that no Service gets a forbidden address, and that each Service without an address gets a reason.
func TestLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 6_000
	if testing.Short() {
		rounds = 600
	}
	for range rounds {
		data := make([]byte, 60+random.IntN(500))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		newWorld(data).check(t)
	}
}

// FuzzLaws checks the same laws on inputs of the fuzzer.
func FuzzLaws(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("one pool, and services that take its addresses in turn"))
	f.Add([]byte{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 255, 254, 253, 252, 251, 250, 9, 9, 9, 9, 7, 7, 7, 7, 5, 5, 5, 3, 3, 1})
	f.Fuzz(func(t *testing.T, data []byte) { newWorld(data).check(t) })
}
