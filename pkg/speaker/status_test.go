package speaker

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestStatusAfterCrash checks that the successor shows the previous owner and the cause, and that the other nodes show
// the successor.
func TestStatusAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr4)
		time.Sleep(10 * time.Second)
		victim := v.only(addr4)
		before := victim.loop.Describe()
		// All three speakers started at once, so another node may have been elected first without taking the address.
		if len(before.Owned) != 1 || !slices.Contains([]string{"new", "silent", "spread"}, before.Owned[0].Reason) || before.Owned[0].Elected == "" || before.Owned[0].Since.IsZero() ||
			len(before.Owned[0].Interfaces) != 1 || len(before.Watched) != 0 {
			t.Errorf("the owner tells %+v", before)
		}
		crashed := time.Now()
		victim.crash()
		time.Sleep(10 * time.Second)
		owner := v.only(addr4)
		for _, p := range v.speakers {
			if p == victim {
				continue
			}
			s := p.loop.Describe()
			gone := slices.IndexFunc(s.Members, func(m status.Member) bool { return m.Node == victim.name })
			if gone < 0 || s.Members[gone].State != goneState || s.Members[gone].LastHeard.After(crashed) || crashed.Sub(s.Members[gone].LastHeard) > time.Second {
				t.Errorf("%s tells of the dead member %+v", p.name, s.Members)
			}
			if p == owner {
				checkSuccessor(t, s, victim.name, crashed)
				continue
			}
			if len(s.Owned) != 0 || len(s.Watched) != 1 {
				t.Fatalf("%s owns %v and watches %v", p.name, s.Owned, s.Watched)
			}
			w := s.Watched[0]
			if w.Elected != owner.name || w.Reason != reason.NotElected.String() || w.Answers == nil || w.Answers.Node != owner.name || w.Answers.At.Before(crashed) {
				t.Errorf("%s tells %+v, %+v", p.name, w, w.Answers)
			}
		}
	})
}

func checkSuccessor(t *testing.T, s status.Speaker, from string, crashed time.Time) {
	t.Helper()
	if len(s.Owned) != 1 || s.Owned[0].Reason != "crash" || s.Owned[0].From != from || s.Owned[0].Since.Before(crashed) {
		t.Errorf("the successor owns %+v", s.Owned)
	}
	// All three speakers started at once, so the node may have yielded to another node before.
	if len(s.Changes) == 0 || s.Changes[0].Change != "gained" || s.Changes[0].Peer != from || s.Changes[0].After <= 0 || s.Changes[0].After > 1000 {
		t.Errorf("the successor tells of the changes %+v", s.Changes)
	}
}

// TestLastChanges keeps the newest changes, and does not change a list that was returned before.
func TestLastChanges(t *testing.T) {
	var last []ownership.Change
	for i := range 3 {
		more := slices.Repeat([]ownership.Change{{After: time.Duration(i)}}, keptChanges/2)
		before := slices.Clone(last)
		next := lastChanges(last, more)
		if !slices.Equal(last, before) || len(next) != min(keptChanges, (i+1)*keptChanges/2) || next[len(next)-1].After != time.Duration(i) {
			t.Fatalf("%d changes after %d rounds", len(next), i+1)
		}
		last = next
	}
	if last[0].After != 1 {
		t.Errorf("the oldest is of round %d", last[0].After)
	}
}
