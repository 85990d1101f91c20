package speaker

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"
)

var (
	simulate = flag.String("simulate", "30", "`numbers` of nodes to simulate, separated by commas; 1000 takes a quarter of an hour")
	crashes  = flag.Int("crashes", 3, "how many nodes of each simulation crash, one after the other")
)

const (
	// mostSimulated limits the number of Services: one for each node in small clusters.
	mostSimulated = 300
	// The goals: the time until the last address of a crashed node is announced, and the traffic of a node per second
	// for gossip and watching.
	detectionGoal = time.Second
	trafficGoal   = 20_000
)

// idleTime returns how long the traffic of n nodes is counted, half a minute at least: for one round of the exchanges of all state,
// or some, which each member begins every 10 s, and memberlist makes rarer in clusters of more than 32.
func idleTime(n int) time.Duration {
	const interval = 10 * time.Second
	if n <= 32 {
		return 3 * interval
	}
	return max(3*interval, interval*time.Duration(math.Ceil(math.Log2(float64(n))-5)+1))
}

// simulationResult holds the measurements of one simulation: bytes and frames per node and second, and times since a
// crash.
type simulationResult struct {
	nodes, addrs             int
	start                    time.Duration // until all know all, and each address is announced
	datagrams, streams, wire float64
	frames, most             float64
	suspected, told          []time.Duration
	announced, forgotten     []time.Duration
}

// TestSimulated has nodes of a cluster crash, one after the other, in a simulation of each size that -simulate names, and prints
// what it cost and how long it took: all times are of the bubble, and so the same on any machine. Real are the speakers' loops, the
// ring, the announcers and memberlist with its encryption; the links are simulated, and the headers around gossip are reckoned.
func TestSimulated(t *testing.T) {
	var results []*simulationResult
	for text := range strings.SplitSeq(*simulate, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 3 || n > 1<<14 {
			t.Fatalf("-simulate: %q is no number of nodes from 3 to %d", text, 1<<14)
		}
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { results = append(results, measureSimulation(t, n)) })
		})
	}
	writeSimulations(t, results)
}

func measureSimulation(t *testing.T, n int) *simulationResult {
	began := time.Now()
	s := newSimulation(t, n, min(n, mostSimulated))
	r := &simulationResult{nodes: n, addrs: len(s.addrs), start: time.Since(began)}
	defer s.stop()
	idle := idleTime(n)
	per := float64(n) * idle.Seconds()
	for _, x := range s.idle(idle) {
		r.datagrams += float64(x.datagrams) / per
		r.streams += float64(x.streams) / per
		r.wire += float64(x.wire) / per
		r.frames += float64(x.frames) / per
		r.most = max(r.most, float64(x.datagrams+x.streams+x.wire)/idle.Seconds())
	}
	if sum := r.datagrams + r.streams + r.wire; sum > trafficGoal {
		t.Errorf("a node sends and receives %.0f bytes a second while nothing happens, want %d at most", sum, trafficGoal)
	}
	for range min(*crashes, n-2) {
		c := s.crashOne()
		r.suspected = append(r.suspected, c.suspected)
		r.forgotten = append(r.forgotten, c.forgotten)
		var last, told time.Duration
		for _, after := range c.announced {
			last = max(last, after)
		}
		for _, after := range c.told {
			told = max(told, after)
		}
		r.told, r.announced = append(r.told, told), append(r.announced, last)
		if last > detectionGoal {
			t.Errorf("%v from the crash of %s until the last of its %d addresses was announced, want %v at most",
				last, c.victim.name, len(c.announced), detectionGoal)
		}
		t.Logf("%s crashed with %d addresses: suspected after %v, told to all after %v, announced after %v, on no list after %v",
			c.victim.name, len(c.announced), c.suspected, told, last, c.forgotten)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong {
		t.Error(w, "though it never was")
	}
	for a, owner := range s.owners {
		if !owner.alive {
			t.Errorf("%s is still announced by %s, which crashed", a, owner.name)
		}
	}
	return r
}

// writeSimulations prints a table with a column for each simulation.
func writeSimulations(t *testing.T, results []*simulationResult) {
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', 0)
	line := func(name string, value func(*simulationResult) string) {
		fmt.Fprint(w, name)
		for _, r := range results {
			fmt.Fprint(w, "\t", value(r))
		}
		fmt.Fprintln(w)
	}
	number := func(value func(*simulationResult) float64) func(*simulationResult) string {
		return func(r *simulationResult) string { return fmt.Sprintf("%.1f", value(r)) }
	}
	times := func(of func(*simulationResult) []time.Duration) func(*simulationResult) string {
		return func(r *simulationResult) string {
			sorted := slices.Sorted(slices.Values(of(r)))
			if len(sorted) == 0 {
				return "-"
			}
			n := len(sorted)
			return fmt.Sprintf("%d, %d, %d", sorted[n/2].Milliseconds(), sorted[(99*n+99)/100-1].Milliseconds(), sorted[n-1].Milliseconds())
		}
	}
	line("nodes, addresses", func(r *simulationResult) string { return fmt.Sprintf("%d, %d", r.nodes, r.addrs) })
	line("all nodes started at once: until each address is announced, s", number(func(r *simulationResult) float64 { return r.start.Seconds() }))
	line("gossip and watching, kB/s a node", number(func(r *simulationResult) float64 { return (r.datagrams + r.streams + r.wire) / 1e3 }))
	line("  the node that has most", number(func(r *simulationResult) float64 { return r.most / 1e3 }))
	line("  gossip in datagrams, gossip's pings of neighbours included", number(func(r *simulationResult) float64 { return r.datagrams / 1e3 }))
	line("  exchanges of all state", number(func(r *simulationResult) float64 { return r.streams / 1e3 }))
	line("  frames of watching and announcements", number(func(r *simulationResult) float64 { return r.wire / 1e3 }))
	line("  number of those frames a second", number(func(r *simulationResult) float64 { return r.frames }))
	line("node crashed, ms (p50, p99, most): first suspicion", times(func(r *simulationResult) []time.Duration { return r.suspected }))
	line("  all nodes told of it", times(func(r *simulationResult) []time.Duration { return r.told }))
	line("  last of its addresses announced", times(func(r *simulationResult) []time.Duration { return r.announced }))
	line("  on no list of members", times(func(r *simulationResult) []time.Duration { return r.forgotten }))
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
}
