package notify

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// naiveSet reviews all placements in every round.
type naiveSet map[netip.Addr]naiveEntry

type naiveEntry struct {
	unannounced
	told bool
}

func (s naiveSet) review(now time.Time, r Round) (next naiveSet, tell []*placement.Placement) {
	next = naiveSet{}
	for _, p := range r.Placements {
		if p.Reason == reason.Announced {
			continue
		}
		u := s[p.Addr]
		if u.since.IsZero() || u.reason != p.Reason {
			u = naiveEntry{unannounced: unannounced{reason: p.Reason, since: now, owner: cmp.Or(r.PrevOwner(p.Addr), u.owner)}}
		}
		if !u.told && now.Sub(u.since) >= reportDelay(r.First) {
			u.told = true
			if r.First {
				tell = append(tell, p)
			}
		}
		next[p.Addr] = u
	}
	return next, tell
}

// TestUnannouncedLaw runs random rounds, and compares the review of the touched addresses with the review of all.
func TestUnannouncedLaw(t *testing.T) {
	reports := 0
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 9))
		set, naive, now := newUnannouncedSet(), naiveSet{}, epoch
		current, owners := map[netip.Addr]*placement.Placement{}, map[netip.Addr]string{}
		for step := range 200 {
			now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
			touched := map[netip.Addr]struct{}{}
			for range random.IntN(4) {
				a := addr(random.IntN(12))
				touched[a] = struct{}{}
				switch p := (&placement.Placement{Addr: a, Reason: reason.NoEndpoints}); random.IntN(4) {
				case 0:
					p.Reason, p.Owner = reason.Announced, "b"
					current[a] = p
				case 1:
					delete(current, a)
				case 2:
					p.Reason = reason.NotInPool
					current[a] = p
				default:
					current[a] = p
				}
			}
			r := Round{
				First: random.IntN(3) > 0, PrevOwner: func(a netip.Addr) string { return owners[a] },
				Touched: slices.SortedFunc(maps.Keys(touched), netip.Addr.Compare),
			}
			for _, a := range slices.SortedFunc(maps.Keys(current), netip.Addr.Compare) {
				r.Placements = append(r.Placements, current[a])
			}
			var want []*placement.Placement
			naive, want = naive.review(now, r)
			got := set.review(now, r)
			reports += len(got)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, step %d: reports %v, want %v", seed, step, got, want)
			}
			var next time.Time
			for a, u := range naive {
				if u.unannounced != set.byAddr[a] {
					t.Fatalf("seed %d, step %d: %s is %+v, want %+v", seed, step, a, set.byAddr[a], u.unannounced)
				}
				if at := u.since.Add(reportDelay(r.First)); !u.told && (next.IsZero() || at.Before(next)) {
					next = at
				}
			}
			if got := set.due(r.First); len(set.byAddr) != len(naive) || !got.Equal(next) {
				t.Fatalf("seed %d, step %d: %d addresses, due at %v; want %d, %v", seed, step, len(set.byAddr), got, len(naive), next)
			}
			clear(owners)
			for _, p := range r.Placements {
				owners[p.Addr] = p.Owner
			}
		}
	}
	if reports < 50 {
		t.Errorf("%d reports; the test proves little", reports)
	}
}
