package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestManyInterfaces gives one node, or all nodes, more interfaces than gossip has room for, with names before the name
// of the LAN's interface.
func TestManyInterfaces(t *testing.T) {
	old, fresh := slices.Concat(following(addr4, 12), following(addr6, 4)), following(netip.MustParseAddr("10.0.0.40"), 2)
	for _, with := range [][]string{{"c"}, {"a", "b"}, {"a", "b", "c"}} {
		for _, name := range []string{"br-0123456789%02x", "eth0.%d", "vlan%04d"} {
			sample(t, fmt.Sprintf("%v/%s", with, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := makeTestCluster(t, 1, quiet(t), testConfig, []string{"a", "b", "c"}, old...)
					for _, node := range with {
						for n := range 30 {
							v.speakers[node].addInterface(fmt.Sprintf(name, n), netip.MustParsePrefix(fmt.Sprintf("172.%d.0.1/16", 18+n)),
								netip.MustParsePrefix(fmt.Sprintf("fd01:%x::1/64", n+1)))
						}
					}
					v.bootAll()
					time.Sleep(10 * time.Second)
					for _, node := range with {
						if links := len(v.speakers["a"].member(node).Links); links == 0 || links > 30 {
							t.Fatalf("%d links of %s are in gossip, so that the test shows nothing", links, node)
						}
					}
					v.assigned(fresh...)
					time.Sleep(10 * time.Second)
					v.steady("nothing happens", 3*time.Minute, slices.Concat(old, fresh)...)
					v.wantNoConflict()
				})
			})
		}
	}
}

// member returns what the node knows of another one.
func (p *testNode) member(name string) membership.Member {
	members := p.Members()
	return members[slices.IndexFunc(members, func(m membership.Member) bool { return m.Name == name })]
}

// answers counts the answers of all nodes to one question of the client.
func (v *testCluster) answers(a netip.Addr) (from []string) {
	before := len(v.lan.Trace())
	v.client.Ask(a)
	time.Sleep(20 * time.Millisecond)
	for _, f := range v.lan.Trace()[before:] {
		if v.speakers[nodeOf(f)] != nil && f.Answers(a) && slices.Contains(f.To, "client") {
			from = append(from, f.From)
		}
	}
	return from
}

// TestTwoInterfacesInOneSubnet gives each node a second interface in the LAN's subnet. Each question gets one answer,
// nothing moves, and no node is suspected, because the node names its probe address on the interface that answers.
// After the loss of the carrier, the other interface takes over.
func TestTwoInterfacesInOneSubnet(t *testing.T) {
	old := slices.Concat(following(addr4, 8), following(addr6, 4))
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c"}
		v := makeTestCluster(t, 1, quiet(t), testConfig, names, old...)
		for i, name := range names {
			v.speakers[name].addInterface("eth1", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", 210+i)), netip.MustParsePrefix(fmt.Sprintf("fd00::fe:%d/64", 210+i)))
			v.snap.Nodes[i].Addresses = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", 200+i))}
		}
		v.bootAll()
		time.Sleep(10 * time.Second)
		v.wantOneAnswer(old, "/eth0")
		v.steady("two interfaces", 3*time.Minute, old...)
		for _, name := range names {
			p := v.speakers[name]
			if p.suspicions != 0 {
				t.Errorf("%s has suspected others %d times", name, p.suspicions)
			}
			for _, l := range p.member(name).Links {
				if l.Beacon.IsValid() != (l.Name == "eth0") {
					t.Errorf("%s names %v as the probe address of %s", name, l.Beacon, l.Name)
				}
			}
		}
		v.wantNoConflict()
		for _, p := range v.speakers {
			p.nic.SetUp(false)
		}
		time.Sleep(5 * time.Second)
		v.wantOneAnswer(old, "/eth1")
		v.steady("without the first interface", time.Minute, old...)
	})
}

// TestRouteInsteadOfSubnet takes the subnets from one node and leaves routes for them: the node stays as good as the
// others, nothing moves, and no node is suspected.
func TestRouteInsteadOfSubnet(t *testing.T) {
	old := slices.Concat(following(addr4, 8), following(addr6, 4))
	synctest.Test(t, func(t *testing.T) {
		v := makeTestCluster(t, 1, quiet(t), testConfig, []string{"a", "b", "c"}, old...)
		v.bootAll()
		time.Sleep(10 * time.Second)
		p := v.speakers["a"]
		p.nic.SetOnLink(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64"))
		p.nic.SetPrefixes(netip.MustParsePrefix("10.0.0.200/32"), netip.MustParsePrefix("fd00::200/128"))
		v.steady("routes for the subnets", 3*time.Minute, old...)
		for name, p := range v.speakers {
			if p.suspicions != 0 {
				t.Errorf("%s has suspected others %d times", name, p.suspicions)
			}
		}
		v.wantNoConflict()
		links := v.speakers["b"].member("a").Links
		if len(links) != 1 || !slices.Contains(links[0].Subnets, netip.MustParsePrefix("10.0.0.0/24")) || !links[0].Beacon.IsValid() {
			t.Errorf("the other nodes know of the links %+v", links)
		}
		time.Sleep(time.Minute)
		v.wantOneAnswer(old, "/eth0")
	})
}

func (v *testCluster) wantOneAnswer(addrs []netip.Addr, from string) {
	v.t.Helper()
	for _, a := range addrs {
		if got := v.answers(a); len(got) != 1 || !strings.HasSuffix(got[0], from) {
			v.t.Errorf("%s is answered for by %v, want one answer from %s", a, got, from)
		}
	}
}

// TestBondThatAnswersFromSlaves makes the interfaces bonds in mode balance-alb. Their ARP replies carry the MAC address of a slave, which is
// no foreign host, also while gossip does not pass.
func TestBondThatAnswersFromSlaves(t *testing.T) {
	old, fresh := following(addr4, 8), following(netip.MustParseAddr("10.0.0.40"), 2)
	for _, c := range []struct {
		name  string
		bonds []string
		wall  wall
	}{
		{"one node", []string{"a"}, wall{nodes: []string{"a", "b", "c"}}},
		{"all nodes", []string{"a", "b", "c"}, wall{nodes: []string{"a", "b", "c"}}},
		{"gossip never worked", []string{"a", "b"}, walls[0]},
	} {
		sample(t, c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := c.wall.build(t, false, old...)
				for i, name := range c.bonds {
					v.speakers[name].slaves = []layer2.MAC{{2, 1, 0, 0, byte(i), 1}, {2, 1, 0, 0, byte(i), 2}}
					v.speakers[name].nic.SetSlaves(v.speakers[name].slaves...)
				}
				v.collectMACs()
				v.bootAll()
				time.Sleep(15 * time.Second)
				courses := v.watch(time.Second, old...)
				if !slices.ContainsFunc(old, func(a netip.Addr) bool { return courses[a].last() == "a" }) {
					t.Fatal("the bond has no address, so that the test shows nothing")
				}
				v.assigned(fresh...)
				time.Sleep(10 * time.Second)
				v.steady("nothing happens", 3*time.Minute, slices.Concat(old, fresh)...)
				v.wantNoConflict()
				v.speakers[courses[addr4].last()].crash()
				time.Sleep(15 * time.Second)
				v.steady("after the crash", time.Minute, slices.Concat(old, fresh)...)
			})
		})
	}
}
