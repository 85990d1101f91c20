package vm_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/vm"
)

// TestBalanceALB has a bond in mode balance-alb fail over after an address has left the node. The driver of the bond
// keeps the ARP replies that it has sent, and repeats them to the hosts that asked. Lanlord cannot prevent that, and says
// so.
func TestBalanceALB(t *testing.T) {
	if testing.Short() {
		t.Skip("one more machine, left out with -short")
	}
	w := newWorld(t)
	var all results
	for i, series := range wanted() {
		t.Run(series, func(t *testing.T) {
			number := 50 + i
			m := w.boot(t, vm.Options{
				Name: "alb", Number: number, Kernel: kernelOf(t, series), Initrd: w.image(t, series, extras{}), Memory: 384, CPUs: 1,
				Ports: []vm.Port{{Bridge: lan}, {Bridge: lan}, {Bridge: management}},
			})
			n := w.join(t, m, "alb", number, 2)
			n.run(t, "modprobe bonding max_bonds=0\n"+bond("balance-alb")+addresses("bond0"))
			n.startSpeaker(t)
			begin := time.Now()
			w.awaitEvent(t, "is on a bond in mode balance-alb")
			j, leaving := &judge{w: w}, netip.AddrFrom4([4]byte{192, 0, 2, byte(105 + i)})
			w.addService("leaving", leaving)
			at := where{bridge: lan, macs: []string{vm.Options{Number: number}.MAC(0), vm.Options{Number: number}.MAC(1)}, repeats: true}
			j.settled(t, at, leaving)
			j.one(t, at, leaving)
			w.removeService("leaving")
			await(t, "the address is given up", func() bool { return len(j.answers(t, leaving, at, time.Second)) == 0 })
			failover := time.Now()
			if err := n.Carrier(0, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			strays := j.strays(leaving, where{}, failover)
			t.Logf("after the address has left, a failover of the bond causes %d claims: %v", len(strays), strays)
			all.add("bond balance-alb, a failover after the address has left", series, fmt.Sprintf("the driver repeats %d claims, and an Event tells", len(strays)),
				time.Since(begin))
		})
	}
	all.print(t)
}
