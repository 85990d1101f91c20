package layer2_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/pathprobe"
)

// pathWire is a segment with a prober (node a) and a probed node (node b). Each node has a Pod behind the node, in a
// namespace of its own, and the Pods reach each other as in a cluster with routed Pods. Node b has the rules of a service
// proxy.
type pathWire struct {
	*kernelWire
	listeners map[string]*output
}

// pathWait is the longest wait for an answer, and silentWait the wait of a probe that gets no answer.
const (
	pathWait   = 10 * time.Second
	silentWait = 300 * time.Millisecond
)

// pathNamespaces maps each namespace of a pathWire to the number in its addresses.
var pathNamespaces = map[string]int{"a": 11, "b": 12}

func newPathWire(t *testing.T) *pathWire {
	t.Helper()
	canMakeNamespaces(t, map[string]string{
		"nft": "nftables", "conntrack": "conntrack", "ip": "iproute2", "tcpdump": "tcpdump",
	})
	w := &pathWire{listeners: map[string]*output{}}
	w.kernelWire = &kernelWire{t: t, prefix: fmt.Sprintf("lanlord-path-%d-", os.Getpid()), log: newOutput()}
	for _, ns := range []string{"bridge", "a", "b", "pod-a", "pod-b"} {
		makeNamespace(t, w.prefix+ns)
		w.run(ns, "ip link set lo up")
	}
	w.run("bridge", "ip link add br0 type bridge mcast_snooping 0")
	w.run("bridge", "ip link set br0 up")
	for ns, n := range pathNamespaces {
		w.plug(ns, n)
	}
	for ns, other := range map[string]string{"a": "b", "b": "a"} {
		n := pathNamespaces[other]
		w.run(ns, fmt.Sprintf("ip route add 10.1.%d.0/24 via 192.0.2.%d", n, n))
		w.run(ns, fmt.Sprintf("ip -6 route add fd00:%d::/64 via 2001:db8::%d", n, n))
	}
	for _, node := range []string{"a", "b"} {
		for _, pod := range pathNamespaces {
			for _, addr := range []string{fmt.Sprintf("10.1.%d.2", pod), fmt.Sprintf("fd00:%d::2", pod)} {
				w.eventually("way from "+node+" to "+addr, func() bool { _, err := w.try(node, "ping -c 1 -W 1 "+addr); return err == nil })
			}
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the prober's output:\n%s", w.log)
			t.Logf("the rules of node b:\n%s", w.run("b", "nft list ruleset"))
		}
	})
	return w
}

// plug connects node ns to the bridge, and the Pod of the node to the node.
func (w *pathWire) plug(ns string, n int) {
	w.run("bridge", "ip link add p-"+ns+" type veth peer name eth0 netns "+w.prefix+ns)
	w.run("bridge", "ip link set p-"+ns+" master br0 up")
	w.run(ns, fmt.Sprintf("ip addr add 192.0.2.%d/24 dev eth0", n))
	w.run(ns, fmt.Sprintf("ip addr add 2001:db8::%d/64 dev eth0 nodad", n))
	w.run(ns, "ip link set eth0 up")
	w.run(ns, "ip link add cni0 type veth peer name eth0 netns "+w.prefix+"pod-"+ns)
	w.run(ns, fmt.Sprintf("ip addr add 10.1.%d.1/24 dev cni0", n))
	w.run(ns, fmt.Sprintf("ip addr add fd00:%d::1/64 dev cni0 nodad", n))
	w.run(ns, "ip link set cni0 up")
	w.run("pod-"+ns, fmt.Sprintf("ip addr add 10.1.%d.2/24 dev eth0", n))
	w.run("pod-"+ns, fmt.Sprintf("ip addr add fd00:%d::2/64 dev eth0 nodad", n))
	w.run("pod-"+ns, "ip link set eth0 up")
	w.run("pod-"+ns, fmt.Sprintf("ip route add default via 10.1.%d.1", n))
	w.run("pod-"+ns, fmt.Sprintf("ip -6 route add default via fd00:%d::1", n))
	w.run(ns, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
	// A kernel gives an unknown host up sooner, and does not limit the ICMP errors of one test after the other.
	w.run(ns, "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
	w.run(ns, "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=100 net.ipv6.neigh.eth0.retrans_time_ms=100")
}

// serve makes a program listen on the port 8080 of a Pod.
func (w *pathWire) serve(pod string) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	said := newOutput()
	cmd := w.command(pod, self)
	cmd.Env = append(os.Environ(), roleVariable+"=listen")
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.listeners[pod] = said
	w.eventually("listener", func() bool { return said.count("listening\n") > 0 })
}

// listenTCP accepts connections on port 8080 and prints a line for each.
func listenTCP() error {
	l, err := net.Listen("tcp", ":8080")
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Println("accepted", conn.RemoteAddr())
		conn.Close()
	}
}

// rules replaces the rules of node b by those of a service proxy for both addresses: to the Pods with this number.
func (w *pathWire) rules(number int, masquerade bool) {
	w.t.Helper()
	mark := ""
	if masquerade {
		mark = "meta mark set 0x4000 "
	}
	var text strings.Builder
	text.WriteString("flush ruleset\n")
	for family, to := range map[string][2]string{
		"ip":  {vip4.String(), fmt.Sprintf("10.1.%d.2:8080", number)},
		"ip6": {vip6.String(), fmt.Sprintf("[fd00:%d::2]:8080", number)},
	} {
		fmt.Fprintf(&text, "table %s proxy {\n chain pre { type nat hook prerouting priority dstnat; %s daddr %s tcp dport 80 %sdnat to %s; }\n"+
			" chain post { type nat hook postrouting priority srcnat; meta mark & 0x4000 == 0x4000 masquerade; }\n}\n", family, family, to[0], mark, to[1])
	}
	w.nft("b", text.String())
}

func (w *pathWire) nft(ns, text string) {
	w.t.Helper()
	cmd := w.command(ns, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nft: %v: %s\n%s", err, out, text)
	}
}

// startProber runs an announcer on node a that watches the addresses.
func (w *pathWire) startProber() {
	w.t.Helper()
	w.startIn("a")
	w.eventually("prober", func() bool { return w.log.count("ready\n") > 0 })
	fmt.Fprintf(w.in, "?%v ?%v\n", vip4, vip6)
	w.eventually("receipt for a set", func() bool { return w.log.count("set\n") > 0 })
}

// macOf returns the hardware address of the interface eth0 of a namespace.
func (w *pathWire) macOf(ns string) string {
	fields := strings.Fields(w.run(ns, "ip -o link show dev eth0"))
	for i, f := range fields {
		if f == "link/ether" {
			return fields[i+1]
		}
	}
	w.t.Fatalf("no hardware address in %q", fields)
	return ""
}

// ask probes the path through node b once and returns the line that the prober prints.
func (w *pathWire) ask(addr netip.Addr, questions int, certain bool, wait time.Duration) func() string {
	w.t.Helper()
	where := netip.AddrPortFrom(addr, 80)
	seen := len(w.log.lines("path " + where.String() + " "))
	fmt.Fprintf(w.in, "path %s %v %d %v %v\n", w.macOf("b"), where, questions, certain, wait)
	return func() string {
		w.t.Helper()
		w.eventually("finding for "+where.String(), func() bool { return len(w.log.lines("path "+where.String()+" ")) > seen })
		line := w.log.lines("path " + where.String() + " ")[seen]
		w.t.Log(line)
		return line
	}
}

// printPath probes a path and prints the finding.
func printPath(ctx context.Context, a *layer2.Announcer, words string) {
	fields := strings.Fields(words)
	var mac layer2.MAC
	if _, err := fmt.Sscanf(fields[0], "%02x:%02x:%02x:%02x:%02x:%02x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]); err != nil {
		panic(err)
	}
	questions, err := strconv.Atoi(fields[2])
	if err != nil {
		panic(err)
	}
	wait, err := time.ParseDuration(fields[4])
	if err != nil {
		panic(err)
	}
	f, err := a.ProbePath(ctx, layer2.PathQuestion{
		To: mac, Service: netip.MustParseAddrPort(fields[1]),
		Options: pathprobe.Options{Questions: questions, Interval: 100 * time.Millisecond, Wait: wait, Certain: fields[3] == "true"},
	})
	fmt.Printf("path %s %v by %v redirected %v from %s %v: %v\n", fields[1], f.Answer, layer2.MAC(f.By), f.Redirected, f.Interface, f.Source, err)
}

// TestWirePath breaks each hop of the path through a node in turn.
func TestWirePath(t *testing.T) {
	w := newPathWire(t)
	redirects := func(on int) {
		w.run("b", fmt.Sprintf("sysctl -qw net.ipv4.conf.all.send_redirects=%d net.ipv4.conf.eth0.send_redirects=%d", on, on))
	}
	redirects(0) // Linux sends a host the first redirect at once, and each further one after twice the time
	w.startProber()
	byB := "by " + w.macOf("b")
	both := []netip.Addr{vip4, vip6}
	expect := func(what string, want ...string) {
		t.Helper()
		wait := pathWait
		if want[0] == "silent" {
			wait = silentWait
		}
		var found []func() string
		for _, addr := range both {
			found = append(found, w.ask(addr, 2, false, wait))
		}
		for _, result := range found {
			line := result()
			for _, part := range want {
				if !strings.Contains(line, part) {
					t.Errorf("%s: %s, want %q", what, line, part)
				}
			}
		}
	}

	w.rules(12, true)
	expect("no program listens in the Pod", "refused after", byB, "from eth0", "<nil>")
	w.serve("pod-b")
	w.serve("pod-a")
	expect("a Pod on node b behind SNAT", "open after", byB)
	w.rules(12, false)
	expect("a Pod on node b without SNAT", "open after", byB)
	w.rules(11, true)
	expect("a Pod on the prober behind SNAT", "open after", byB)
	for pod, said := range w.listeners {
		if n := said.count("accepted"); n > 0 {
			t.Errorf("the program in %s accepted %d connections of probes: %s", pod, n, said)
		}
	}
	if out := w.run("a", "conntrack -L -p tcp --orig-src 192.0.2.11"); strings.Contains(out, vip4.String()) {
		t.Errorf("connection tracking of the prober has entries:\n%s", out)
	}

	w.nft("b", "flush ruleset\ntable inet proxy { chain f { type filter hook forward priority 0; meta l4proto tcp reject with icmpx port-unreachable; }\n}\n")
	expect("a Service without endpoints", "unreachable (ICMP type", byB)
	if line := w.ask(vip4, 1, false, pathWait)(); !strings.Contains(line, "type 3 code 3 from 192.0.2.12") {
		t.Errorf("%s, want an unreachable port", line)
	}
	w.nft("b", "flush ruleset\n")
	if line := w.ask(vip4, 1, false, pathWait)(); !strings.Contains(line, "type 3 code 1 from 192.0.2.12") {
		t.Errorf("no rules: %s, want an unreachable host", line)
	}
	if line := w.ask(vip6, 1, false, pathWait)(); !strings.Contains(line, "type 1 code 3 from 2001:db8::12") {
		t.Errorf("no rules: %s, want an unreachable address", line)
	}
	redirects(1) // as nodes have it: Linux then sends a redirect at once, and no error within the next second
	if line := w.ask(vip4, 1, true, silentWait)(); !strings.Contains(line, "redirected true") {
		t.Errorf("no rules: %s, want a redirect", line)
	}
	w.rules(12, true)
	w.run("b", "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
	expect("a node that forwards nothing", "silent")
	w.run("b", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
	w.run("b", "ip -6 route replace fd00:11::/64 via 2001:db8::11")
	expect("the node forwards again", "open after")
	w.nft("bridge", fmt.Sprintf("table bridge guard { chain f { type filter hook forward priority 0; iifname p-b ip saddr %v drop; iifname p-b ip6 saddr %v drop; }\n}\n", vip4, vip6))
	expect("a switch port that filters foreign addresses", "silent", "<nil>")
	w.nft("bridge", "flush ruleset\n")
}

// TestWirePathLateRules asks before the rules exist: the answer comes soon after the rules, although the connection
// tracking of the node keeps forwarding the first questions without a rule.
func TestWirePathLateRules(t *testing.T) {
	w := newPathWire(t)
	w.startProber()
	w.serve("pod-b")
	w.nft("b", "table ip proxy { chain pre { type nat hook prerouting priority dstnat; }\n chain f { type filter hook forward priority 0; ct state new; }\n}\n")
	wait := w.ask(vip4, 32, true, pathWait)
	entries := func() int { return strings.Count(w.run("b", "conntrack -L -p tcp --dport 80"), vip4.String()) }
	w.eventually("entry in the connection tracking", func() bool { return entries() > 0 })
	w.rules(12, true)
	if line := wait(); !strings.Contains(line, "open after") {
		t.Errorf("%s, want an open port", line)
	}
	// Only the answered question is left, in a state that ends after ten seconds.
	w.eventually("end of the questions without an answer", func() bool { return entries() <= 1 })
}

// TestWirePathOfOthers probes an address that is no address of a Service, and the prober itself: no frame leaves.
func TestWirePathOfOthers(t *testing.T) {
	w := newPathWire(t)
	w.startProber()
	for words, want := range map[string]string{
		w.macOf("b") + " 192.0.2.99:80": "no Service of Lanlord has the address",
		w.macOf("a") + " 192.0.2.80:80": "the station is this node",
	} {
		fmt.Fprintf(w.in, "path %s 1 false 1s\n", words)
		w.eventually("refusal of "+words, func() bool { return len(w.log.lines("path ", want)) == 1 })
	}
	if out := w.run("b", "conntrack -L -p tcp"); strings.Contains(out, "dport=80") {
		t.Errorf("a frame was sent:\n%s", out)
	}
}
