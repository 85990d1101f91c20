package patrol

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

// town is a cluster in simulated time: nodes with patrols, and addresses with owners.
type town struct {
	t       *testing.T
	now     time.Time
	period  time.Duration
	patrols []Patrol
	next    []time.Time
	addrs   []netip.Addr
	owner   map[netip.Addr]int
	broken  map[netip.Addr]bool
	// probes are all probes so far, and frames the frames of each node.
	probes []probe
	frames []int
}

type probe struct {
	at   time.Time
	node int
	addr netip.Addr
}

func newTown(t *testing.T, period time.Duration, nodes, addrs int) *town {
	w := &town{
		t: t, now: time.Unix(0, 0).Add(1_000_000*time.Hour + 17*time.Second), period: period,
		patrols: make([]Patrol, nodes), next: make([]time.Time, nodes), frames: make([]int, nodes),
		owner: map[netip.Addr]int{}, broken: map[netip.Addr]bool{},
	}
	a := netip.MustParseAddr("10.0.0.0")
	for i := range addrs {
		a = a.Next()
		w.addrs = append(w.addrs, a)
		w.owner[a] = i % nodes
	}
	return w
}

func (w *town) inputs(node int) Inputs {
	return Inputs{
		Period: w.period, Nodes: len(w.patrols), Self: node, Addrs: w.addrs,
		Own: func(a netip.Addr) bool { return w.owner[a] == node },
	}
}

// inUse is the length of a period.
func (w *town) inUse() time.Duration { return Period(w.inputs(0)) }

// round returns the time of the next beginning of a period.
func (w *town) round() time.Time {
	p := int64(w.inUse())
	return time.Unix(0, (w.now.UnixNano()/p+1)*p)
}

// until runs all nodes until a time.
func (w *town) until(end time.Time) {
	for {
		node := 0
		for i := range w.next {
			if w.next[i].Before(w.next[node]) {
				node = i
			}
		}
		if !w.next[node].Before(end) {
			w.now = end
			return
		}
		if w.next[node].After(w.now) {
			w.now = w.next[node]
		}
		w.step(node)
	}
}

func (w *town) step(node int) {
	addr, next := w.patrols[node].Step(w.now, w.inputs(node))
	if !addr.IsValid() {
		if next.Before(w.now) {
			w.t.Fatalf("node %d sleeps until %v, before now", node, next)
		}
		w.next[node] = next
		return
	}
	if w.owner[addr] == node {
		w.t.Fatalf("node %d probes its own address %v", node, addr)
	}
	w.probes = append(w.probes, probe{w.now, node, addr})
	result, frames := status.LastProbe{Address: addr.String(), Port: 80, Result: "open"}, FramesOpen
	if w.broken[addr] {
		result.Result, frames = "silent", 10
	}
	w.frames[node] += frames
	w.patrols[node].Done(w.now, addr, result, frames)
	w.next[node] = w.now
}

// TestPeriods runs clusters of several sizes for as many periods as groups. In each period few nodes probe each address,
// evenly over the time; at the end every node has probed every address; no node sends more than a frame a second.
func TestPeriods(t *testing.T) {
	for _, size := range []struct{ nodes, addrs int }{{2, 1}, {2, 20}, {3, 10}, {4, 50}, {5, 7}, {10, 400}, {31, 100}} {
		t.Run(fmt.Sprintf("%d nodes, %d addresses", size.nodes, size.addrs), func(t *testing.T) {
			w := newTown(t, time.Minute, size.nodes, size.addrs)
			w.until(w.round())
			first, groups := w.now, groupsOf(size.nodes)
			w.probes, w.frames = nil, make([]int, size.nodes)
			for range groups {
				began, from := w.now, len(w.probes)
				w.until(w.now.Add(w.inUse()))
				visited, half := map[netip.Addr]int{}, 0
				for _, p := range w.probes[from:] {
					visited[p.addr]++
					if p.at.Before(began.Add(w.inUse() / 2)) {
						half++
					}
				}
				for _, a := range w.addrs {
					if n := visited[a]; n < 1 || n > 3 {
						t.Errorf("%d nodes probe %v in a period of %v", n, a, w.inUse())
					}
				}
				if all := len(w.probes) - from; all > 50 && (half < all/3 || half > 2*all/3) {
					t.Errorf("%d of %d probes are in the first half of a period", half, all)
				}
			}
			reached := map[netip.Addr]map[int]bool{}
			for _, p := range w.probes {
				if reached[p.addr] == nil {
					reached[p.addr] = map[int]bool{}
				}
				reached[p.addr][p.node] = true
			}
			for a, by := range reached {
				if len(by) != size.nodes-1 {
					t.Errorf("%d nodes have probed %v, want all but the owner", len(by), a)
				}
			}
			for node, n := range w.frames {
				if most := w.now.Sub(first).Seconds() + FramesOpen; float64(n) > most {
					t.Errorf("node %d has sent %d frames in %v", node, n, w.now.Sub(first))
				}
			}
		})
	}
}

// TestLongPeriods pins the periods that docs/path.md names.
func TestLongPeriods(t *testing.T) {
	for _, c := range []struct {
		nodes, addrs int
		want         time.Duration
	}{{2, 1, time.Minute}, {10, 50, 75 * time.Second}, {10, 2000, 2132 * time.Second}, {100, 2000, 286 * time.Second}} {
		if got := newTown(t, time.Minute, c.nodes, c.addrs).inUse().Round(time.Second); got != c.want {
			t.Errorf("%d nodes probe %d addresses in %v, want %v", c.nodes, c.addrs, got, c.want)
		}
	}
}

// TestBroken probes broken addresses again after the configured period, although the period in use is longer, until the
// addresses work. The other addresses still have their turn.
func TestBroken(t *testing.T) {
	w := newTown(t, time.Minute, 10, 400)
	a := w.addrs[10]
	w.broken[a] = true
	w.until(w.round())
	w.until(w.now.Add(5 * w.inUse()))
	probers := 0
	for node := range w.patrols {
		p := &w.patrols[node]
		if _, failed := p.Counts(); failed > 1 {
			t.Errorf("node %d has %d failures", node, failed)
		} else if failed == 1 {
			probers++
		}
	}
	if probers != 9 {
		t.Errorf("%d nodes know of the broken address", probers)
	}
	var times []time.Time
	for _, p := range w.probes {
		if p.node == 3 && p.addr == a {
			times = append(times, p.at)
		}
	}
	for i := 1; i < len(times); i++ {
		if d := times[i].Sub(times[i-1]); d < time.Minute || d > 80*time.Second {
			t.Errorf("the broken address is probed again after %v", d)
		}
	}
	w.broken[a] = false
	w.until(w.now.Add(2 * time.Minute))
	for node := range w.patrols {
		if _, failed := w.patrols[node].Counts(); failed != 0 {
			t.Errorf("node %d still has %d failures", node, failed)
		}
	}
}

// TestBrokenBesideOthers has the shortest period, in which a node has time for one probe of a broken path: all nodes still
// probe the address that works.
func TestBrokenBesideOthers(t *testing.T) {
	for nodes := 2; nodes < 12; nodes++ {
		w := newTown(t, 10*time.Second, nodes, 2)
		w.owner[w.addrs[0]], w.owner[w.addrs[1]] = 0, 0
		w.broken[w.addrs[0]] = true
		w.until(w.round().Add(time.Duration(4*groupsOf(nodes)) * w.inUse()))
		for node := 1; node < nodes; node++ {
			if x, has := w.patrols[node].Last(w.addrs[1]); !has || w.now.Sub(x.At) > time.Duration(4*groupsOf(nodes))*w.inUse() {
				t.Errorf("%d nodes: node %d has probed the address that works at %v, and it is %v", nodes, node, x.At, w.now)
			}
		}
	}
}

// TestAllBroken has only broken addresses: no node sends more than a frame a second, and each address has its turn.
func TestAllBroken(t *testing.T) {
	w := newTown(t, 10*time.Second, 4, 40)
	for _, a := range w.addrs {
		w.broken[a] = true
	}
	began := w.now
	w.until(w.now.Add(time.Hour))
	for node := range w.patrols {
		if n := w.frames[node]; float64(n) > w.now.Sub(began).Seconds()+10 {
			t.Errorf("node %d has sent %d frames in %v", node, n, w.now.Sub(began))
		}
		if probed, failed := w.patrols[node].Counts(); probed != 30 || failed != 30 {
			t.Errorf("node %d has probed %d addresses, %d broken", node, probed, failed)
		}
	}
}

// TestForget drops the results of addresses that the node gets, that no Service has, and of a probe that was not made.
func TestForget(t *testing.T) {
	w := newTown(t, time.Minute, 2, 3)
	for _, a := range w.addrs {
		w.owner[a], w.broken[a] = 1, true
	}
	w.until(w.round().Add(w.inUse()))
	if _, failed := w.patrols[0].Counts(); failed != 3 {
		t.Fatalf("%d failures", failed)
	}
	w.owner[w.addrs[0]] = 0
	w.addrs = w.addrs[:2]
	w.patrols[0].Step(w.now, w.inputs(0))
	if probed, failed := w.patrols[0].Counts(); probed != 1 || failed != 1 {
		t.Errorf("%d results and %d failures", probed, failed)
	}
	w.patrols[0].Done(w.now, w.addrs[1], status.LastProbe{}, 1)
	if probed, _ := w.patrols[0].Counts(); probed != 0 {
		t.Errorf("%d results", probed)
	}
	alone := w.inputs(0)
	alone.Nodes = 1
	if a, next := w.patrols[0].Step(w.now, alone); a.IsValid() || !next.After(w.now) || w.patrols[0].InUse() != 0 {
		t.Errorf("a single node probes %v at %v", a, next)
	}
}

// TestResults keeps the failures and the newest results when there are too many.
func TestResults(t *testing.T) {
	var p Patrol
	start := time.Unix(1_000_000, 5)
	a := netip.MustParseAddr("10.0.0.1")
	for i, result := range []string{"silent", "open", "open", "open"} {
		p.Done(start.Add(time.Duration(i)*time.Minute), a, status.LastProbe{Address: a.String(), Result: result}, 1)
		a = a.Next()
	}
	var got []string
	for _, x := range p.Results(3) {
		got = append(got, x.Address)
	}
	if want := []string{"10.0.0.1", "10.0.0.3", "10.0.0.4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if all := p.Results(100); len(all) != 4 || !all[0].At.Equal(start.Truncate(time.Second)) {
		t.Errorf("got %v", all)
	}
}

// TestNextPort stays at a port that failed, and otherwise takes the ports in turns.
func TestNextPort(t *testing.T) {
	ports := []uint16{80, 443, 8080}
	shut := &status.PathProbe{ShutOut: true}
	for _, c := range []struct {
		last status.LastProbe
		self int
		want uint16
	}{
		{status.LastProbe{}, 0, 80}, {status.LastProbe{}, 4, 443},
		{status.LastProbe{Port: 80, Result: "open"}, 0, 443}, {status.LastProbe{Port: 8080, Result: "open"}, 0, 80},
		{status.LastProbe{Port: 443, Result: "refused"}, 0, 443}, {status.LastProbe{Port: 22, Result: "refused"}, 2, 8080},
		{status.LastProbe{Port: 443, Result: "silent", Details: shut}, 0, 8080},
		{status.LastProbe{Port: 443, Result: "refused", Details: shut}, 0, 443},
	} {
		if got := NextPort(c.last, ports, c.self); got != c.want {
			t.Errorf("after %+v the next port is %d, want %d", c.last, got, c.want)
		}
	}
}
