package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// lateRound is the longest time from the rules to the notice of a member that probes after the first second.
const lateRound = lateWait + 2*lateInterval

// TestLateRulesAreAwaited exposes Services whose rules come after several seconds on all nodes. No node announces the
// address before its rules exist, and people hear of the wait.
func TestLateRulesAreAwaited(t *testing.T) {
	for _, addr := range []netip.Addr{addr4.Next(), addr6.Next()} {
		t.Run(addr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rules = 5 * time.Second
				v, x := newProvingCluster(t, "a", "b", "c")
				delay(v, x, addr, rules)
				v.expose(addr, nil)
				time.Sleep(rules / 2)
				synctest.Wait()
				elected := v.succession(addr)[0]
				if w := elected.watched(addr); w.Reason != reason.NoRules.String() || !strings.Contains(w.Message, elected.name) {
					t.Errorf("the status says %s: %s", w.Reason, w.Message)
				}
				after, ready := v.firstClaim(x, addr, rules)
				if after += rules / 2; !ready || after < rules || after > rules+lateRound+250*time.Millisecond {
					t.Errorf("announced after %v, rules exist: %v", after, ready)
				}
				time.Sleep(10 * time.Second)
				if v.only(addr) != elected {
					t.Errorf("%s has the address, want %s", v.owner(addr), elected.name)
				}
				v.wantEvents(addr, notify.WaitsForRulesReason, 1)
				v.wantEvents(addr, notify.NoRulesReason, 0)
			})
		})
	}
}

// watched returns the status of an address on a node that does not have it.
func (p *testNode) watched(addr netip.Addr) (w struct{ Reason, Message string }) {
	for _, x := range p.speaker().Describe().Watched {
		if x.Address == addr.String() {
			w.Reason, w.Message = x.Reason, x.Message
		}
	}
	return w
}

// wantEvents checks the number of Events with a reason that name an address.
func (v *testCluster) wantEvents(addr netip.Addr, reason string, want int) {
	v.t.Helper()
	var found []cluster.Event
	for _, e := range v.told() {
		if e.Reason == reason && strings.Contains(e.Message, addr.String()) {
			found = append(found, e)
		}
	}
	if len(found) != want {
		v.t.Errorf("%d Events %s about %s, want %d: %v", len(found), reason, addr, want, found)
	}
}

// TestBackupWithRules exposes a Service whose rules come on the second node in rank alone. That node announces the
// address at its turn, and the elected node takes the address only when its rules come.
func TestBackupWithRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		addr := addr4.Next()
		order := v.succession(addr)
		delay(v, x, addr, time.Hour)
		x.write(order[1].name, addr, 0)
		v.expose(addr, nil)
		after, ready := v.firstClaim(x, addr, standInDelay+standInBound+moveBound)
		if !ready || after < standInDelay || v.only(addr) != order[1] {
			t.Errorf("%s announces after %v, rules exist: %v, want %s", v.owner(addr), after, ready, order[1].name)
		}
		time.Sleep(2 * defaultFailback)
		if v.only(addr) != order[1] {
			t.Errorf("%s has the address, and has no rules", v.owner(addr))
		}
		v.wantEvents(addr, notify.NoRulesReason, 1)
		x.write(order[0].name, addr, 0)
		time.Sleep(2*pathRecheck + moveBound)
		if v.only(addr) != order[0] {
			t.Errorf("%s has the address, and %s has rules again", v.owner(addr), order[0].name)
		}
	})
}

// TestRulesNeverCome exposes Services that answer no other node, as behind a NetworkPolicy. The wait has a bound, and a
// Service that was silent once does not wait again. After some such Services in a row no Service waits.
func TestRulesNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b")
		addr := addr4
		expose := func() {
			for addr = addr.Next(); v.succession(addr)[0].name != "a"; {
				addr = addr.Next()
			}
			delay(v, x, addr, time.Hour)
			v.expose(addr, nil)
		}
		for n := range mostSilences + 2 {
			expose()
			want, events := ownership.RulesBound, 1
			if n >= mostSilences {
				want, events = rulesDelay, 0
			}
			if after, _ := v.firstClaim(x, addr, ownership.RulesBound+moveBound); after < want || after > want+250*time.Millisecond {
				t.Errorf("address %d announced after %v, want %v", n, after, want)
			}
			time.Sleep(10 * time.Second)
			v.wantEvents(addr, notify.NoRulesReason, events)
		}
		expose() // and one Service with rules makes silence count again
		x.write("a", addr, 0)
		time.Sleep(10 * time.Second)
		expose()
		if after, _ := v.firstClaim(x, addr, ownership.RulesBound+moveBound); after < ownership.RulesBound {
			t.Errorf("announced after %v, want %v", after, ownership.RulesBound)
		}
	})
}

// TestSilentServiceDoesNotWaitAgain gives a Service that answers no other node another address.
func TestSilentServiceDoesNotWaitAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b")
		addr := addr4.Next()
		v.expose(addr, nil)
		owner := v.succession(addr)[0]
		if after, _ := v.firstClaim(x, addr, ownership.RulesBound+moveBound); after < ownership.RulesBound {
			t.Errorf("announced after %v, want %v", after, ownership.RulesBound)
		}
		other := addr.Next()
		for v.succession(other)[0] != owner {
			other = other.Next()
		}
		v.change(func(s *cluster.Snapshot) {
			for _, svc := range s.Services {
				if slices.Contains(svc.Ingress, addr) {
					svc.Ingress = []netip.Addr{other}
				}
			}
		})
		if after, _ := v.firstClaim(x, other, ownership.RulesBound+moveBound); after > rulesDelay+250*time.Millisecond {
			t.Errorf("announced after %v, want %v", after, rulesDelay)
		}
	})
}

// prefer makes the Service with an address prefer a node.
func (v *testCluster) prefer(addr netip.Addr, node string) {
	v.change(func(s *cluster.Snapshot) {
		for _, svc := range s.Services {
			if slices.Contains(svc.Ingress, addr) {
				svc.PreferNode = node
			}
		}
	})
}

// TestMoveToANodeWithoutRules asks for moves of an address. The address stays while the heir has no rules and the owner
// has, the heir says so, and the address moves once the rules are there. A crash of the owner moves the address at once.
func TestMoveToANodeWithoutRules(t *testing.T) {
	for _, addr := range []netip.Addr{addr4.Next(), addr6.Next()} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s crash=%t", addr, crash), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { moveWithoutRules(t, addr, crash) })
			})
		}
	}
}

func moveWithoutRules(t *testing.T, addr netip.Addr, crash bool) {
	v, x := newProvingCluster(t, "a", "b", "c")
	delay(v, x, addr, 0)
	v.expose(addr, nil)
	time.Sleep(2 * defaultFailback)
	order := v.succession(addr)
	owner, heir := order[0], order[1]
	if v.only(addr) != owner {
		t.Fatalf("%s has the address, want %s", v.owner(addr), owner.name)
	}
	x.write(heir.name, addr, time.Hour)
	v.prefer(addr, heir.name)
	time.Sleep(5 * time.Minute)
	if v.only(addr) != owner {
		t.Fatalf("%s has the address, and has no rules", v.owner(addr))
	}
	v.wantEvents(addr, notify.NoRulesReason, 1)
	if w := heir.watched(addr); w.Reason != reason.NoRules.String() || !strings.Contains(w.Message, "node "+heir.name+" has no rules for this Service") {
		t.Errorf("the status says %s: %s", w.Reason, w.Message)
	}
	if crash {
		owner.crash()
		time.Sleep(moveBound)
		if v.only(addr) != heir {
			t.Errorf("%s has the address after the crash of its owner", v.owner(addr))
		}
		return
	}
	x.write(heir.name, addr, 0)
	time.Sleep(pathRecheck + moveBound)
	if v.only(addr) != heir {
		t.Errorf("%s has the address, and the preferred node has rules", v.owner(addr))
	}
}

// TestMoveWithoutProof asks for a move of an address where a probe proves nothing: the Service answers no node at all,
// cannot be probed, or nobody else knows of probes. The address moves, at most a little later.
func TestMoveWithoutProof(t *testing.T) {
	addr := addr4.Next()
	for name, prepare := range map[string]func(*testCluster, *proxies){
		"a policy":       func(v *testCluster, x *proxies) { delay(v, x, addr, time.Hour) },
		"older speakers": func(v *testCluster, _ *proxies) { v.age() },
		"UDP": func(v *testCluster, _ *proxies) {
			v.change(func(s *cluster.Snapshot) {
				for _, svc := range s.Services {
					svc.TCPPorts = nil
				}
			})
		},
		"rules": func(*testCluster, *proxies) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, x := newProvingCluster(t, "a", "b", "c")
				delay(v, x, addr, 0)
				v.expose(addr, nil)
				time.Sleep(2 * defaultFailback)
				heir := v.succession(addr)[1]
				prepare(v, x)
				v.prefer(addr, heir.name)
				time.Sleep(rulesDelay + moveBound)
				if v.only(addr) != heir {
					t.Errorf("%s has the address, want %s", v.owner(addr), heir.name)
				}
				v.wantEvents(addr, notify.NoRulesReason, 0)
			})
		})
	}
}

// TestReturnOfANodeWithoutRules boots a node again whose service proxy writes no rules any longer, although the node
// regards itself as ready. The other nodes keep the addresses, also after the failback delay.
func TestReturnOfANodeWithoutRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		addr := addr4.Next()
		delay(v, x, addr, 0)
		v.expose(addr, nil)
		time.Sleep(2 * defaultFailback)
		returned := v.only(addr)
		returned.crash()
		time.Sleep(moveBound)
		x.write(returned.name, addr, time.Hour)
		v.lan.Cut(returned.name+"/eth0", false)
		returned.boot()
		time.Sleep(3 * defaultFailback)
		if v.only(addr) == returned {
			t.Errorf("%s has the address, and has no rules", returned.name)
		}
		v.wantEvents(addr, notify.NoRulesReason, 1)
	})
}

// TestProofEndsTheWaitForKubeProxy boots a node where nobody answers at the metrics of kube-proxy. The node is ready soon
// after the other nodes reach Services through it, and not before.
func TestProofEndsTheWaitForKubeProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		addrs := []netip.Addr{addr4.Next(), addr6.Next()}
		for _, addr := range addrs {
			delay(v, x, addr, 0)
			v.expose(addr, nil)
		}
		time.Sleep(10 * time.Second)
		booted := v.speakers["a"]
		booted.crash()
		time.Sleep(moveBound)
		const rules = 5 * time.Second
		x.write("a", addrs[0], rules)
		x.write("a", addrs[1], rules+2*bootPause)
		booted.proxyless.Store(true)
		v.lan.Cut("a/eth0", false)
		booted.boot()
		time.Sleep(rules + 2*bootPause - time.Millisecond)
		synctest.Wait()
		if booted.reaches.Load() {
			t.Error("the node is ready, and one family has no rules")
		}
		time.Sleep(2*bootPause + lateRound)
		if !booted.reaches.Load() {
			t.Error("the node waits on, and has rules")
		}
	})
}

// TestFramesOfRefusedMoves counts the segments of probes in a quiet cluster of ten nodes: none, and at most one a second
// for each node while many Services prefer a node without rules.
func TestFramesOfRefusedMoves(t *testing.T) {
	services := 2000
	if !*thorough {
		services = 200
	}
	synctest.Test(t, func(t *testing.T) {
		names, addrs := strings.Split("abcdefghij", ""), many(services)
		v, x := makeProvingCluster(t, names, addrs...)
		v.unaudited = true
		for _, svc := range v.snap.Services {
			svc.TCPPorts = []uint16{80}
		}
		for _, addr := range addrs {
			delay(v, x, addr, 0)
		}
		v.bootAll()
		time.Sleep(20 * time.Second)
		const watched = 90 * time.Second
		if n := v.segmentsIn(30 * time.Second); n > 0 {
			t.Errorf("%d segments in quiet", n)
		}
		for _, addr := range addrs {
			x.write("a", addr, time.Hour)
		}
		v.change(func(s *cluster.Snapshot) {
			for _, svc := range s.Services[:services/10] {
				svc.PreferNode = "a"
			}
		})
		time.Sleep(20 * time.Second)
		if most, n := int(watched/time.Second)*len(names), v.segmentsIn(watched); n == 0 || n > most {
			t.Errorf("%d segments in %v, want 1 to %d", n, watched, most)
		}
	})
}

// segmentsIn counts the TCP segments that nodes send in a while.
func (v *testCluster) segmentsIn(d time.Duration) (n int) {
	frames := len(v.lan.Trace())
	time.Sleep(d)
	synctest.Wait()
	for _, f := range v.lan.Trace()[frames:] {
		if f.Data[12] == 0x08 && f.Data[13] == 0 && f.Data[23] == 6 || f.Data[12] == 0x86 && f.Data[20] == 6 {
			n++
		}
	}
	return n
}
