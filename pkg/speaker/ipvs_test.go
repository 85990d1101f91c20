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

// about returns the messages of the Warning Events about a Service that have one of the reasons.
func (v *testCluster) about(service string, reasons ...string) (messages []string) {
	for _, e := range v.told() {
		if e.Warning && e.Object.Kind == "Service" && e.Object.Name == service && slices.Contains(reasons, e.Reason) {
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
				warned := v.about("s1", notify.KernelsReason, notify.ConflictReason)
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
// restarted. An Event names the node and the remedy.
func TestOneKernelOfIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
		time.Sleep(10 * time.Second)
		elected := v.succession(addr4)[0].name
		other := v.succession(addr4)[2].name
		v.change(func(s *cluster.Snapshot) { s.Services = append(s.Services, service("s1", addr4)) })
		time.Sleep(200 * time.Millisecond)
		v.ipvs(func(name string) bool { return name == other }, addr4)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		warned := v.about("s1", notify.KernelsReason, notify.ConflictReason)
		want := fmt.Sprintf("the kernel of node %q answers for 10.0.0.1, because kube-proxy runs there in IPVS mode", other)
		if len(warned) == 0 || !strings.Contains(warned[0], want) {
			t.Errorf("elected is %s; the Events are %q, want one with %q", elected, warned, want)
		}
	})
}
