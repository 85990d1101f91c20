package controller

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// rival changes the status of a Service back after every write of the controller.
func (f *fakeAPI) rival(name, addr string) {
	key := cluster.Key{Namespace: "default", Name: name}
	theirs := []netip.Addr{netip.MustParseAddr(addr)}
	f.mu.Lock()
	written := !slices.Equal(f.served[key].Ingress, theirs)
	f.mu.Unlock()
	if written {
		f.apply(name, func(svc *cluster.Service) { svc.Ingress, svc.StatusManager = theirs, "k3s" })
		f.deliver()
	}
}

// TestContestedStatus lets another controller change the status of a Service back for ten minutes. After some rounds
// the controller writes once a minute, and one Event and the condition name the other controller. When the other
// controller stops, the condition becomes true again.
func TestContestedStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		start(t, f)
		f.apply("web", nil)
		f.apply("quiet", nil)
		f.deliver()
		synctest.Wait()
		f.took()
		before := f.writes
		const war = 10 * time.Minute
		for began := time.Now(); time.Since(began) < war; time.Sleep(20 * time.Millisecond) {
			f.rival("web", "10.9.9.9")
			synctest.Wait()
		}
		if writes := f.writes - before; writes > contestRounds+1+int(war/contestPause) || writes < int(war/contestPause)-1 {
			t.Errorf("%d writes in %v, want one a minute after %d rounds", writes, war, contestRounds)
		}
		log := f.took()
		if n := strings.Count(log, "web StatusContested: "); n != 1 || !strings.Contains(log, `field manager "k3s"`) {
			t.Errorf("%d Events name the other controller, want one:\n%s", n, log)
		}
		key := cluster.Key{Namespace: "default", Name: "web"}
		f.mu.Lock()
		condition := f.served[key].Condition
		f.mu.Unlock()
		if condition == nil || condition.True || condition.Reason != reason.StatusContested.String() {
			t.Errorf("the condition is %+v while the status is contested", condition)
		}

		time.Sleep(5 * time.Minute)
		synctest.Wait()
		f.mu.Lock()
		condition, ingress := f.served[key].Condition, f.served[key].Ingress
		f.mu.Unlock()
		if condition == nil || !condition.True || len(ingress) != 1 || ingress[0] == netip.MustParseAddr("10.9.9.9") {
			t.Errorf("the condition is %+v and the address %v after the other controller has stopped", condition, ingress)
		}
	})
}

// TestUsersEditIsNoContest changes the status of a Service once an hour, as a person might. The controller undoes each
// change at once.
func TestUsersEditIsNoContest(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fakeAPI) {
		start(t, f)
		f.apply("web", nil)
		f.deliver()
		synctest.Wait()
		f.took()
		before := f.writes
		for range 2 * contestRounds {
			f.rival("web", "10.9.9.9")
			synctest.Wait()
			time.Sleep(time.Hour)
		}
		if log := f.took(); f.writes-before != 2*contestRounds || strings.Contains(log, "StatusContested") {
			t.Errorf("%d writes\n%s", f.writes-before, log)
		}
	})
}
