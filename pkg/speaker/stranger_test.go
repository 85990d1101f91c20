package speaker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/notify"
)

// quarantined returns the nodes that report a foreign host at the address, with quarantine.
func (v *testCluster) quarantined() (names []string) {
	for name, p := range v.speakers {
		if slices.ContainsFunc(p.speaker().Status().Foreign, func(x cluster.Stranger) bool { return x.Addr == addr4 && x.Quarantine }) {
			names = append(names, name)
		}
	}
	return names
}

// claims counts the frames since a time in which a node announces addr4.
func (v *testCluster) claims(since int) (n int) {
	for _, f := range v.lan.Trace()[since:] {
		if v.speakers[strings.TrimSuffix(f.From, "/eth0")] != nil && (f.Announces(addr4) || f.Answers(addr4)) {
			n++
		}
	}
	return n
}

// TestNewAddressOfStranger assigns an address that another host has. No node announces the address, the Service gets an
// Event, and once the host is gone the address is free.
func TestNewAddressOfStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
		time.Sleep(10 * time.Second)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		stranger.Own(addr4, true)
		frames := len(v.lan.Trace())
		v.change(func(s *cluster.Snapshot) { s.Services = append(s.Services, service("s1", addr4)) })
		time.Sleep(rulesDelay + newsQuiet/2) // a controller that is quick gives another address before any Event tells why
		v.change(func(s *cluster.Snapshot) { s.Services[1].Ingress = nil })
		time.Sleep(2 * quarantineLook)
		synctest.Wait()
		if n := v.claims(frames); n > 0 {
			t.Errorf("the nodes have claimed an address of another host %d times\n%s", n, v.lan)
		}
		if names := v.quarantined(); len(names) != 1 {
			t.Errorf("%v tell of the quarantine, want the one node that was to have the address", names)
		}
		conflicts := 0
		for _, e := range v.told() {
			if e.Reason == notify.ConflictReason && e.Warning && e.Object.Name == "s1" {
				conflicts++
			}
		}
		if conflicts != 1 {
			t.Errorf("%d Events tell of the conflict, want one", conflicts)
		}
		// The controller gives another address; while the stranger stays, so does the quarantine.
		v.change(func(s *cluster.Snapshot) { s.Services = s.Services[:1] })
		time.Sleep(3 * quarantineLook)
		synctest.Wait()
		if len(v.quarantined()) != 1 {
			t.Error("the quarantine ended while the stranger was there")
		}
		stranger.Own(addr4, false)
		time.Sleep(quarantineLook + time.Second)
		synctest.Wait()
		if names := v.quarantined(); len(names) > 0 {
			t.Errorf("%v still tell of the quarantine, and the stranger is gone", names)
		}
		if n := v.claims(frames); n > 0 {
			t.Errorf("the nodes have claimed an address of no Service %d times", n)
		}
	})
}

// TestOldAddressOfStranger has the node of an established address crash, and a host answer for it before another node does. The
// address is taken from the host after a while, and defended.
func TestOldAddressOfStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr4)
		time.Sleep(70 * time.Second)
		owner := v.only(addr4)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		owner.crash()
		stranger.Own(addr4, true)
		frames := len(v.lan.Trace())
		time.Sleep(strangerBound - time.Second)
		synctest.Wait()
		if n := v.claims(frames); n > 0 {
			t.Errorf("the address was claimed %d times before the stranger's time was over\n%s", n, v.lan)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if v.claims(frames) == 0 {
			t.Fatalf("nobody has taken the address from the stranger\n%s", v.lan)
		}
		if names := v.quarantined(); len(names) > 0 {
			t.Errorf("%v tell of a quarantine of an address that Services had before", names)
		}
		time.Sleep(defendInterval)
		stranger.Announce(addr4)
		synctest.Wait()
		time.Sleep(defendDelay)
		synctest.Wait()
		if mac, _ := v.client.Neighbor(addr4); mac == stranger.MAC() {
			t.Errorf("the client has the stranger's address after the defence\n%s", v.lan)
		}
	})
}

// TestAdoptedAddressIsNotNew has the controller adopt what another load balancer gave, and still answers for, when the speakers have
// just begun: the Service keeps it.
func TestAdoptedAddressIsNotNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
		other := v.lan.Host("other", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		other.Own(addr4, true)
		v.change(func(s *cluster.Snapshot) {
			given := service("given", addr4)
			given.AllocatedFrom = ""
			s.Services = append(s.Services, given)
		})
		for _, p := range v.speakers {
			p.die()
			p.boot()
		}
		time.Sleep(freshness / 2)
		v.change(func(s *cluster.Snapshot) {
			s.Services[len(s.Services)-1].AllocatedFrom = "a"
		})
		time.Sleep(strangerBound / 2)
		synctest.Wait()
		if names := v.quarantined(); len(names) > 0 {
			t.Fatalf("%v tell of a quarantine of an address that the Service has\n%s", names, v.lan)
		}
		other.Own(addr4, false)
		time.Sleep(2 * lastLook)
		synctest.Wait()
		v.only(addr4)
	})
}

// TestPreferredMoveLosesNothing prefers another node than the owner. A client that confirms its neighbour entry every
// 10 ms always gets an answer, and reaches the preferred node in the end; the same holds when the preference is
// removed.
func TestPreferredMoveLosesNothing(t *testing.T) {
	for _, addr := range []netip.Addr{addr4, addr6} {
		t.Run(addr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "layer2: {failback: 1s}\n", []string{"a", "b", "c"}, addr)
				time.Sleep(10 * time.Second)
				before := v.only(addr)
				asked := "a"
				if before.name == asked {
					asked = "b"
				}
				for _, c := range []struct{ prefer, owner string }{{asked, asked}, {"", before.name}} {
					v.change(func(s *cluster.Snapshot) { s.Services[0].PreferNode = c.prefer })
					time.Sleep(5 * time.Millisecond)
					for range 300 {
						began := time.Now()
						if !v.client.Confirm(addr) || time.Since(began) > 0 {
							t.Fatalf("nobody answered at once on the way to %s\n%s", c.owner, v.lan)
						}
						time.Sleep(10 * time.Millisecond)
					}
					if now := v.only(addr); now.name != c.owner {
						t.Errorf("%s has the address, want %s", now.name, c.owner)
					}
				}
			})
		})
	}
}

// TestWaitIsCutShort has a node wait for the end of failback, or for ever. Asked for by a Service, or by a new configuration, it
// takes the address at once.
func TestWaitIsCutShort(t *testing.T) {
	now, err := config.Parse([]byte(testConfig + "layer2: {failback: 0s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, failback := range []string{"10m", "never"} {
		for name, change := range map[string]func(*cluster.Snapshot, string){
			"preferred":  func(s *cluster.Snapshot, node string) { s.Services[0].PreferNode = node },
			"configured": func(s *cluster.Snapshot, _ string) { s.Config = now },
		} {
			t.Run(failback+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newTestCluster(t, "layer2: {failback: "+failback+"}\n", []string{"a", "b", "c"}, addr4)
					winner := v.speakers[v.speakers["a"].loop.Status().Placements[0].Owner]
					time.Sleep(10 * time.Second) // nodes that have just started together do not wait
					winner.die()
					time.Sleep(3 * time.Second)
					winner.boot()
					time.Sleep(30 * time.Second)
					if v.only(addr4) == winner {
						t.Fatalf("%s has not waited", winner.name)
					}
					v.change(func(s *cluster.Snapshot) { change(s, winner.name) })
					time.Sleep(time.Second)
					// A node that is back waits for failback even then, unless failback is never.
					moves := name == "configured" || failback == "never"
					if at := v.only(addr4); (at == winner) != moves {
						t.Errorf("%s has the address; moves to %s: want %t", at.name, winner.name, moves)
					}
				})
			})
		}
	}
}
