package speaker

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// provingNode is a testNode whose gossip carries questions about paths.
type provingNode struct{ *testNode }

// AskPath implements PathPeers.
func (p provingNode) AskPath(name string, q membership.PathQuestion) {
	p.carry(name, func(s *Speaker) { s.PathAsked(p.name, q) })
}

// AnswerPath implements PathPeers.
func (p provingNode) AnswerPath(name string, number uint32, there bool) {
	p.carry(name, func(s *Speaker) { s.PathAnswered(p.name, number, there) })
}

func (p provingNode) carry(name string, message func(*Speaker)) {
	q := p.speakers[name]
	time.AfterFunc(telling, func() {
		p.mu.Lock()
		knows := p.proving
		p.mu.Unlock()
		if q != nil && knows && q.hears(p.testNode) {
			message(q.speaker())
		}
	})
}

// proxies are the service proxies of a cluster, whose rules come some time after a Service.
type proxies struct {
	mu    sync.Mutex
	rules map[string]map[netip.Addr]time.Time // by node: the time from which the rules exist
}

// answeringAddr is the address of a Service that always answers, so that silence of other Services tells something.
var answeringAddr = netip.MustParseAddr("10.0.0.99")

// newProvingCluster starts a cluster whose nodes probe paths for each other.
func newProvingCluster(t *testing.T, names ...string) (*testCluster, *proxies) {
	v, x := makeProvingCluster(t, names, addr6, answeringAddr)
	v.snap.Service(cluster.Key{Namespace: "default", Name: "s1"}).TCPPorts = []uint16{80}
	delay(v, x, answeringAddr, 0)
	v.bootAll()
	time.Sleep(10 * time.Second)
	return v, x
}

// makeProvingCluster makes the nodes of such a cluster and starts no speaker.
func makeProvingCluster(t *testing.T, names []string, addrs ...netip.Addr) (*testCluster, *proxies) {
	v := makeTestCluster(t, 1, slog.NewTextHandler(t.Output(), nil), testConfig, names, addrs...)
	v.proving = true
	x := &proxies{rules: map[string]map[netip.Addr]time.Time{}}
	for _, n := range v.speakers {
		n.machine.SetProxy(func(service netip.AddrPort) bool { return service.Port() == 80 && x.has(n.name, service.Addr()) })
	}
	return v, x
}

func (x *proxies) has(node string, addr netip.Addr) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	at, known := x.rules[node][addr]
	return known && !time.Now().Before(at)
}

// write makes the rules of an address exist on a node after a while.
func (x *proxies) write(node string, addr netip.Addr, after time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rules[node] == nil {
		x.rules[node] = map[netip.Addr]time.Time{}
	}
	x.rules[node][addr] = time.Now().Add(after)
}

// expose gives an address to a new Service with the TCP port 80.
func (v *testCluster) expose(addr netip.Addr, change func(*cluster.Service)) {
	v.change(func(s *cluster.Snapshot) {
		svc := service("new-"+addr.String(), addr)
		svc.Created, svc.TCPPorts = time.Now(), []uint16{80}
		if change != nil {
			change(svc)
		}
		s.Services = append(s.Services, svc)
		slices.SortFunc(s.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	})
}

// firstClaim returns the time from now to the first claim of an address, and whether the rules of the claimant existed.
func (v *testCluster) firstClaim(x *proxies, addr netip.Addr, most time.Duration) (after time.Duration, ready bool) {
	began, order := time.Now(), v.succession(addr)
	for time.Since(began) < most {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if owner := v.owner(addr); owner != "" {
			return time.Since(began), x.has(owner, addr)
		}
	}
	v.t.Fatalf("nobody has %s after %v, %s is elected\n%s", addr, most, order[0].name, v.lan)
	return 0, false
}

// TestProofEndsTheWait exposes Services whose rules come at different times. A node announces an address soon after its
// rules, never before, and after the fixed delay at the latest.
func TestProofEndsTheWait(t *testing.T) {
	for _, rules := range []time.Duration{0, 120 * time.Millisecond, 600 * time.Millisecond, time.Second} {
		for _, addr := range []netip.Addr{addr4.Next(), addr6.Next()} {
			t.Run(rules.String()+"/"+addr.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v, x := newProvingCluster(t, "a", "b", "c")
					for name := range v.speakers {
						x.write(name, addr, rules)
					}
					v.expose(addr, nil)
					after, ready := v.firstClaim(x, addr, moveBound+rulesDelay)
					// One interval of questions, the probe of the wire, and the time of the messages.
					if most := rules + proofInterval + 250*time.Millisecond; !ready || after < rules || after > most {
						t.Errorf("announced after %v, rules exist: %v, want after %v to %v", after, ready, rules, most)
					}
					if want := v.succession(addr)[0]; v.only(addr) != want {
						t.Errorf("%s has the address, want %s", v.owner(addr), want.name)
					}
				})
			})
		}
	}
}

// TestNoProof exposes Services that nobody can probe. Each address is announced after the fixed delay, as without probes.
func TestNoProof(t *testing.T) {
	addr := addr4.Next()
	for name, c := range map[string]struct {
		names   []string
		prepare func(*testCluster, *proxies)
		service func(*cluster.Service)
	}{
		"one node": {names: []string{"a"}},
		"UDP":      {service: func(s *cluster.Service) { s.TCPPorts = nil }},
		"source ranges without the nodes": {
			prepare: func(v *testCluster, x *proxies) { delay(v, x, addr, time.Hour) },
			service: func(s *cluster.Service) { s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} },
		},
		"older speakers": {prepare: func(v *testCluster, _ *proxies) { v.age() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := c.names
				if names == nil {
					names = []string{"a", "b", "c"}
				}
				v, x := newProvingCluster(t, names...)
				delay(v, x, addr, 0)
				if c.prepare != nil {
					c.prepare(v, x)
				}
				v.expose(addr, c.service)
				after, _ := v.firstClaim(x, addr, moveBound+rulesDelay)
				if after < rulesDelay || after > rulesDelay+250*time.Millisecond {
					t.Errorf("announced after %v, want %v", after, rulesDelay)
				}
			})
		})
	}
}

// delay makes the rules of an address exist on all nodes after a while.
func delay(v *testCluster, x *proxies, addr netip.Addr, after time.Duration) {
	for name := range v.speakers {
		x.write(name, addr, after)
	}
}

// age makes all nodes ignore questions about paths, as earlier versions do.
func (v *testCluster) age() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.proving = false
}

// TestOthersCannotMakeANodeProbe asks a node about addresses and stations that it must not probe.
func TestOthersCannotMakeANodeProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		a, b := v.speakers["a"], v.speakers["b"]
		addr := addr4.Next()
		delay(v, x, addr, 0)
		v.expose(addr, nil)
		time.Sleep(10 * time.Second)
		frames := len(v.lan.Trace())
		for _, q := range []membership.PathQuestion{
			{Number: 1, MAC: membership.MAC(b.nic.MAC()), Service: netip.AddrPortFrom(addr.Next(), 80)},
			{Number: 2, MAC: membership.MAC(b.nic.MAC()), Service: netip.AddrPortFrom(addr, 81)},
			{Number: 3, MAC: membership.MAC{2, 9, 9, 9, 9, 9}, Service: netip.AddrPortFrom(addr, 80)},
			{Number: 4, MAC: membership.MAC(v.speakers["c"].nic.MAC()), Service: netip.AddrPortFrom(addr, 80)},
		} {
			q.Wait = time.Second
			a.speaker().PathAsked("b", q)
		}
		time.Sleep(2 * time.Second)
		for _, f := range v.lan.Trace()[frames:] {
			if f.From == "a/eth0" && (f.Data[12] == 0x08 && f.Data[13] == 0 && f.Data[23] == 6 || f.Data[12] == 0x86 && f.Data[20] == 6) {
				t.Fatalf("a has sent a segment:\n%s", v.lan)
			}
		}
	})
}

// TestProbePath probes the path to an address from each node.
func TestProbePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, x := newProvingCluster(t, "a", "b", "c")
		for _, addr := range []netip.Addr{addr4.Next(), addr6.Next()} {
			delay(v, x, addr, 0)
			v.expose(addr, func(s *cluster.Service) {
				s.TCPPorts = []uint16{80, 443}
				s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
			})
			time.Sleep(10 * time.Second)
			owner := v.only(addr)
			for _, n := range v.speakers {
				f := n.speaker().ProbePath(t.Context(), addr)
				if n == owner {
					if !f.Holds || len(f.Stations)+len(f.Probes) > 0 {
						t.Errorf("the owner finds %+v", f)
					}
					continue
				}
				if len(f.Stations) != 1 || f.Stations[0].Node != owner.name || !f.Ping || f.NoPing || f.Problem != "" || len(f.Probes) != 2 {
					t.Fatalf("%s finds %+v", n.name, f)
				}
				for i, want := range []string{"open", "silent"} {
					if p := f.Probes[i]; p.Result != want || p.Node != owner.name || !p.ShutOut || p.Service != "default/new-"+addr.String() {
						t.Errorf("%s finds %+v, want %s", n.name, p, want)
					}
				}
			}
		}
		frames := len(v.lan.Trace())
		if f := v.speakers["a"].speaker().ProbePath(t.Context(), addr4.Next().Next()); f.Problem == "" || len(v.lan.Trace()) > frames {
			t.Errorf("an address that no Service has: %+v", f)
		}
	})
}
