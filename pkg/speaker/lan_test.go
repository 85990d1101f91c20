package speaker

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestLeaveIsNeverDark stops the owner politely. A client that checks its entry every 10 ms is answered every time, and
// ends with the successor.
func TestLeaveIsNeverDark(t *testing.T) {
	for _, addr := range []netip.Addr{addr4, addr6} {
		t.Run(addr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "", []string{"a", "b", "c"}, addr)
				time.Sleep(10 * time.Second)
				owner := v.only(addr)
				owner.leave()
				began := time.Now()
				time.Sleep(5 * time.Millisecond) // so that no question meets the claim on the wire
				for range 100 {
					asked := time.Now()
					if !v.client.Confirm(addr) || time.Since(asked) > 0 {
						t.Fatalf("nobody answered at once %v after the leave began\n%s", asked.Sub(began), v.lan)
					}
					time.Sleep(10 * time.Millisecond)
				}
				select {
				case <-owner.done:
				default:
					t.Error("the speaker is still there a second after its successor knew")
				}
				if successor := v.only(addr); successor == owner {
					t.Errorf("%s answers after it has left", owner.name)
				}
			})
		})
	}
}

// TestLeaveWithoutSuccessor ends within its bound.
func TestLeaveWithoutSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a"}, addr4)
		v.only(addr4).leave()
		began := time.Now()
		<-v.speakers["a"].done
		if took := time.Since(began); took > leaveBound {
			t.Errorf("leaving took %v", took)
		}
	})
}

// crashBound is the longest time until a client notices the takeover after a crash: a probe that has just begun, three
// questions without an answer, the message to the others, and two probes of the address.
const crashBound = watchInterval + watchCount*watchPause + telling + 80*time.Millisecond

// TestCrash takes the owner away without a word, again and again at another phase of the watching, and once with every second frame of the others lost.
func TestCrash(t *testing.T) {
	for _, addr := range []netip.Addr{addr4, addr6} {
		for phase := range 5 {
			t.Run(fmt.Sprintf("%s/%d", addr, phase), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newTestCluster(t, "", []string{"a", "b", "c", "d"}, addr)
					time.Sleep(10*time.Second + time.Duration(phase)*23*time.Millisecond)
					owner := v.only(addr)
					owner.crash()
					time.Sleep(crashBound)
					synctest.Wait()
					if mac, ok := v.client.Neighbor(addr); !ok || mac == owner.nic.MAC() {
						t.Errorf("%v after the crash the client still has %v of the dead node\n%s", crashBound, mac, v.lan)
					}
					v.only(addr)
				})
			})
		}
	}
}

// TestReturnWaits starts a crashed owner again. The node takes its address back after the failback delay, or never, as
// configured.
func TestReturnWaits(t *testing.T) {
	for _, c := range []struct {
		config string
		after  time.Duration
		moves  bool
	}{
		{"layer2: {failback: 30s}\n", 30 * time.Second, true},
		{"layer2: {failback: never}\n", lengths(time.Hour, 5*time.Minute), false},
	} {
		t.Run(c.config, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, c.config, []string{"a", "b", "c"}, addr4)
				time.Sleep(time.Minute) // until each has its own
				owner := v.only(addr4)
				owner.die()
				time.Sleep(5 * time.Second)
				successor := v.only(addr4)
				owner.boot()
				time.Sleep(c.after - time.Second)
				if now := v.only(addr4); now != successor {
					t.Fatalf("%s has the address before the delay is over\n%s", now.name, v.lan)
				}
				time.Sleep(3 * time.Second)
				if now := v.only(addr4); (now == owner) != c.moves {
					t.Errorf("%s has the address after the delay\n%s", now.name, v.lan)
				}
			})
		})
	}
}

// TestGossipPartitionMovesNothing cuts gossip alone. For ten minutes, gossip lists nodes as dead that still answer on the
// wire.
func TestGossipPartitionMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{addr4, addr6, addr4.Next(), addr4.Next().Next()}
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addrs...)
		before := map[netip.Addr]*testNode{}
		for _, a := range addrs {
			before[a] = v.only(a)
		}
		v.split("a", "b")
		for range lengths(60, 6) {
			time.Sleep(10 * time.Second)
			for _, a := range addrs {
				if now := v.only(a); now != before[a] {
					t.Fatalf("%s moved from %s to %s\n%s", a, before[a].name, now.name, v.lan)
				}
			}
		}
		// A real crash is still found, by the side that the node was on.
		victim := before[addr4]
		victim.crash()
		time.Sleep(2 * time.Second)
		v.only(addr4)
		v.split()
		time.Sleep(2 * time.Second)
		for _, a := range addrs {
			if now := v.only(a); now != before[a] && before[a] != victim {
				t.Errorf("%s moved from %s to %s when gossip was whole again", a, before[a].name, now.name)
			}
		}
	})
}

// TestPartitionHeals has two owners while no host can hear both, and one owner as soon as one host can.
func TestPartitionHeals(t *testing.T) {
	for _, gossip := range []bool{true, false} {
		t.Run(fmt.Sprintf("gossip cut %t", gossip), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "", []string{"a", "b", "c", "d"}, addr4)
				owner := v.only(addr4)
				v.lan.Cut(owner.name+"/eth0", true)
				if gossip {
					v.split(owner.name)
				}
				time.Sleep(30 * time.Second)
				if other := v.only(addr4); other == owner {
					t.Fatalf("%s answers although it is cut off", owner.name)
				}
				v.lan.Cut(owner.name+"/eth0", false)
				v.split()
				// The looks at a neighbour that are under way end first, and the refresh of announcements is far away.
				time.Sleep(watchInterval + watchCount*watchPause + hearsay + 300*time.Millisecond)
				synctest.Wait()
				// The client has heard the announcement and need not ask.
				had, _ := v.client.Neighbor(addr4)
				if now := v.only(addr4); now.nic.MAC() != had {
					t.Errorf("the client has %v, the owner is %s\n%s", had, now.name, v.lan)
				}
				time.Sleep(10 * time.Second)
				v.only(addr4)
			})
		})
	}
}

// TestPartedNeighbours parts the segment so that two nodes on one side are no neighbours in the circle, while gossip is
// whole. The nodes find each other beyond the silent neighbours, and each side answers for all its eligible addresses.
func TestPartedNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs []netip.Addr
		for a, n := addr4, 0; n < 60; a, n = a.Next(), n+1 {
			addrs = append(addrs, a)
		}
		v := newTestCluster(t, "layer2: {failback: 1s}\n", []string{"a", "b", "c", "d", "e", "f"}, addrs...)
		time.Sleep(20 * time.Second)
		for _, p := range v.speakers {
			if len(p.speaker().Status().Held) == 0 {
				t.Fatalf("%s has no address, so that it cannot be asked for", p.name)
			}
		}
		far := v.lan.Host("far", lantest.Linux, netip.MustParseAddr("10.0.0.249"))
		v.lan.Partition("far", "a/eth0", "d/eth0")
		time.Sleep(partingBound)
		for _, a := range addrs {
			far.Forget(a)
			if mac, ok := far.Resolve(a); !ok || mac != v.speakers["a"].nic.MAC() && mac != v.speakers["d"].nic.MAC() {
				t.Errorf("%s is not answered for on the side of a and d", a)
			}
			if owner := v.owner(a); owner == "" || owner == "a" || owner == "d" {
				t.Errorf("%s is answered for by %q on the side of the others", a, owner)
			}
		}
		v.lan.Heal()
		time.Sleep(10 * time.Second)
		for _, a := range addrs {
			v.only(a)
		}
	})
}

// TestResyncSendsNothing wakes the loops without a change. Only the probes between neighbours go on.
func TestResyncSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {refresh: 0s}\n", []string{"a", "b"}, addr4, addr6)
		time.Sleep(2 * time.Minute)
		frames, events := len(v.lan.Trace()), len(v.told())
		for range 1000 {
			v.change(func(*cluster.Snapshot) {})
			time.Sleep(10 * time.Millisecond)
		}
		looks := 0
		for _, f := range v.lan.Trace()[frames:] {
			if f.Announces(addr4) || f.Announces(addr6) {
				t.Errorf("1,000 wake-ups without news announced something: %s", f)
			}
			looks++
		}
		// Each of two nodes sends twenty heartbeats a second, and one question with its answer.
		if most := 10 * 2 * (20 + 2); looks > most {
			t.Errorf("%d frames in 10 s, want %d at most", looks, most)
		}
		if told := v.told()[events:]; len(told) > 0 {
			t.Errorf("1,000 wake-ups without news made Events: %v", told)
		}
	})
}

// TestDarkIsTold expects one Event, from one node, that says why nobody answers, and only when that lasts.
func TestDarkIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr4)
		serving := func(is bool) {
			v.change(func(s *cluster.Snapshot) { s.Services[0].HasServing = is })
		}
		serving(false)
		time.Sleep(darkDelay - time.Millisecond)
		serving(true)
		time.Sleep(time.Second)
		v.only(addr4)
		serving(false)
		time.Sleep(time.Hour)
		var told []cluster.Event
		for _, e := range v.told() {
			if e.Warning {
				told = append(told, e)
			}
		}
		if len(told) != 1 || told[0].Reason != "NoEndpoints" || told[0].Object.Name != "s0" || told[0].Object.UID != "u" {
			t.Errorf("told %+v, want one NoEndpoints on s0", told)
		}
	})
}

// TestGoneServiceIsSilent stops at once when the Service is deleted.
func TestGoneServiceIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b"}, addr4)
		v.only(addr4)
		v.change(func(s *cluster.Snapshot) { s.Services = nil })
		synctest.Wait()
		frames := len(v.lan.Trace())
		time.Sleep(10 * time.Minute)
		for _, f := range v.lan.Trace()[frames:] {
			if f.Announces(addr4) || f.Answers(addr4) {
				t.Errorf("after the Service was gone: %s", f)
			}
		}
		if owner := v.owner(addr4); owner != "" {
			t.Errorf("%s answers for an address that no Service has", owner)
		}
	})
}

// TestClaimIsDefended has a stranger claim the address over and over. The client is told the truth again, a second after a
// claim and every ten seconds at most.
func TestClaimIsDefended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b"}, addr4)
		owner := v.only(addr4)
		time.Sleep(10 * time.Second)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		before := len(v.lan.From(owner.name + "/eth0"))
		stranger.Announce(addr4)
		synctest.Wait()
		if mac, _ := v.client.Neighbor(addr4); mac != stranger.MAC() {
			t.Fatalf("the client has %v, not the stranger's", mac)
		}
		time.Sleep(defendDelay)
		synctest.Wait()
		if mac, _ := v.client.Neighbor(addr4); mac != owner.nic.MAC() {
			t.Errorf("after the defence the client has %v, not the owner's %v\n%s", mac, owner.nic.MAC(), v.lan)
		}
		for range 100 {
			stranger.Announce(addr4)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		rounds := 0
		for _, f := range v.lan.From(owner.name + "/eth0")[before:] {
			if f.Announces(addr4) {
				rounds++
			}
		}
		// Two defences, and the one for the last claim: each is five rounds of two frames.
		if most := 3 * 5 * 2; rounds == 0 || rounds > most {
			t.Errorf("%d frames of defence in 21 s, want some and %d at most", rounds, most)
		}
		v.only(addr4)
	})
}
