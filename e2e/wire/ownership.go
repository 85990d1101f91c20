package wire

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// silence is how long a station may say nothing about an address and still be counted as its owner before and after:
	// it is asked for a hundred times a second.
	silence = 250 * time.Millisecond
	// handover is how long two owners at once are none too many: the new one announces before the old one stops.
	handover = 20 * time.Millisecond
)

// The words of package ether in which a Lab reports.
type (
	// MAC is an Ethernet address.
	MAC = ether.MAC
	// Claim is a frame by which a host says that the host has an address.
	Claim = ether.Claim
)

// ownersOf returns who claims each address.
func ownersOf(claims []Claim) map[netip.Addr][]MAC {
	owners := make(map[netip.Addr][]MAC)
	for _, c := range claims {
		if !slices.Contains(owners[c.Addr], c.MAC) {
			owners[c.Addr] = append(owners[c.Addr], c.MAC)
		}
	}
	return owners
}

// tenure is a time in which a station claimed an address again and again.
type tenure struct{ from, to time.Time }

// tenures returns those of all stations, of an address that somebody asked for all the time.
func tenures(claims []Claim, addr netip.Addr) []tenure {
	last := make(map[MAC]int)
	var all []tenure
	for _, c := range claims {
		if c.Addr != addr {
			continue
		}
		if i, ok := last[c.MAC]; ok && c.At.Sub(all[i].to) <= silence {
			all[i].to = c.At
			continue
		}
		last[c.MAC] = len(all)
		all = append(all, tenure{c.At, c.At})
	}
	return all
}

// owners returns how many stations owned an address at once at most, handovers left out, and for how long at most there was
// more than one without a break. claims are in the order of time.
func owners(claims []Claim, addr netip.Addr) (most int, overlap time.Duration) {
	type edge struct {
		at   time.Time
		step int
	}
	count := func(shorten time.Duration) (most int, longest time.Duration) {
		var edges []edge
		for _, t := range tenures(claims, addr) {
			end := t.to.Add(-shorten)
			if end.Before(t.from) {
				end = t.from
			}
			edges = append(edges, edge{t.from, 1}, edge{end, -1})
		}
		// Of edges at one moment the ends come first: who ceases then is no owner any more.
		slices.SortStableFunc(edges, func(a, b edge) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.step - b.step
		})
		now, since := 0, time.Time{}
		for _, e := range edges {
			if now == 2 && e.step < 0 {
				longest = max(longest, e.at.Sub(since))
			}
			now += e.step
			if now == 2 && e.step > 0 {
				since = e.at
			}
			most = max(most, now)
		}
		return most, longest
	}
	most, _ = count(handover)
	_, overlap = count(0)
	return most, overlap
}

// moves counts how often an address was announced by another station than before. before are the owners at the beginning.
func moves(claims []Claim, before map[netip.Addr]MAC) (n int) {
	last := make(map[netip.Addr]MAC, len(before))
	for _, c := range claims {
		if !c.Announced {
			continue
		}
		was, known := last[c.Addr]
		if !known {
			was, known = before[c.Addr]
		}
		if known && was != c.MAC {
			n++
		}
		last[c.Addr] = c.MAC
	}
	return n
}

// takeovers returns how long after a moment each address of a station was first announced by another one, sorted. Those that
// nobody took are missing.
func takeovers(claims []Claim, of MAC, before map[netip.Addr]MAC, since time.Time) []time.Duration {
	taken := make(map[netip.Addr]bool)
	var after []time.Duration
	for _, c := range claims {
		if c.Announced && c.MAC != of && before[c.Addr] == of && !taken[c.Addr] && !c.At.Before(since) {
			taken[c.Addr] = true
			after = append(after, c.At.Sub(since))
		}
	}
	slices.Sort(after)
	return after
}
