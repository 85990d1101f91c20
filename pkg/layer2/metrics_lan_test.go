package layer2_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// TestSeriesGoWithTheirInterface counts received frames on two interfaces, and requires that the series of a removed
// interface disappear: virtual interfaces come and go all the time.
func TestSeriesGoWithTheirInterface(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inBubble(t, layer2.Options{Registerer: registry}, func(t *testing.T, l *lab) {
		eth1 := l.node.Add("eth1", subnet4, subnet6)
		l.set(vip4)
		l.pass(time.Second)
		series := func() int {
			n, err := testutil.GatherAndCount(registry, "lanlord_layer2_requests_total")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		both := series()
		eth1.SetUp(false)
		l.pass(time.Second)
		if n := series(); n != both {
			t.Errorf("%d series, want %d: a link that is down comes up again", n, both)
		}
		eth1.Remove()
		l.pass(time.Second)
		if n := series(); n == 0 || 2*n != both {
			t.Errorf("%d series after one of two interfaces is gone, want half of %d", n, both)
		}
	})
}

// TestReopenedSocketsAreCounted breaks both sockets of an interface. The announcer opens both sockets again.
func TestReopenedSocketsAreCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	inBubble(t, layer2.Options{Registerer: registry}, func(t *testing.T, l *lab) {
		l.set(vip4, vip6)
		l.pass(time.Minute)
		for _, protocol := range []string{"ARP", "NDP"} {
			if n := counted(t, registry, "lanlord_layer2_sockets_reopened_total", protocol); n != 0 {
				t.Errorf("%v sockets of %s were opened again before any failed", n, protocol)
			}
		}
		l.eth0.Break(errors.New("the cable melted"))
		l.pass(time.Minute)
		synctest.Wait()
		for _, protocol := range []string{"ARP", "NDP"} {
			if n := counted(t, registry, "lanlord_layer2_sockets_reopened_total", protocol); n != 1 {
				t.Errorf("%v sockets of %s were opened again, want 1", n, protocol)
			}
		}
	})
}
