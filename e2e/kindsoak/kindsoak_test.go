package kindsoak

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/soak"
)

// TestSoak is the short soak: a dozen faults of one seed, on the cluster. Those that come too late are left out, so that a slow machine
// has fewer of them.
func TestSoak(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("takes minutes; this is -short")
	case os.Geteuid() != 0:
		t.Skip("looks into the nodes' processes, and listens in the client's network namespace, as root")
	}
	logs := t.TempDir()
	lab.Open(t).Keep(logs)
	kinds := []fault.Kind{
		"stop", "pause", "crash", "node-network", "api-restart", "api-node", "rollout", "controller-stop", "keys", "config-bad",
	}
	report := soak.UnderTest(t, soak.Options{
		Seed: 1, Duration: 150 * time.Second, Nodes: Nodes, Services: 12, Kinds: kinds, Logs: logs, Progress: t.Output(),
	}, New("../../deploy"))
	if t.Failed() {
		return
	}
	happened := 0
	for _, tally := range report.Faults {
		if tally.Count > 0 {
			happened++
		}
	}
	if !report.Settled || happened < 6 || report.Deeds < 10 || len(report.Assigned) < 5 || report.Requests-report.Failed < 100 || len(report.Usage) < 5 {
		t.Errorf("nothing much happened: %+v", report)
	}
}

// TestActions compares the catalogue with the actions, and finds plans that leave two nodes and no node to two faults.
func TestActions(t *testing.T) {
	r := rules()
	for _, k := range r.Kinds() {
		if actions()[k] == nil {
			t.Errorf("nothing is done for %s", k)
		}
	}
	if len(actions()) != len(r.Faults) {
		t.Errorf("%d actions for %d faults", len(actions()), len(r.Faults))
	}
	for seed := range uint64(20) {
		seen := make(map[fault.Kind]bool)
		plan := soak.Plan(r, seed, time.Hour, Nodes, r.Kinds())
		for i, f := range plan {
			seen[f.Kind] = true
			rule := r.Of(f.Kind)
			if rule.Scope == fault.Process && f.Node == 0 || rule.Scope == fault.Node && f.Node < 0 {
				t.Fatalf("seed %d: %s", seed, f)
			}
			for _, other := range plan[:i] {
				together := other.End() > f.At && other.At < f.End()
				if both := rule.Effects & r.Of(other.Kind).Effects & fault.Away; together && both != 0 {
					t.Fatalf("seed %d: two nodes are away at once:\n%s\n%s", seed, other, f)
				}
			}
		}
		if len(seen) != len(r.Faults) {
			t.Errorf("seed %d: %d of %d kinds in an hour", seed, len(seen), len(r.Faults))
		}
	}
}

// TestPools has no address in two pools, and none that Docker gives.
func TestPools(t *testing.T) {
	p := pools{netip.MustParsePrefix("172.30.0.0/24"), netip.MustParsePrefix("fd00:30::/64")}
	for number := range 40 {
		if a := p.asked(number); !p.contains(a) || a.Compare(p.four(lastMain)) <= 0 || a.Compare(p.four(firstSpare)) >= 0 {
			t.Errorf("%d asks for %s", number, a)
		}
	}
	docker6 := netip.MustParsePrefix("fd00:30::/112")
	if docker6.Contains(p.six(1)) || !p.contains(p.six(200)) || p.contains(netip.MustParseAddr("fd00:30::2")) || p.contains(netip.MustParseAddr("172.30.0.2")) {
		t.Error("the pools are in Docker's part of the network")
	}
	all := append(p.edits(), p.breakages()...)
	slices.Sort(all)
	if len(slices.Compact(all)) != len(p.edits())+len(p.breakages()) || slices.Contains(all, p.configuration("", "")) {
		t.Errorf("configurations are the same: %q", all)
	}
}
