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
)

// ipvs has kube-proxy of every node run in IPVS mode: each node's kernel has the addresses of all Services. ARP requests for
// the addresses are answered where lax is true.
func (v *testCluster) ipvs(lax func(name string) bool, addrs ...netip.Addr) {
	for name, p := range v.speakers {
		p.machine.SetStrictARP(!lax(name))
		p.nic.SetLocal(addrs...)
	}
}

// about returns the messages of the Warning Events about an object that have one of the reasons.
func (v *testCluster) about(kind, name string, reasons ...string) (messages []string) {
	for _, e := range v.told() {
		if e.Warning && e.Object.Kind == kind && e.Object.Name == name && slices.Contains(reasons, e.Reason) {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// TestKernelsOfIPVS has kube-proxy run in IPVS mode on all nodes, and assigns an address. With strictARP one node announces
// the address, and no Event warns. Without strictARP one Event names the cause and the remedy, the Service keeps the
// address, and after the remedy one node announces the address.
func TestKernelsOfIPVS(t *testing.T) {
	all, none := func(string) bool { return true }, func(string) bool { return false }
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprintf("strict %v", strict), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
				time.Sleep(10 * time.Second)
				lax := all
				if strict {
					lax = none
				}
				v.change(func(s *cluster.Snapshot) { s.Services = append(s.Services, service("s1", addr4)) })
				time.Sleep(200 * time.Millisecond) // kube-proxy sees the address a little later than the speakers
				v.ipvs(lax, addr4)
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				warned := v.about("Service", "s1", notify.KernelsReason, notify.ConflictReason)
				if strict {
					v.only(addr4)
					if len(warned) > 0 {
						t.Errorf("Events warn of kernels that do not answer: %q", warned)
					}
					return
				}
				if len(warned) != 1 || !strings.Contains(warned[0], "ipvs.strictARP: true") ||
					!strings.Contains(warned[0], "the kernels of the nodes answer ARP requests for 10.0.0.1") {
					t.Errorf("the Events are %q, want one that names strictARP", warned)
				}
				if names := v.quarantined(); len(names) > 0 {
					t.Errorf("%v report a quarantine, after which the controller gives another address, in vain", names)
				}
				elected := v.succession(addr4)[0]
				for _, x := range elected.speaker().Describe().Watched {
					if x.Address == addr4.String() && !strings.Contains(x.Message, "IPVS mode without strictARP") {
						t.Errorf("the status of the elected node says: %s", x.Message)
					}
				}
				v.ipvs(none, addr4)
				time.Sleep(time.Minute)
				v.only(addr4)
			})
		})
	}
}

// TestOneKernelOfIPVS has kube-proxy run in IPVS mode with strictARP on all nodes but one, where kube-proxy has not been
// restarted. An Event about that Node names the remedy.
func TestOneKernelOfIPVS(t *testing.T) {
	for rank := 1; rank <= 2; rank++ {
		t.Run(fmt.Sprintf("rank %d", rank), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
				time.Sleep(10 * time.Second)
				lax := v.succession(addr4)[rank].name
				v.change(func(s *cluster.Snapshot) { s.Services = append(s.Services, service("s1", addr4)) })
				time.Sleep(200 * time.Millisecond)
				v.ipvs(func(name string) bool { return name == lax }, addr4)
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				for name := range v.speakers {
					warned := v.about("Node", name, notify.KernelsReason)
					if name != lax && len(warned) > 0 {
						t.Errorf("Events about node %s: %q", name, warned)
					}
					want := fmt.Sprintf("the kernel of node %q answers ARP requests for addresses that other nodes announce, such as "+
						"10.0.0.1, because kube-proxy runs there in IPVS mode without strictARP", lax)
					if name == lax && (len(warned) != 1 || !strings.HasPrefix(warned[0], want)) {
						t.Errorf("Events about node %s: %q, want one with %q", name, warned, want)
					}
				}
				v.ipvs(func(string) bool { return false }, addr4)
				time.Sleep(2 * time.Minute)
				v.only(addr4)
			})
		})
	}
}
