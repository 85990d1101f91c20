package layer2_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestWireProbe asks for addresses of kernels, for unused addresses, and for an address of this node.
func TestWireProbe(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	w.tell(wireRanges)
	w.set(vip4, vip6)
	client := w.hostMAC("client").String()
	w.run("client", "ip neigh flush dev eth0")
	for addr, want := range map[string]string{
		wireClient4.String(): "taken [{" + client + " eth0 reply ",
		wireClient6.String(): "taken [{" + client + " eth0 advertisement ",
		"192.0.2.99":         "silent [] [eth0] <nil>",
		"2001:db8::99":       "silent [] [eth0] <nil>",
		vip4.String():        "unasked [] [] probe 192.0.2.80: this node answers for the address",
		"198.51.100.1":       "unasked [] [] probe 198.51.100.1: no interface to ask on",
	} {
		w.tell("probe " + addr)
		w.eventually("finding for "+addr, func() bool { return len(w.log.lines("probed "+addr+" ")) > 0 })
		if line := w.log.lines("probed " + addr + " ")[0]; !strings.Contains(line, want) {
			t.Errorf("%s, want %q", line, want)
		} else {
			t.Log(line)
		}
	}
	// A probe must leave no false entry for the sender, and no entry for the probed address.
	for _, entry := range strings.Split(w.run("client", "ip neigh show dev eth0"), "\n") {
		if fields := strings.Fields(entry); len(fields) > 0 && fields[0] != w.linkLocal("node").String() && !strings.HasPrefix(fields[0], "fe80:") {
			t.Errorf("the client's cache holds %q after it was asked", entry)
		}
	}
}

// TestWireProbeOfTwo finds both stations that have one address.
func TestWireProbeOfTwo(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	w.tell(wireRanges)
	for _, ns := range []string{"client", "newcomer"} {
		w.run(ns, "ip addr add 192.0.2.77/32 dev eth0")
	}
	w.tell("probe 192.0.2.77")
	w.eventually("finding", func() bool { return len(w.log.lines("probed 192.0.2.77 taken")) > 0 })
	line := w.log.lines("probed 192.0.2.77 taken")[0]
	for _, ns := range []string{"client", "newcomer"} {
		if !strings.Contains(line, w.hostMAC(ns).String()) {
			t.Errorf("%s does not name the %s", line, ns)
		}
	}
}

// TestWireWatch makes the kernel and arping claim a watched address.
func TestWireWatch(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	w.tell("?192.0.2.80 ?2001:db8::80")
	w.eventually("receipt", func() bool { return w.log.count("set\n") > 0 })
	if _, ok := w.resolve(vip4); ok {
		t.Error("an address that is only watched is answered")
	}
	mac := w.hostMAC("newcomer").String()
	w.try("newcomer", "arping -U -c 1 -S 192.0.2.80 -i eth0 192.0.2.80")
	w.eventually("claim of "+vip4.String(), func() bool { return len(w.log.lines("heard 192.0.2.80", "eth0 request")) > 0 })
	w.run("newcomer", "sysctl -qw net.ipv6.conf.eth0.ndisc_notify=1")
	w.run("newcomer", "ip addr add 2001:db8::80/64 dev eth0 nodad")
	w.run("newcomer", "ip link set eth0 down")
	w.run("newcomer", "ip link set eth0 up")
	w.run("newcomer", "ip addr replace 2001:db8::80/64 dev eth0 nodad")
	w.run("newcomer", "ip link set eth0 address "+mac)
	w.eventually("claim of "+vip6.String(), func() bool {
		// The kernel announces a changed hardware address.
		w.run("newcomer", "ip link set eth0 address 02:cc:00:00:00:02")
		w.run("newcomer", "ip link set eth0 address "+mac)
		return len(w.log.lines("heard 2001:db8::80", "eth0 advertisement")) > 0
	})
}

// TestWireGroupsOnFullSockets announces 5,000 IPv6 addresses where a socket has room for some hundred groups, and then
// removes one of the two addresses in each group.
func TestWireGroupsOnFullSockets(t *testing.T) {
	const count = 5000
	w := newKernelWire(t)
	// A membership takes some 40 bytes of this memory.
	if out, err := w.try("node", "sysctl -qw net.core.optmem_max=20480"); err != nil {
		t.Skipf("this kernel has one limit for all namespaces: %s", out)
	}
	w.ready()
	var both, first, second []netip.Addr
	for i := range count / 2 {
		// The last 24 bits of an address determine the solicited-node group.
		first = append(first, netip.MustParseAddr(fmt.Sprintf("2001:db8::1:1:%x", 0x1000+i)))
		second = append(second, netip.MustParseAddr(fmt.Sprintf("2001:db8::2:1:%x", 0x1000+i)))
	}
	both = append(append(both, first...), second...)
	groups := func() int { return strings.Count(w.run("node", "ip -6 maddr show dev eth0"), "ff02::1:ff01:") }
	w.set(both...)
	w.eventually("membership in all groups", func() bool { return groups() == count/2 })
	if n := strings.Count(w.run("node", "cat /proc/net/raw6"), "\n") - 1; n < 3 {
		t.Errorf("%d sockets hold %d groups, so the limit was not reached", n, count/2)
	} else {
		t.Logf("%d sockets hold %d groups for %d addresses", n, count/2, count)
	}
	for _, addr := range []netip.Addr{first[0], second[0], first[count/2-1], second[count/2-1]} {
		w.eventually("answer for "+addr.String(), func() bool { _, ok := w.resolve(addr); return ok })
	}
	w.set(first...)
	w.eventually("silence for "+second[0].String(), func() bool { _, ok := w.resolve(second[0]); return !ok })
	if n := groups(); n != count/2 {
		t.Errorf("%d groups after one of each two addresses was given up, want %d", n, count/2)
	}
	if _, ok := w.resolve(first[0]); !ok {
		t.Errorf("%s is no longer answered after another address of its group was given up", first[0])
	}
	w.set()
	w.eventually("end of all memberships", func() bool { return groups() == 0 })
}

// TestWireNewInterface adds an interface with its own subnets after the addresses were set.
func TestWireNewInterface(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	late4, late6 := netip.MustParseAddr("198.51.100.80"), netip.MustParseAddr("2001:db8:1::80")
	w.set(late4, late6)
	w.run("node", "ip link add eth1 type veth peer name eth1 netns "+w.prefix+"client")
	w.run("client", "ip addr add 198.51.100.201/24 dev eth1")
	w.run("client", "ip addr add 2001:db8:1::201/64 dev eth1 nodad")
	w.run("client", "ip link set eth1 up")
	w.run("node", "ip addr add 198.51.100.1/24 dev eth1")
	w.run("node", "ip addr add 2001:db8:1::1/64 dev eth1")
	w.run("node", "ip link set eth1 up")
	w.eventually("answer for "+late4.String(), func() bool {
		_, err := w.try("client", "arping -C 1 -c 1 -W 0.2 -i eth1 198.51.100.80")
		return err == nil
	})
	w.eventually("answer for "+late6.String(), func() bool {
		_, err := w.try("client", "ndisc6 -q -1 -r 1 -w 200 2001:db8:1::80 eth1")
		return err == nil
	})
	w.run("node", "ip link del eth1")
	w.eventually("line that says the interface is gone", func() bool { return len(w.log.lines("interface gone", "eth1")) == 1 })
	if lines := w.log.lines("socket failed"); len(lines) > 0 {
		t.Errorf("the end of an interface is reported as a failure too: %q", lines)
	}
	w.set(vip4)
	w.eventually("answer on the other interface", func() bool { _, ok := w.resolve(vip4); return ok })
}

// TestWireInterfaceAgain removes an interface and adds another one with the same name, as when a network card is put in
// again or a bond is made anew: the announcer uses the new one at once, for both families.
func TestWireInterfaceAgain(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	late6 := netip.MustParseAddr("2001:db8:1::80")
	w.set(late6)
	for range 2 {
		w.run("node", "ip link add eth1 type veth peer name eth1 netns "+w.prefix+"client")
		w.run("client", "ip addr add 2001:db8:1::201/64 dev eth1 nodad")
		w.run("client", "ip link set eth1 up")
		w.run("node", "ip addr add 2001:db8:1::1/64 dev eth1 nodad")
		w.run("node", "ip link set eth1 up")
		w.eventually("answer for "+late6.String(), func() bool {
			_, err := w.try("client", "ndisc6 -q -1 -r 1 -w 200 2001:db8:1::80 eth1")
			return err == nil
		})
		w.run("node", "ip link del eth1")
	}
}

// TestWireBridgeSlave makes the node's interface part of a bridge: the announcer uses the bridge, and not the interface
// itself.
func TestWireBridgeSlave(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	w.set(vip4)
	w.eventually("answer for "+vip4.String(), func() bool { _, ok := w.resolve(vip4); return ok })
	w.run("node", "ip link add uplink address 02:bb:00:00:00:01 type bridge")
	w.run("node", "ip link set uplink up")
	w.run("node", "ip link set eth0 master uplink")
	w.run("node", "ip addr del 192.0.2.1/24 dev eth0")
	w.run("node", "ip addr add 192.0.2.1/24 dev uplink")
	w.eventually("answer with the hardware address of the bridge", func() bool {
		out, err := w.try("client", "arping -r -C 1 -c 1 -W 0.2 -i eth0 192.0.2.80")
		return err == nil && strings.TrimSpace(out) == "02:bb:00:00:00:01"
	})
	if out, err := w.try("client", "arping -d -c 3 -W 0.1 -i eth0 192.0.2.80"); err != nil {
		t.Errorf("two stations answer: %s", out)
	}
}

// TestWireWithoutIPv6 switches IPv6 off on the node's interface: the announcer serves IPv4 and logs one line about the
// missing IPv6.
func TestWireWithoutIPv6(t *testing.T) {
	w := newKernelWire(t)
	w.run("node", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
	w.start()
	w.set(vip4, vip6)
	w.eventually("answer for "+vip4.String(), func() bool { _, ok := w.resolve(vip4); return ok })
	const line = "IPv6 addresses are not answered for: the interface has no link-local address"
	w.eventually("line that says what is missing", func() bool { return len(w.log.lines(line, "interface=eth0")) > 0 })
	if n := len(w.log.lines("level=WARN")) + len(w.log.lines("level=ERROR")); n != 1 {
		t.Errorf("%d warnings and errors, want one:\n%s", n, w.log)
	}
	w.run("node", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0")
	w.run("node", "ip addr add 2001:db8::1/64 dev eth0 nodad")
	w.eventually("answer for "+vip6.String(), func() bool { _, ok := w.resolve(vip6); return ok })
}
