package layer2_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// pings runs ping on the client and returns the output without the first line, which names the target.
func (w *kernelWire) pings(args string) string {
	w.t.Helper()
	out, _ := w.try("client", "ping -n "+args)
	_, rest, _ := strings.Cut(out, "\n")
	return rest
}

// replied runs ping once, or until each request has a reply: a node that gets no CPU for half a second answers none of the
// requests of this time, as intended.
func (w *kernelWire) replied(args string, wanted bool) (out string, sent, got int) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		out = w.pings(args)
		if sent, got = replies(out); !wanted || sent == got || time.Now().After(deadline) {
			return out, sent, got
		}
	}
}

// replies returns the numbers of requests and of replies in the output of ping, without duplicates.
func replies(out string) (sent, got int) {
	_, statistics, found := strings.Cut(out, "ping statistics ---\n")
	if !found {
		return 0, 0
	}
	if _, err := fmt.Sscanf(statistics, "%d packets transmitted, %d received", &sent, &got); err != nil {
		return 0, 0
	}
	return sent, got
}

func TestWirePing(t *testing.T) {
	w := newKernelWire(t)
	w.run("node", "sysctl -qw net.ipv4.ip_forward=0") // or the kernel sends redirects about the pings too
	w.ready()
	c := w.capture("client")
	w.tell("ping")
	w.set(vip4, vip6)
	mac, client := w.mac().String(), w.hostMAC("client").String()
	w.run("client", "ip addr add 203.0.113.9/32 dev eth0")
	for _, p := range []struct {
		args string
		want bool
	}{
		{"-c 5 -i 0.05 192.0.2.80", true},
		{"-c 5 -i 0.05 2001:db8::80", true},
		{"-c 1 -s 0 192.0.2.80", true},
		{"-c 1 -s 1 192.0.2.80", true},
		{"-c 1 -s 1 2001:db8::80", true},
		{"-c 1 -s 1472 192.0.2.80", true},            // the most that fits into a frame
		{"-c 1 -s 1452 2001:db8::80", true},          // the same
		{"-c 1 -I 203.0.113.9 192.0.2.80", true},     // as through a router: the node has no other route back
		{"-c 1 -W 0.3 -s 1473 192.0.2.80", false},    // in fragments
		{"-c 1 -W 0.3 -s 1453 2001:db8::80", false},  // in fragments
		{"-c 1 -W 0.3 -T tsonly 192.0.2.80", false},  // with an option
		{"-c 1 -W 0.3 -b 192.0.2.255", false},        // to all stations
		{"-c 1 -W 0.3 192.0.2.99", false},            // to a foreign address
		{"-c 1 -t 1 192.0.2.80", true},               // with the last hop
		{"-c 1 -p ff -s 500 192.0.2.80", true},       // a sum that carries
		{"-c 1 -Q 0xb8 -p 00ff 2001:db8::80", true},  // another traffic class
		{"-c 300 -i 0.002 192.0.2.80", true},         // many
		{"-c 1 -W 0.3 -I 192.0.2.80 2001::1", false}, // not an address of the client
	} {
		out, sent, got := w.replied(p.args, p.want)
		if (got > 0 && got == sent) != p.want || strings.Contains(out, "DUP!") || p.want && strings.Contains(out, "rror") {
			t.Errorf("ping %s: want replies: %t, and no error; it says\n%s", p.args, p.want, out)
		}
	}
	c.judge("echo reply", "icmp.type==0 && eth.src=="+mac, "eth.src="+mac, "eth.dst="+client, "eth.type=0x0800", "ip.version=4", "ip.hdr_len=20", "ip.dsfield=0x00",
		"ip.id=0x0000", "ip.flags.rb=0", "ip.flags.df=1", "ip.flags.mf=0", "ip.frag_offset=0", "ip.ttl=64", "ip.proto=1", "ip.checksum.status=1", "ip.src=192.0.2.80",
		"icmp.type=0", "icmp.code=0", "icmp.checksum.status=1")
	c.judge("echo reply over IPv6", "icmpv6.type==129 && eth.src=="+mac, "eth.src="+mac, "eth.dst="+client, "eth.type=0x86dd", "ipv6.version=6", "ipv6.flow=0x000000",
		"ipv6.nxt=58", "ipv6.hlim=64", "ipv6.src=2001:db8::80", "ipv6.dst=2001:db8::201", "icmpv6.type=129", "icmpv6.code=0", "icmpv6.checksum.status=1")
	asked, answered := len(c.fields("icmp.type==8 && ip.dst==192.0.2.80 && !icmp.resp_in", "frame.number")), len(c.fields("icmp.type==0 && icmp.resp_to", "frame.number"))
	if asked == 0 || answered < 300 {
		t.Errorf("tshark finds no reply to %d requests, and %d replies", asked, answered)
	}
}

// TestWirePingThroughAForwardingNode tests a node with forwarding, as in clusters. The kernel of the node tries to
// forward requests to an address that the kernel does not have, and sends errors in addition to the reply. A blackhole
// rule switches the errors off.
func TestWirePingThroughAForwardingNode(t *testing.T) {
	w := newKernelWire(t)
	w.run("node", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.neigh.eth0.retrans_time_ms=100 net.ipv6.neigh.eth0.retrans_time_ms=100")
	w.ready()
	w.tell("ping")
	w.set(vip4, vip6)
	const args = "-c 10 -i 0.2 "
	targets := []string{"192.0.2.80", "2001:db8::80"}
	for _, target := range targets {
		out, sent, got := w.replied(args+target, true)
		// ping also counts an error as the end of a request, so that ping does not always send ten requests.
		if sent < 4 || got != sent || strings.Contains(out, "DUP!") {
			t.Errorf("not one reply for each request:\n%s", out)
		}
		if !strings.Contains(out, "nreachable") {
			t.Errorf("the kernel of a forwarding node says nothing, so the rule below proves nothing:\n%s", out)
		}
	}
	for _, rule := range []string{"ip rule add iif eth0 to 192.0.2.64/26 blackhole", "ip -6 rule add iif eth0 to 2001:db8::80/122 blackhole"} {
		w.run("node", rule)
	}
	for _, target := range targets {
		if out, _, _ := w.replied(args+target, true); !strings.Contains(out, "10 packets transmitted, 10 received, 0% packet loss") || strings.Contains(out, "DUP!") || strings.Contains(out, "From ") {
			t.Errorf("not one reply for each request and nothing else:\n%s", out)
		}
	}
}

// TestWirePingIsLeftToTheKernel gives the address to the node's kernel too, as kube-proxy does in IPVS mode.
func TestWirePingIsLeftToTheKernel(t *testing.T) {
	w := newKernelWire(t)
	w.ready()
	w.tell("ping")
	w.set(vip4, vip6)
	for _, target := range []string{"192.0.2.80", "2001:db8::80"} {
		w.eventually("reply", func() bool { return strings.Contains(w.pings("-c 1 -W 0.3 "+target), "1 received") })
	}
	w.run("node", "ip addr add 192.0.2.80/32 dev lo")
	w.run("node", "ip addr add 2001:db8::80/128 dev lo nodad")
	for _, target := range []string{"192.0.2.80", "2001:db8::80"} {
		w.eventually("end of double replies", func() bool {
			out := w.pings("-c 2 -i 0.1 -W 0.3 " + target)
			return strings.Contains(out, "2 received") && !strings.Contains(out, "duplicates")
		})
	}
}
