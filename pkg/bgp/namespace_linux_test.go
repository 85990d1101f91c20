package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideVariable names the network namespaces in the processes that run inside of one.
const insideVariable = "LANLORD_BGP_TEST_NAMESPACES"

// The addresses of the two ends of the cable, and of an interface of the node that leads nowhere.
var (
	node4   = netip.MustParseAddr("192.0.2.1")
	node4b  = netip.MustParseAddr("192.0.2.2")
	node6   = netip.MustParseAddr("2001:db8::1")
	router4 = netip.MustParseAddr("192.0.2.254")
	router6 = netip.MustParseAddr("2001:db8::fe")
	inner4  = netip.MustParseAddr("198.51.100.1")
	inner6  = netip.MustParseAddr("2001:db8:1::1")
)

// namespaces are two network namespaces with a cable between them. The test runs in the namespace of the node.
type namespaces struct {
	t      *testing.T
	prefix string
}

// inNamespaces runs the calling test again in the network namespace of a node, and returns nil when that process has
// passed. Inside, it returns the namespaces. The machine's own interfaces are not touched.
func inNamespaces(t *testing.T) *namespaces {
	t.Helper()
	if prefix := os.Getenv(insideVariable); prefix != "" {
		return &namespaces{t: t, prefix: prefix}
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces are made as root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		if os.Getenv("LANLORD_TOOLS") == "required" {
			t.Fatal("the program ip is missing: install the Debian package iproute2")
		}
		t.Skip("without ip, which the Debian package iproute2 has (make deps)")
	}
	n := &namespaces{t: t, prefix: fmt.Sprintf("lanlord-bgp-%d-%s-", os.Getpid(), strings.ToLower(t.Name()))}
	for _, ns := range []string{"node", "router"} {
		if out, err := exec.Command("ip", "netns", "add", n.prefix+ns).CombinedOutput(); err != nil {
			if strings.Contains(string(out), "not permitted") {
				t.Skipf("network namespaces are forbidden here: %s", out)
			}
			t.Fatalf("ip netns add: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.prefix+ns).Run() })
		n.run(ns, "ip link set lo up")
	}
	n.run("node", "ip link add eth0 type veth peer name eth0 netns "+n.prefix+"router")
	for _, line := range []string{"addr add %s/24 dev eth0", "addr add %s/64 dev eth0 nodad",
		"link set eth0 addrgenmode eui64", "link set eth0 up"} {
		n.run("node", "ip "+fill(line, node4, node6))
		n.run("router", "ip "+fill(line, router4, router6))
	}
	n.run("node", fmt.Sprintf("ip addr add %s/24 dev eth0", node4b))
	n.run("node", "ip link add lo1 type veth peer name lo1end")
	n.run("node", "ip link set lo1 up")
	n.run("node", "ip link set lo1end up")
	n.run("node", fmt.Sprintf("ip addr add %s/32 dev lo1", inner4))
	n.run("node", fmt.Sprintf("ip addr add %s/128 dev lo1 nodad", inner6))
	n.run("router", fmt.Sprintf("ip route add %s/32 via %s", inner4, node4))
	n.run("router", fmt.Sprintf("ip route add %s/128 via %s", inner6, node6))
	n.awaitLinkLocal("node")
	n.awaitLinkLocal("router")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"netns", "exec", n.prefix + "node", self, "-test.run", "^" + t.Name() + "$", "-test.v",
		"-test.timeout", "5m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command("ip", args...)
	cmd.Env = append(os.Environ(), insideVariable+"="+n.prefix)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
	return nil
}

// fill puts the address of the family that the line is for into it.
func fill(line string, v4, v6 netip.Addr) string {
	switch {
	case strings.Contains(line, "/24"):
		return fmt.Sprintf(line, v4)
	case strings.Contains(line, "/64"):
		return fmt.Sprintf(line, v6)
	}
	return line
}

// awaitLinkLocal waits until the link-local address of an end is usable.
func (n *namespaces) awaitLinkLocal(ns string) {
	n.t.Helper()
	eventually(n.t, "link-local address of the "+ns, func() bool {
		out := n.run(ns, "ip -6 addr show dev eth0 scope link")
		return strings.Contains(out, "inet6 fe80:") && !strings.Contains(out, "tentative")
	})
}

// run runs a command line in a namespace. It must succeed.
func (n *namespaces) run(ns, line string) string {
	n.t.Helper()
	args := append([]string{"netns", "exec", n.prefix + ns}, strings.Fields(line)...)
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %s: %v: %s", ns, line, err, out)
	}
	return string(out)
}

// inRouter calls f on a thread in the namespace of the router. Sockets that f opens stay there.
func (n *namespaces) inRouter(f func() error) {
	n.t.Helper()
	if err := <-n.onRouterThread(f); err != nil {
		n.t.Fatal(err)
	}
}

// onRouterThread starts f on a thread in the namespace of the router, and returns the channel for the error.
func (n *namespaces) onRouterThread(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		ns, err := os.Open("/run/netns/" + n.prefix + "router")
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return done
}

// listenOptions are the options of the router's socket.
type listenOptions struct {
	// password is set for each address in from.
	password string
	from     []netip.Addr
	// ttl is the TTL of sent packets, 0 for the default. minTTL is the least TTL of accepted packets.
	ttl, minTTL int
}

// listen opens a socket of the router on port 179 of an address.
func (n *namespaces) listen(addr netip.Addr, o listenOptions) net.Listener {
	n.t.Helper()
	var l net.Listener
	n.inRouter(func() (err error) {
		config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error { return o.set(fd, addr.Is6()) })
		}}
		config.SetMultipathTCP(false)
		l, err = config.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, 179).String())
		return err
	})
	n.t.Cleanup(func() { l.Close() })
	return l
}

func (o listenOptions) set(fd int, v6 bool) error {
	for _, from := range o.from {
		if err := (socketOptions{remote: from, password: o.password}).setPassword(fd); err != nil {
			return err
		}
	}
	level, ttl, minTTL := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_MINTTL
	if v6 {
		level, ttl, minTTL = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_MINHOPCOUNT
	}
	if o.ttl > 0 {
		if err := unix.SetsockoptInt(fd, level, ttl, o.ttl); err != nil {
			return err
		}
	}
	if o.minTTL > 0 {
		return unix.SetsockoptInt(fd, level, minTTL, o.minTTL)
	}
	return nil
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after a minute", what)
		}
	}
}
