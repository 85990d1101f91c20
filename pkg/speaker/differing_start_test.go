package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestAllStartAtOnce starts the speakers within a short time. The first ready speaker takes all addresses. The
// addresses are spread within five seconds after the last start, and then stay.
func TestAllStartAtOnce(t *testing.T) {
	addrs := slices.Concat(following(addr4, 10), following(addr6, 4))
	for _, failback := range []string{"60s", "2s", "never"} {
		for _, within := range []time.Duration{0, 300 * time.Millisecond, time.Second, 4 * time.Second} {
			sample(t, fmt.Sprintf("%s/%s", failback, within), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := startApart(t, failback, within/3, addrs)
					time.Sleep(5 * time.Second)
					courses := v.steady("after the start", 3*time.Minute, addrs...)
					if failback == "never" {
						return
					}
					for _, a := range addrs {
						if want := v.succession(a)[0].name; courses[a].last() != want {
							t.Errorf("%s is at %s, want %s", a, courses[a].last(), want)
						}
					}
				})
			})
		}
	}
}

// startApart starts four speakers with a pause between two starts.
func startApart(t *testing.T, failback string, pause time.Duration, addrs []netip.Addr) *testCluster {
	names := []string{"a", "b", "c", "d"}
	v := makeTestCluster(t, 1, quiet(t), testConfig+"layer2: {failback: "+failback+"}\n", names, addrs...)
	for i, name := range names {
		if i > 0 {
			time.Sleep(pause)
		}
		v.speakers[name].boot()
	}
	return v
}

// TestStartOneAfterTheOther starts the speakers ten seconds apart: each takes its addresses after the failback delay, or never.
func TestStartOneAfterTheOther(t *testing.T) {
	addrs := slices.Concat(following(addr4, 10), following(addr6, 4))
	for _, failback := range []string{"60s", "never"} {
		sample(t, failback, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := startApart(t, failback, 10*time.Second, addrs)
				v.hold("before the delay is over", 25*time.Second, limits{owners: []string{"a"}}, addrs...)
				if failback == "never" {
					v.hold("for ever", 5*time.Minute, limits{owners: []string{"a"}}, addrs...)
					return
				}
				courses := v.hold("after the delay", 2*time.Minute, limits{moves: 2}, addrs...)
				for _, a := range addrs {
					if want := v.succession(a)[0].name; courses[a].last() != want {
						t.Errorf("%s is at %s, want %s", a, courses[a].last(), want)
					}
				}
				v.steady("later", time.Minute, addrs...)
			})
		})
	}
}
