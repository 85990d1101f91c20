package soak

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
)

// Fault happens once.
type Fault struct {
	Kind fault.Kind
	// Node is counted from 0; -1 where the fault is nobody's in particular.
	Node int
	// At is how long after the start it begins, and For how long it lasts.
	At, For time.Duration
}

// End is when it ends.
func (f Fault) End() time.Duration { return f.At + f.For }

// String is a line of the schedule.
func (f Fault) String() string {
	who := ""
	if f.Node >= 0 {
		who = fmt.Sprintf(" node-%d", f.Node)
	}
	return fmt.Sprintf("%8.1fs  %-16s for %4.1fs%s", f.At.Seconds(), f.Kind, f.For.Seconds(), who)
}

// Schedule is faults in the order of their beginning.
type Schedule []Fault

// String has a line for each fault.
func (s Schedule) String() string {
	var b strings.Builder
	for _, f := range s {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// calm is how long before the end no new fault begins.
const calm = 15 * time.Second

// Plan returns the schedule of a seed: of two Plans with the same arguments each fault is the same. All kinds have happened
// once before any happens twice as far as there is time. Some faults overlap, but never two of the same scope, and at
// most one node at a time is no use to its clients, or less than all but one of them if there are more than three.
func Plan(rules Rules, seed uint64, duration time.Duration, nodes int, kinds []fault.Kind) Schedule {
	random := rand.New(rand.NewPCG(seed, 1))
	var s Schedule
	var bag []fault.Kind
	round := 0
	for at := 2 * time.Second; len(kinds) > 0; {
		for len(bag) == 0 {
			bag = slices.DeleteFunc(slices.Clone(kinds), func(k fault.Kind) bool { return round%max(1, rules.Of(k).Every) != 0 })
			round++
			random.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
		}
		r := rules.Of(bag[0])
		f := Fault{Kind: r.Kind, Node: -1, At: at, For: between(random, r.Shortest, r.Longest)}
		switch {
		case r.Scope == fault.Process, r.Has(fault.Anew):
			f.Node = 1 + random.IntN(nodes-1)
		case r.Scope == fault.Node, r.Has(fault.Single):
			f.Node = random.IntN(nodes)
		}
		for s.hinders(rules, f, nodes) {
			f.At += 500 * time.Millisecond
		}
		if f.End() > duration-calm {
			return s
		}
		bag = bag[1:]
		s = append(s, f)
		slices.SortStableFunc(s, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
		// One in two begins before the one before has ended.
		if random.IntN(2) > 0 {
			at = f.End() + between(random, time.Second, 4*time.Second)
		} else {
			at = f.At + between(random, 500*time.Millisecond, 2*time.Second)
		}
	}
	return s
}

func between(random *rand.Rand, shortest, longest time.Duration) time.Duration {
	span := int64((longest-shortest)/(100*time.Millisecond)) + 1
	return shortest + time.Duration(random.Int64N(span))*100*time.Millisecond
}

// hinders tells whether a fault cannot begin when it wants to.
func (s Schedule) hinders(rules Rules, f Fault, nodes int) bool {
	r, without := rules.Of(f.Kind), map[int]bool{f.Node: true}
	for _, other := range s {
		// Whoever was away has a while to come back.
		o := rules.Of(other.Kind)
		if f.At > other.End()+o.Recovery+3*time.Second || other.At > f.End()+r.Recovery+3*time.Second {
			continue
		}
		if o.Scope == r.Scope || f.Node >= 0 && f.Node == other.Node || r.Scope == fault.Cluster && o.Has(fault.Away) || r.Has(fault.Away) && o.Scope == fault.Cluster {
			return true
		}
		if o.Has(fault.Away) {
			without[other.Node] = true
		}
	}
	return r.Has(fault.Away) && len(without) > max(1, nodes-2)
}
