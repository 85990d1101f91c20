package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// many returns the first n addresses of the pool.
func many(n int) []netip.Addr {
	addrs := make([]netip.Addr, n)
	a := netip.MustParseAddr("fd00::1:0")
	for i := range addrs {
		a = a.Next()
		addrs[i] = a
	}
	return addrs
}

// count returns the number of Events for each kind of object.
func count(events []cluster.Event) map[string]int {
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Object.Kind]++
	}
	return counts
}

// TestManyMovesAreToldOnce crashes a node with hundreds of addresses. Each successor creates one Event, on the lost
// Node. When the node is back, the node creates one Event for each former owner of its addresses.
func TestManyMovesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addrs = 400
		v := newTestCluster(t, "", []string{"a", "b", "c", "d"}, many(addrs)...)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(v.told()); n == 0 || n > 4+fewServices {
			t.Errorf("%d Events of four nodes that start, want one each", n)
		}
		time.Sleep(3 * time.Minute) // until all addresses are where they are to be
		synctest.Wait()
		before := len(v.told())
		owned := len(v.speakers["a"].loop.Status().Held)
		if owned < addrs/8 {
			t.Fatalf("node a has %d of %d addresses, too few to tell much", owned, addrs)
		}
		v.speakers["a"].crash()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		told := v.told()[before:]
		if counts := count(told); counts["Node"] == 0 || counts["Node"] > 3 || counts["Service"] > 0 {
			t.Errorf("Events of a crash: %v, want one for each of three nodes\n%v", counts, told)
		}
		moved := 0
		for _, e := range told {
			var node, rest string
			var n int
			if _, err := fmt.Sscanf(e.Message, "node %q answers for %d addresses %s", &node, &n, &rest); err != nil {
				t.Errorf("%q: %v", e.Message, err)
			}
			if e.Object.Name != "a" || e.Reason != "Announced" || e.Warning || !strings.HasSuffix(e.Message, `, which node "a" had: crash`) {
				t.Errorf("%+v, want one on node a that tells of its crash", e)
			}
			moved += n
		}
		if moved != owned {
			t.Errorf("the Events tell of %d addresses, want the %d that node a had", moved, owned)
		}

		before = len(v.told())
		v.lan.Cut("a/eth0", false)
		v.speakers["a"].boot()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		told = v.told()[before:]
		if counts := count(told); counts["Node"] == 0 || counts["Node"] > 4+fewServices || counts["Service"] > 0 {
			t.Errorf("Events of a return: %v, want one for each of three nodes\n%v", counts, told)
		}
		for _, e := range told {
			if e.Object.Name == "a" || !strings.Contains(e.Message, `node "a" answers for`) || !strings.HasSuffix(e.Message, ": failback") {
				t.Errorf("%+v, want one on the node that gives addresses back", e)
			}
		}
	})
}

// TestFewMovesAreToldToEach tells Services of a move when there are few, and each Service that is new.
func TestFewMovesAreToldToEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b"}, addr4, addr6)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := v.told()
		if counts := count(before); counts["Service"] != 2 || counts["Node"] != 0 {
			t.Errorf("Events of two Services: %v, want one on each", before)
		}
		owner := "a"
		if len(v.speakers["a"].loop.Status().Held) == 0 {
			owner = "b"
		}
		owned := len(v.speakers[owner].loop.Status().Held)
		v.speakers[owner].crash()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		told := v.told()[len(before):]
		if counts := count(told); counts["Service"] != owned || counts["Node"] != 0 {
			t.Errorf("Events of %d moves: %v", owned, told)
		}
		before = v.told()
		v.change(func(s *cluster.Snapshot) {
			for i, a := range many(2 * fewServices) {
				svc := service(fmt.Sprintf("t%02d", i), a)
				svc.Created = time.Now()
				s.Services = append(s.Services, svc)
			}
		})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if counts := count(v.told()[len(before):]); counts["Service"] != 2*fewServices || counts["Node"] != 0 {
			t.Errorf("Events of %d new Services: %v, want one on each", 2*fewServices, counts)
		}
	})
}

// TestManyDarkAreToldOnce takes the endpoints of all Services away.
func TestManyDarkAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, many(90)...)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := len(v.told())
		v.change(func(s *cluster.Snapshot) {
			for i := range s.Services {
				s.Services[i].HasServing = false
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		told := v.told()[before:]
		if counts := count(told); counts["Node"] != 3 || counts["Service"] != 0 {
			t.Errorf("Events: %v, want one for each of three nodes", told)
		}
		for _, e := range told {
			if !e.Warning || e.Reason != "NoEndpoints" || !strings.HasPrefix(e.Message, "nobody answers for ") {
				t.Errorf("%+v", e)
			}
		}
	})
}
