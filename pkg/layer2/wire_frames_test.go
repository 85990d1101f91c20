package layer2_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// The client of a kernelWire.
var (
	wireClient4 = netip.MustParseAddr("192.0.2.201")
	wireClient6 = netip.MustParseAddr("2001:db8::201")
)

// wireRanges is a command for the node: all addresses of the segment.
const wireRanges = "ranges 192.0.2.0 192.0.2.255 2001:db8:: 2001:db8::ffff"

// ready starts the node, and waits until the node has sockets for both families.
func (w *kernelWire) ready(behind ...string) {
	w.t.Helper()
	w.start(behind...)
	w.eventually("usable link-local address", func() bool {
		state := w.run("node", "ip -o -6 addr show dev eth0 scope link")
		return state != "" && !strings.Contains(state, "tentative")
	})
	w.eventually("line that says ready", func() bool { return w.log.count("ready\n") == 1 })
	w.eventually("membership of a test's own", func() bool {
		w.set(netip.MustParseAddr("2001:db8::abcd:ef"))
		return strings.Contains(w.run("node", "ip -6 maddr show dev eth0"), "ff02::1:ffcd:ef")
	})
	w.set()
}

func (w *kernelWire) hostMAC(ns string) layer2.MAC {
	w.t.Helper()
	return w.parseMAC(strings.TrimSpace(w.run(ns, "cat /sys/class/net/eth0/address")))
}

// linkLocal returns the link-local address of eth0 in a namespace.
func (w *kernelWire) linkLocal(ns string) netip.Addr {
	w.t.Helper()
	for field := range strings.FieldsSeq(w.run(ns, "ip -o -6 addr show dev eth0 scope link")) {
		if p, err := netip.ParsePrefix(field); err == nil {
			return p.Addr()
		}
	}
	w.t.Fatalf("%s has no link-local address", ns)
	return netip.Addr{}
}

// TestWireFieldsARP uses tshark to check every field of every sent ARP frame.
func TestWireFieldsARP(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	c := w.capture("client")
	mac, client := w.mac().String(), w.hostMAC("client").String()
	w.tell(wireRanges)
	w.set(vip4)
	w.run("client", "arping -C 1 -c 3 -i eth0 192.0.2.80")
	w.try("newcomer", "arping -0 -C 1 -c 3 -i eth0 192.0.2.80")
	w.tell("probe 192.0.2.99")
	const packet = "eth.type=0x0806 arp.hw.type=1 arp.proto.type=0x0800 arp.hw.size=6 arp.proto.size=4 "
	none, all := "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"
	from := "eth.src==" + mac + " && arp && "
	for _, f := range []struct{ name, filter, want string }{
		{"gratuitous request", "arp.isgratuitous && arp.opcode==1",
			"eth.dst=" + all + " arp.opcode=1 arp.src.hw_mac=" + mac + " arp.src.proto_ipv4=192.0.2.80 arp.dst.hw_mac=" + none + " arp.dst.proto_ipv4=192.0.2.80"},
		{"gratuitous reply", "arp.isgratuitous && arp.opcode==2",
			"eth.dst=" + all + " arp.opcode=2 arp.src.hw_mac=" + mac + " arp.src.proto_ipv4=192.0.2.80 arp.dst.hw_mac=" + mac + " arp.dst.proto_ipv4=192.0.2.80"},
		{"answer", "arp.opcode==2 && arp.dst.proto_ipv4==192.0.2.201",
			"eth.dst=" + client + " arp.opcode=2 arp.src.hw_mac=" + mac + " arp.src.proto_ipv4=192.0.2.80 arp.dst.hw_mac=" + client + " arp.dst.proto_ipv4=192.0.2.201"},
		{"probe", "arp.opcode==1 && arp.dst.proto_ipv4==192.0.2.99",
			"eth.dst=" + all + " arp.opcode=1 arp.src.hw_mac=" + mac + " arp.src.proto_ipv4=0.0.0.0 arp.dst.hw_mac=" + none + " arp.dst.proto_ipv4=192.0.2.99"},
	} {
		c.judge(f.name, from+f.filter, strings.Fields("eth.src="+mac+" "+packet+f.want)...)
	}
}

// TestWireFieldsNDP uses tshark to check every field of every sent NDP frame.
func TestWireFieldsNDP(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	c := w.capture("client")
	mac, client := w.hostMAC("node"), w.hostMAC("client")
	clientLL, nodeLL := w.linkLocal("client"), w.linkLocal("node")
	w.tell(wireRanges)
	w.set(vip6)
	c.await("announcement", "icmpv6.type==136 && ipv6.dst==ff02::1")
	ns := func(to layer2.MAC, source, destination netip.Addr, options ...ndp.Option) {
		w.send("client", lantest.NDPFrame(to, client, source, destination, &ndp.NeighborSolicitation{TargetAddress: vip6, Options: options}))
	}
	option := &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: client[:]}
	group, groupMAC := netip.MustParseAddr("ff02::1:ff00:80"), layer2.MAC{0x33, 0x33, 0xff, 0, 0, 0x80}
	// Each question has its own source address, so that the test can find the answer.
	ns(mac, wireClient6, vip6)
	ns(mac, netip.MustParseAddr("2001:db8::302"), vip6, option)
	ns(groupMAC, netip.MustParseAddr("2001:db8::303"), group)
	ns(groupMAC, clientLL, group, option)
	ns(groupMAC, netip.IPv6Unspecified(), group)
	w.tell("probe 2001:db8::99")

	packet := "eth.src=" + mac.String() + " eth.type=0x86dd ipv6.version=6 ipv6.tclass=0x00000000 ipv6.flow=0x000000 ipv6.plen=32 ipv6.nxt=58 ipv6.hlim=255 " +
		"icmpv6.code=0 icmpv6.checksum.status=1 icmpv6.opt.length=1 "
	na := packet + "icmpv6.type=136 ipv6.src=2001:db8::80 icmpv6.nd.na.target_address=2001:db8::80 icmpv6.nd.na.flag.r=0 icmpv6.nd.na.flag.o=1 icmpv6.nd.na.flag.rsv=0 " +
		"icmpv6.opt.type=2 icmpv6.opt.linkaddr=" + mac.String() + " "
	for _, f := range []struct{ name, filter, want string }{
		{"unicast without option", "icmpv6.type==136 && ipv6.dst==2001:db8::201", na + "icmpv6.nd.na.flag.s=1 eth.dst=" + client.String()},
		{"unicast with option", "icmpv6.type==136 && ipv6.dst==2001:db8::302", na + "icmpv6.nd.na.flag.s=1 eth.dst=" + client.String()},
		{"multicast without option", "icmpv6.type==136 && ipv6.dst==2001:db8::303", na + "icmpv6.nd.na.flag.s=1 eth.dst=" + client.String()},
		{"multicast with option", "icmpv6.type==136 && ipv6.dst==" + clientLL.String(), na + "icmpv6.nd.na.flag.s=1 eth.dst=" + client.String()},
		{"to all nodes", "icmpv6.type==136 && ipv6.dst==ff02::1", na + "icmpv6.nd.na.flag.s=0 eth.dst=33:33:00:00:00:01"},
		{"probe", "icmpv6.type==135 && icmpv6.nd.ns.target_address==2001:db8::99", packet + "icmpv6.type=135 eth.dst=33:33:ff:00:00:99 ipv6.src=" + nodeLL.String() +
			" ipv6.dst=ff02::1:ff00:99 icmpv6.opt.type=1 icmpv6.opt.linkaddr=" + mac.String()},
	} {
		c.judge(f.name, "eth.src=="+mac.String()+" && "+f.filter, strings.Fields(f.want)...)
	}
	// The answer to duplicate address detection goes to all nodes. Only the time distinguishes this answer from an
	// announcement.
	w.eventually("answer to duplicate address detection", func() bool {
		asked := c.fields("icmpv6.type==135 && ipv6.src==:: && eth.src=="+client.String(), "frame.time_epoch")
		for _, answer := range c.fields("icmpv6.nd.na.flag.s==0 && eth.src=="+mac.String(), "frame.time_epoch") {
			if d := captureTime(t, answer[0]) - captureTime(t, asked[0][0]); d > 0 && d < 0.05 {
				return true
			}
		}
		return false
	})
}

// TestWireOddFrames sends frames that must not be answered, and after each a frame that must be answered.
func TestWireOddFrames(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	c := w.capture("client")
	w.set(vip4, vip6)
	client := w.hostMAC("client")
	all := layer2.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	request := func(sender string) []byte {
		return arpOf(arp.OperationRequest, all, client, netip.MustParseAddr(sender), layer2.MAC{}, vip4)
	}
	tagged := func(b []byte, tags ...byte) []byte {
		return append(append(append([]byte(nil), b[:12]...), tags...), b[12:]...)
	}
	odd := func(b []byte, i int, with byte) []byte { b[i] = with; return b }
	sent := []struct {
		what   string
		frame  []byte
		sender string
		want   bool
	}{
		{"plain", request("192.0.2.100"), "192.0.2.100", true},
		{"tag of VLAN 5", tagged(request("192.0.2.101"), 0x81, 0, 0, 5), "192.0.2.101", false},
		{"priority tag", tagged(request("192.0.2.102"), 0x81, 0, 0xa0, 0), "192.0.2.102", true},
		{"two tags", tagged(request("192.0.2.103"), 0x88, 0xa8, 0, 6, 0x81, 0, 0, 5), "192.0.2.103", false},
		{"cut short", request("192.0.2.104")[:41], "192.0.2.104", false},
		{"hardware type Token Ring", odd(request("192.0.2.105"), 15, 6), "192.0.2.105", false},
		{"protocol type IPv6", odd(request("192.0.2.106"), 16, 0x86), "192.0.2.106", false},
		{"hardware address of 8 bytes", odd(request("192.0.2.107"), 18, 8), "192.0.2.107", false},
		{"reverse ARP", odd(request("192.0.2.108"), 21, 3), "192.0.2.108", false},
		{"to another station", odd(odd(request("192.0.2.109"), 0, 2), 5, 1), "192.0.2.109", false},
		{"plain again", request("192.0.2.110"), "192.0.2.110", true},
	}
	for _, s := range sent {
		w.send("client", s.frame)
	}
	// Frames stay in order: after the answer to the last frame, all frames have been judged.
	c.await("answer to the last", "arp.opcode==2 && arp.dst.proto_ipv4==192.0.2.110")
	for _, s := range sent {
		if got := len(c.fields("arp.opcode==2 && arp.dst.proto_ipv4=="+s.sender, "frame.number")); got != map[bool]int{true: 1}[s.want] {
			t.Errorf("%s: %d answers, want one: %t", s.what, got, s.want)
		}
	}
}
