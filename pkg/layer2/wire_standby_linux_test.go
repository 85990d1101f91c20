package layer2_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// TestWireTwoInterfacesInOneSubnet checks a node with two cables to one bridge, by arping, ndisc6 and the client's
// kernel.
func TestWireTwoInterfacesInOneSubnet(t *testing.T) {
	w := newKernelWire(t)
	w.run("bridge", "ip link add p-node1 type veth peer name eth1 netns "+w.prefix+"node")
	w.run("bridge", "ip link set p-node1 master br0 up")
	w.run("node", "ip addr add 192.0.2.2/24 dev eth1")
	w.run("node", "ip addr add 2001:db8::2/64 dev eth1")
	w.run("node", "ip link set eth1 up")
	eth0, eth1 := w.macOf("eth0"), w.macOf("eth1")
	w.start()
	w.say("node 192.0.2.1")
	w.set(vip4, vip6)
	w.wantOneStation("eth0", eth0)
	w.say("node 192.0.2.2")
	w.wantOneStation("eth1, which has the Node's address now", eth1)
	w.say("node 192.0.2.1")
	w.wantOneStation("eth0, which has the Node's address again", eth0)

	w.setLink(false)
	w.eventually("word to the client that eth1 has taken over", func() bool {
		mac, known := w.neighbor(vip4)
		return known && mac == eth1
	})
	w.wantOneStation("eth1 while eth0 has no carrier", eth1)
	w.setLink(true)
	w.eventually("word to the client that eth0 has taken back", func() bool {
		mac, known := w.neighbor(vip4)
		return known && mac == eth0
	})
	w.wantOneStation("eth0 with a carrier again", eth0)
	w.run("node", "ip link del eth0")
	w.wantOneStation("eth1 without eth0", eth1)
	if lines := w.log.lines("heard"); len(lines) != 0 {
		t.Errorf("the node took itself for another: %q", lines)
	}
}

// TestWireMacvlanBesideItsParent gives the node a macvlan interface in the subnet of its parent.
func TestWireMacvlanBesideItsParent(t *testing.T) {
	w := newKernelWire(t)
	if out, err := w.try("node", "ip link add shim link eth0 type macvlan mode bridge"); err != nil {
		t.Skipf("this kernel has no macvlan: %s", out)
	}
	w.run("node", "ip addr add 192.0.2.3/24 dev shim")
	w.run("node", "ip addr add 2001:db8::3/64 dev shim")
	w.run("node", "ip link set shim up")
	w.start()
	w.say("node 192.0.2.1")
	w.set(vip4, vip6)
	w.wantOneStation("the parent", w.macOf("eth0"))
	w.say("node 192.0.2.3")
	w.wantOneStation("the macvlan interface", w.macOf("shim"))
	if lines := w.log.lines("heard"); len(lines) != 0 {
		t.Errorf("the node took itself for another: %q", lines)
	}
}

// TestWireHost requires that the kernel's addresses and the hardware addresses are known, and that changes are
// followed.
func TestWireHost(t *testing.T) {
	w := newKernelWire(t)
	w.start()
	w.run("node", "ip addr add 192.0.2.99/32 dev lo")
	w.run("node", "ip addr add 192.0.2.98/32 dev lo scope host")
	for _, line := range []string{"ip link add kube-ipvs0 type bridge", "ip addr add 192.0.2.80/32 dev kube-ipvs0"} {
		w.run("node", line)
	}
	want := func() string {
		macs := []string{w.macOf("eth0").String(), w.macOf("kube-ipvs0").String()}
		if macs[1] < macs[0] {
			macs[0], macs[1] = macs[1], macs[0]
		}
		return fmt.Sprintf("host [192.0.2.1 192.0.2.98 192.0.2.99 2001:db8::1] [%s]", strings.Join(macs, " "))
	}
	w.eventually("kernel addresses", func() bool {
		fmt.Fprintln(w.in, "host")
		return w.log.count(want()) > 0
	})
	w.setMAC(layer2.MAC{2, 0xbb, 5: 1})
	w.run("node", "ip link set kube-ipvs0 address 02:aa:00:00:00:01")
	w.eventually("changed hardware addresses", func() bool {
		fmt.Fprintln(w.in, "host")
		return w.log.count(want()) > 0
	})
}

// say sends one line to the node, and waits until the node has processed the line.
func (w *kernelWire) say(line string) {
	w.t.Helper()
	seen := w.log.count("set\n")
	fmt.Fprintln(w.in, line)
	w.eventually("receipt for "+line, func() bool { return w.log.count("set\n") > seen })
}

// macOf returns the hardware address of one of the node's interfaces.
func (w *kernelWire) macOf(name string) layer2.MAC {
	w.t.Helper()
	return w.parseMAC(strings.TrimSpace(w.run("node", "cat /sys/class/net/"+name+"/address")))
}

// wantOneStation requires that exactly one station, with the given hardware address, answers for both addresses.
func (w *kernelWire) wantOneStation(what string, want layer2.MAC) {
	w.t.Helper()
	for _, addr := range []netip.Addr{vip4, vip6} {
		w.eventually("answer for "+addr.String()+" from "+what, func() bool {
			mac, ok := w.resolve(addr)
			return ok && mac == want
		})
	}
	if out, err := w.try("client", "arping -d -c 3 -W 0.1 -i eth0 "+vip4.String()); err != nil {
		w.t.Errorf("arping finds two stations beside %s: %s", what, out)
	}
	// An announcement at that moment counts as an answer.
	var answers []string
	w.eventually("answer to ndisc6", func() bool {
		out, err := w.try("client", "ndisc6 -m -q -r 1 -w 300 "+vip6.String()+" eth0")
		answers = strings.Fields(out)
		return err == nil && len(answers) > 0
	})
	if slices.Sort(answers); len(slices.Compact(answers)) != 1 || w.parseMAC(answers[0]) != want {
		w.t.Errorf("ndisc6 gets the answers %q, want those of %s alone", answers, what)
	}
}
