package vm_test

import (
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/vm"
)

// TestRepeatedByBond has a bond in mode balance-alb fail over after an address has left the node: the driver of the bond
// remembers the answers that it has sent, and repeats them to the hosts that asked.
func TestRepeatedByBond(t *testing.T) {
	w := newWorld(t)
	m := w.boot(t, vm.Options{
		Name: "alb", Number: 50, Kernel: kernelOf(t, wanted()[0]), Initrd: w.image(wanted()[0], "setups", modules, nil), Memory: 384, CPUs: 1,
		Ports: []vm.Port{{Bridge: lan}, {Bridge: lan}, {Bridge: management}},
	})
	n := w.join(t, m, "alb", 50, 2)
	n.run(t, "modprobe bonding max_bonds=0\n"+bond("balance-alb")+addresses("bond0"))
	n.startSpeaker(t)
	j, leaving := &judge{w: w}, netip.MustParseAddr("192.0.2.105")
	w.addService("leaving", leaving)
	at := where{bridge: lan, macs: []string{vm.Options{Number: 50}.MAC(0), vm.Options{Number: 50}.MAC(1)}}
	j.settled(t, leaving, at)
	j.one(t, leaving, at)
	if err := w.Admin.CoreV1().Services("default").Delete(t.Context(), "leaving", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the address is given up", func() bool { return len(j.answers(t, leaving, at, time.Second)) == 0 })
	begin := time.Now()
	if err := n.Carrier(0, false); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	if strays := j.strays(leaving, where{}, begin); len(strays) > 0 {
		t.Errorf("after the address has left, a failover of the bond causes: %v", strays)
	}
	t.Log(n.log(t))
}
