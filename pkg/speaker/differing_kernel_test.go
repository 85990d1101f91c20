package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/notify"
)

// TestAddressOfAKernel gives the kernel of a node, on another interface, an address that comes to a Service afterwards,
// or that a Service has before the speakers start. No speaker takes a new address, and an Event names the node. An old
// address stays with the kernel of the elected node. A member cannot tell the kernel of another node from the speaker
// of that node then, and the controller takes the address from the Service.
func TestAddressOfAKernel(t *testing.T) {
	for _, addr := range []netip.Addr{netip.MustParseAddr("10.0.0.50"), netip.MustParseAddr("fd00::50")} {
		for rank := range 3 {
			sample(t, fmt.Sprintf("%s/new/rank %d", addr, rank), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := makeTestCluster(t, 1, quiet(t), testConfig, []string{"a", "b", "c"}, addr6.Next().Next())
					v.bootAll()
					time.Sleep(30 * time.Second)
					p := v.succession(addr)[rank]
					p.machine.SetAddrs(addr)
					frames := len(v.lan.Trace())
					v.assign(addr)
					time.Sleep(3 * time.Minute)
					v.wantUntaken(addr, frames)
					v.wantKernelEvent(addr, p.name)
					v.hold("the kernel answers", time.Minute, limits{owners: []string{p.name}}, addr)
					p.machine.SetAddrs()
					time.Sleep(time.Minute)
					v.hold("the kernel has released it", time.Minute, limits{owners: []string{v.succession(addr)[0].name}}, addr)
				})
			})
		}
		sample(t, fmt.Sprintf("%s/old", addr), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := makeTestCluster(t, 1, quiet(t), testConfig, []string{"a", "b", "c"}, addr)
				p := v.succession(addr)[0]
				p.machine.SetAddrs(addr)
				p.boot()
				time.Sleep(time.Second)
				for _, q := range v.speakers {
					if q != p {
						q.boot()
					}
				}
				time.Sleep(30 * time.Second)
				frames := len(v.lan.Trace())
				time.Sleep(3 * time.Minute)
				v.wantUntaken(addr, frames)
				v.hold("the kernel answers", time.Minute, limits{owners: []string{p.name}}, addr)
			})
		})
	}
}

// wantUntaken fails the test if a speaker owns the address, or has announced the address since that frame.
func (v *testCluster) wantUntaken(addr netip.Addr, since int) {
	v.t.Helper()
	for name, p := range v.speakers {
		if st := p.speaker().Status(); slices.Contains(st.Held, addr) {
			v.t.Errorf("%s has taken %s, which a kernel has: %v", name, addr, st.Changes)
		}
	}
	for _, f := range v.lan.Trace()[since:] {
		if v.speakers[nodeOf(f)] != nil && f.Announces(addr) {
			v.t.Errorf("%s has announced %s, which a kernel has", f.From, addr)
		}
	}
}

// wantKernelEvent wants Events about the node whose kernel has the address: from that node, or from the elected node.
func (v *testCluster) wantKernelEvent(addr netip.Addr, node string) {
	v.t.Helper()
	named := 0
	for _, e := range v.told() {
		if e.Reason == notify.ConflictReason {
			named++
			if !e.Warning || !strings.Contains(e.Message, fmt.Sprintf("the kernel of node %q answers for %s", node, addr)) {
				v.t.Errorf("an Event does not name node %s: %s", node, e.Message)
			}
		}
	}
	if named < 1 || named > 2 {
		v.t.Errorf("%d Events tell of the kernel of %s, want one of that node, and one of the elected node at most", named, node)
	}
}

// TestKernelAddressAppears gives a node's kernel the address of a Service that a node announces. If the kernel is on
// another node, the owner keeps the address; the owner releases the address to its own kernel. No other node takes the
// address, and the owner announces the address again when the kernel has lost it.
func TestKernelAddressAppears(t *testing.T) {
	for _, addr := range []netip.Addr{addr4, addr6} {
		for rank := range 3 {
			sample(t, fmt.Sprintf("%s/rank %d", addr, rank), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newTestCluster(t, "", []string{"a", "b", "c"}, addr)
					time.Sleep(90 * time.Second)
					owner, p := v.only(addr), v.succession(addr)[rank]
					p.machine.SetAddrs(addr)
					time.Sleep(3 * time.Minute)
					for name, q := range v.speakers {
						if has := slices.Contains(q.speaker().Status().Held, addr); has && q != owner {
							t.Errorf("%s has taken %s, which the kernel of %s has", name, addr, p.name)
						}
					}
					p.machine.SetAddrs()
					time.Sleep(10 * time.Second)
					v.hold("the kernel has released it", time.Minute, limits{owners: []string{owner.name}}, addr)
				})
			})
		}
	}
}
