package soak

import (
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// TestPlanIsOfTheSeed makes the same schedule of the same seed, and another one of another.
func TestPlanIsOfTheSeed(t *testing.T) {
	a, b := Plan(namespaceRules(), 7, 10*time.Minute, 4, namespaceRules().Kinds()), Plan(namespaceRules(), 7, 10*time.Minute, 4, namespaceRules().Kinds())
	if a.String() != b.String() || len(a) == 0 {
		t.Errorf("two plans of one seed:\n%s\n%s", a, b)
	}
	if c := Plan(namespaceRules(), 8, 10*time.Minute, 4, namespaceRules().Kinds()); a.String() == c.String() {
		t.Errorf("two seeds have one plan:\n%s", a)
	}
	// A longer one begins as the shorter one does.
	if long := Plan(namespaceRules(), 7, time.Hour, 4, namespaceRules().Kinds()); long[:len(a)].String() != a.String() {
		t.Errorf("the hour begins with\n%s\nthe ten minutes are\n%s", long[:len(a)], a)
	}
}

// TestPlanLeavesNodes checks what faults at once may be, for many seeds.
func TestPlanLeavesNodes(t *testing.T) {
	for seed := range uint64(200) {
		nodes := 3 + int(seed%4)
		plan := Plan(namespaceRules(), seed, 20*time.Minute, nodes, namespaceRules().Kinds())
		seen := make(map[fault.Kind]int)
		for i, f := range plan {
			r := namespaceRules().Of(f.Kind)
			seen[f.Kind]++
			if f.For < r.Shortest || f.For > r.Longest || f.End() > 20*time.Minute-calm || f.Node >= nodes || (r.Scope == fault.Process || r.Has(fault.Anew)) && f.Node < 1 {
				t.Fatalf("seed %d: %s", seed, f)
			}
			without := make(map[int]bool)
			for j, other := range plan {
				if other.At > f.At || other.End() <= f.At {
					continue
				}
				if namespaceRules().Of(other.Kind).Has(fault.Away) {
					without[other.Node] = true
				}
				if i != j && namespaceRules().Of(other.Kind).Scope == r.Scope {
					t.Fatalf("seed %d: two of one scope at once:\n%s\n%s", seed, f, other)
				}
			}
			if len(without) > max(1, nodes-2) {
				t.Fatalf("seed %d: too few nodes are left at %v:\n%s", seed, f.At, plan)
			}
		}
		for _, k := range namespaceRules().Kinds() {
			if seen[k] == 0 {
				t.Errorf("seed %d: no %s in 20 minutes", seed, k)
			}
		}
	}
}

// TestActions compares the catalogue with the actions.
func TestActions(t *testing.T) {
	kinds := namespaceRules().Kinds()
	for _, k := range kinds {
		if actions[k] == nil {
			t.Errorf("nothing is done for %s", k)
		}
	}
	if len(actions) != len(kinds) {
		t.Errorf("%d actions for %d faults", len(actions), len(kinds))
	}
}
