package layer2

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestChangeLaw makes random changes of the set by Change and Set. After each change, the tables made of the changed
// addresses must be those made of all addresses.
func TestChangeLaw(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 5))
		links := []Interface{link(1, "eth0", "10.0.0.1/28"), link(2, "eth1", "10.0.0.1/24", "fd00::1/64"), link(3, "eth2", "10.0.1.1/24")}
		links[0].Local = []netip.Addr{netip.MustParseAddr("10.0.0.3")}
		links[2].Up = false
		a := New(Options{})
		l := loop{a: a, layout: newLayout(links, nil), ports: map[int]*port{}, targets: a.targets.load()}
		whole := map[int]*table{}
		for _, i := range links {
			if i.Up {
				whole[i.Index] = &table{Interface: i}
				l.ports[i.Index] = newPort(t.Context(), a, &table{Interface: i}, time.Minute)
			}
		}
		want := map[netip.Addr]Target{}
		for step := range 100 {
			if r.IntN(4) == 0 {
				for range r.IntN(3) {
					replace(r, want)
				}
				a.Set(slices.Collect(maps.Values(want)))
			} else {
				put, gone := replace(r, want)
				a.Change(put, gone)
			}
			if r.IntN(5) == 0 {
				continue // the loop sees several changes at once
			}
			targets, changed := a.targets.take()
			if got := maps.Collect(targets.All()); !maps.EqualFunc(got, want, Target.equal) {
				t.Fatalf("seed %d, step %d: the set is %v, want %v", seed, step, got, want)
			}
			fresh := inherited(l.targets, targets, changed)
			l.targets = targets
			l.redistribute(changed, fresh)
			for index, known := range plan(targets.Values(), l.layout) {
				if whole[index] == nil {
					continue
				}
				d := newDraft(&table{Interface: whole[index].Interface}, whole[index], fresh)
				for addr, mode := range known {
					d.assign(addr, mode)
				}
				whole[index] = d.finish()
				if got := l.ports[index].table.Load(); !got.equal(whole[index]) || !maps.Equal(maps.Collect(got.known.All()), known) {
					t.Fatalf("seed %d, step %d, link %d: known %v, want %v", seed, step, index, maps.Collect(got.known.All()), known)
				}
				if !maps.Equal(maps.Collect(whole[index].addrs.All()), maps.Collect(l.ports[index].table.Load().addrs.All())) {
					t.Fatalf("seed %d, step %d, link %d: other addresses to answer for", seed, step, index)
				}
			}
		}
	}
}

// replace changes some targets at random.
func replace(r *rand.Rand, targets map[netip.Addr]Target) (put []Target, gone []netip.Addr) {
	for i := range byte(20) {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, i})
		if i > 15 {
			addr = netip.AddrFrom16([16]byte{0: 0xfd, 15: i})
		}
		switch r.IntN(12) {
		case 0:
			x := Target{Addr: addr, Mode: Mode(r.IntN(2))}
			x.Announced = x.Mode == Answer && r.IntN(2) == 0
			if r.IntN(5) == 0 {
				x.Interfaces = []string{"eth?"}
			}
			targets[addr] = x
			put = append(put, x)
		case 1:
			delete(targets, addr)
			gone = append(gone, addr)
		}
	}
	return put, gone
}
