package speaker

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

// patrolling makes all nodes probe the paths every 10 s, or never.
func (v *testCluster) patrolling(more string) {
	cfg, err := config.Parse([]byte(testConfig + more))
	if err != nil {
		v.t.Fatal(err)
	}
	v.change(func(s *cluster.Snapshot) { s.Config = cfg })
}

// lastProbes returns the last probe of an address from each node.
func (v *testCluster) lastProbes(addr netip.Addr) map[string]status.LastProbe {
	found := map[string]status.LastProbe{}
	for name, n := range v.speakers {
		for _, x := range n.speaker().Describe().Probes {
			if x.Address == addr.String() {
				found[name] = x
			}
		}
	}
	return found
}

// segments counts the TCP segments that a node has sent since a frame of the trace.
func (v *testCluster) segments(node string, since int) (n int) {
	for _, f := range v.lan.Trace()[since:] {
		if strings.HasPrefix(f.From, node+"/") &&
			(f.Data[12] == 0x08 && f.Data[13] == 0 && f.Data[23] == 6 || f.Data[12] == 0x86 && f.Data[20] == 6) {
			n++
		}
	}
	return n
}

// TestPatrol probes addresses of both families from all nodes: a path that works, a path that loses its rules and gets
// the rules back, and an address that moves. Without the key no node probes.
func TestPatrol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		works, breaks := addr4.Next(), addr6.Next()
		for _, addr := range []netip.Addr{works, breaks} {
			delay(v, x, addr, 0)
			v.expose(addr, nil)
		}
		v.expose(addr4.Next().Next(), func(s *cluster.Service) { s.TCPPorts = nil }) // UDP only
		time.Sleep(time.Minute)
		frames := len(v.lan.Trace())
		time.Sleep(5 * time.Minute)
		for name := range v.speakers {
			if n := v.segments(name, frames); n > 0 {
				t.Fatalf("%s has sent %d segments without path-probe", name, n)
			}
		}

		v.patrolling("layer2: {path-probe: 10s}\n")
		time.Sleep(time.Minute)
		for _, addr := range []netip.Addr{works, breaks} {
			owner, found := v.only(addr).name, v.lastProbes(addr)
			if _, own := found[owner]; own || len(found) != 2 {
				t.Fatalf("%v of %s is probed by %+v", addr, owner, found)
			}
			for name, p := range found {
				if p.Result != "open" || p.Node != owner || p.Port != 80 || p.Details != nil || p.Failed() || time.Since(p.At) > 25*time.Second {
					t.Errorf("%s finds %+v", name, p)
				}
			}
		}

		owner := v.only(breaks)
		x.write(owner.name, breaks, time.Hour)
		time.Sleep(time.Minute)
		for name, p := range v.lastProbes(breaks) {
			if p.Result != "silent" || !p.Ping || !p.Failed() || p.Details == nil || p.Details.Node != owner.name || p.Details.Service != "default/new-"+breaks.String() {
				t.Errorf("%s finds %+v", name, p)
			}
			n := v.speakers[name].speaker()
			if got := testutil.ToFloat64(gaugeOf{n.patroller, unreachableDesc}); got != 1 {
				t.Errorf("%s counts %v unreachable addresses", name, got)
			}
		}
		if p := v.lastProbes(works); len(p) != 2 {
			t.Errorf("the path that works is probed by %v", p)
		}
		x.write(owner.name, breaks, 0)
		time.Sleep(30 * time.Second)
		for name, p := range v.lastProbes(breaks) {
			if p.Result != "open" {
				t.Errorf("%s finds %+v after the rules came back", name, p)
			}
		}

		// The owner crashes: the other nodes probe the path through the next owner.
		before := v.only(works)
		before.crash()
		time.Sleep(time.Minute)
		after, found := v.only(works).name, v.lastProbes(works)
		if after == before.name {
			t.Fatalf("%s still has %v", after, works)
		}
		for name, p := range found {
			if name != before.name && (name == after || p.Node != after || p.Result != "open") {
				t.Errorf("%s finds %+v after the crash of %s", name, p, before.name)
			}
		}

		v.patrolling("")
		time.Sleep(10 * time.Second)
		if found := v.lastProbes(breaks); len(found) > 1 { // the status of the crashed node stays
			t.Errorf("without path-probe the status has %v", found)
		}
	})
}

// TestPatrolKnowsRanges probes a Service that admits no node: the silence counts as no failure.
func TestPatrolKnowsRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newProvingCluster(t, "a", "b")
		addr := addr4.Next()
		v.expose(addr, func(s *cluster.Service) { s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
		v.patrolling("layer2: {path-probe: 10s, ping: false}\n")
		time.Sleep(time.Minute)
		found := v.lastProbes(addr)
		if len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		for name, p := range found {
			if p.Result != "silent" || p.Failed() || !p.Details.ShutOut || !p.NoPing || p.Ping {
				t.Errorf("%s finds %+v", name, p)
			}
		}
	})
}

// gaugeOf is one metric of a collector.
type gaugeOf struct {
	prometheus.Collector
	desc *prometheus.Desc
}

func (g gaugeOf) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric, 10)
	g.Collector.Collect(all)
	close(all)
	for m := range all {
		if m.Desc() == g.desc {
			ch <- m
		}
	}
}
