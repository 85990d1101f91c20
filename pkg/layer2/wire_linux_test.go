package layer2_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// kernelWire is a segment made by the kernel: a bridge in its own namespace with virtual cables to the namespaces of a
// node, a client and a newcomer. The segment does not touch the interfaces of the machine.
type kernelWire struct {
	t      *testing.T
	prefix string
	in     io.Writer // the node's standard input
	log    *output   // the output of the node
}

// tools maps the programs that check the results to their Debian packages.
var tools = map[string]string{"ip": "iproute2", "bridge": "iproute2", "arping": "arping", "ndisc6": "ndisc6", "tcpdump": "tcpdump",
	"setpriv": "util-linux", "tshark": "tshark", "ping": "iputils-ping", "bash": "bash"}

// lacksTool skips a test for a program that is not installed, or fails the test where all programs should be.
func lacksTool(tb testing.TB, tool, pkg string) {
	tb.Helper()
	if os.Getenv("LANLORD_TOOLS") == "required" {
		tb.Fatalf("the program %s is missing: install the Debian package %s", tool, pkg)
	}
	tb.Skipf("without %s, which the Debian package %s has (make deps)", tool, pkg)
}

// canMakeNamespaces skips a test that may not make network namespaces, or lacks one of the programs, which are given with
// their Debian packages.
func canMakeNamespaces(tb testing.TB, tools map[string]string) {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("network namespaces are made as root only")
	}
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lacksTool(tb, tool, pkg)
		}
	}
}

// makeNamespace makes a network namespace for the duration of the test, or skips the test.
func makeNamespace(tb testing.TB, name string) {
	tb.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not permitted") {
			tb.Skipf("network namespaces are forbidden here: %s", out)
		}
		tb.Fatalf("ip netns add: %v: %s", err, out)
	}
	tb.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
}

// newKernelWire builds the segment, or skips the test if the system does not allow this.
func newKernelWire(t *testing.T) *kernelWire {
	t.Helper()
	canMakeNamespaces(t, tools)
	w := &kernelWire{t: t, prefix: fmt.Sprintf("lanlord-l2-%d-", os.Getpid()), log: newOutput()}
	for _, ns := range []string{"bridge", "node", "client", "newcomer"} {
		makeNamespace(t, w.prefix+ns)
	}
	// The bridge listens to MLD reports and asks for reports, as a good switch does: a station outside a group hears no
	// frames for the group.
	w.run("bridge", "ip link add br0 type bridge mcast_snooping 1 mcast_querier 1")
	w.run("bridge", "ip link set br0 up")
	for i, ns := range []string{"node", "client", "newcomer"} {
		w.run("bridge", "ip link add p-"+ns+" type veth peer name eth0 netns "+w.prefix+ns)
		w.run("bridge", "ip link set p-"+ns+" master br0 up")
		w.run(ns, "ip link set lo up")
		if ns != "node" {
			w.run(ns, fmt.Sprintf("ip addr add 192.0.2.%d/24 dev eth0", 200+i))
			w.run(ns, fmt.Sprintf("ip addr add 2001:db8::%d/64 dev eth0 nodad", 200+i))
			// Failures show sooner, and entries expire soon.
			w.run(ns, "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=200 net.ipv6.neigh.eth0.retrans_time_ms=200")
		} else {
			w.run(ns, "ip addr add 192.0.2.1/24 dev eth0")
			w.run(ns, "ip addr add 2001:db8::1/64 dev eth0")
		}
		w.run(ns, "ip link set eth0 up")
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the node's output:\n%s", w.log)
			t.Logf("multicast groups at the bridge:\n%.2000s", w.run("bridge", "bridge mdb show"))
		}
	})
	return w
}

// start runs an announcer in the node's namespace until the test ends, behind the given command line, if any.
func (w *kernelWire) start(behind ...string) { w.startIn("node", behind...) }

// startIn runs an announcer in a namespace until the test ends, behind the given command line, if any.
func (w *kernelWire) startIn(namespace string, behind ...string) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(namespace, append(behind, self)...)
	cmd.Env = append(os.Environ(), roleVariable+"=node")
	cmd.Stdout, cmd.Stderr = w.log, w.log
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	w.in = in
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the announcer in %s ended with %v", namespace, err)
		}
	})
}

func (w *kernelWire) command(ns string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", w.prefix + ns}, args...)...)
}

// run runs a command line in a namespace. The command must succeed.
func (w *kernelWire) run(ns, line string) string {
	w.t.Helper()
	out, err := w.try(ns, line)
	if err != nil {
		w.t.Fatalf("%s: %s: %v: %s", ns, line, err, out)
	}
	return out
}

func (w *kernelWire) try(ns, line string) (string, error) {
	out, err := w.command(ns, strings.Fields(line)...).CombinedOutput()
	return string(out), err
}

// eventually implements wire.
func (w *kernelWire) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("no %s after 20 s", what)
		}
	}
}

func (w *kernelWire) set(addrs ...netip.Addr) {
	w.t.Helper()
	seen := w.log.count("set\n")
	fmt.Fprintln(w.in, strings.Trim(fmt.Sprint(addrs), "[]"))
	w.eventually("receipt for a set", func() bool { return w.log.count("set\n") > seen })
}

func (w *kernelWire) mac() layer2.MAC {
	w.t.Helper()
	fields := strings.Fields(w.run("node", "ip -o link show dev eth0"))
	for i, f := range fields {
		if f == "link/ether" {
			return w.parseMAC(fields[i+1])
		}
	}
	w.t.Fatalf("no hardware address in %q", fields)
	return layer2.MAC{}
}

func (w *kernelWire) parseMAC(text string) (m layer2.MAC) {
	w.t.Helper()
	if n, err := fmt.Sscanf(strings.ToLower(text), "%02x:%02x:%02x:%02x:%02x:%02x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]); n != 6 {
		w.t.Fatalf("no hardware address: %q: %v", text, err)
	}
	return m
}

func (w *kernelWire) setMAC(m layer2.MAC) { w.run("node", "ip link set eth0 address "+m.String()) }

func (w *kernelWire) setLink(up bool) {
	state := map[bool]string{true: "up", false: "down"}[up]
	w.run("bridge", "ip link set p-node "+state)
	w.eventually("carrier "+state, func() bool {
		return strings.Contains(w.run("node", "ip -o link show dev eth0"), "LOWER_UP") == up
	})
}

// resolve checks twice: with a tool that asks by itself, and with the kernel of the client, which resolves the address
// before sending.
func (w *kernelWire) resolve(addr netip.Addr) (layer2.MAC, bool) {
	w.t.Helper()
	_, _ = w.try("client", "ip neigh flush to "+addr.String())
	question := "arping -r -C 1 -c 2 -W 0.2 -i eth0 " + addr.String()
	if addr.Is6() {
		question = "ndisc6 -q -1 -r 2 -w 200 " + addr.String() + " eth0"
	}
	out, err := w.try("client", question)
	// The datagram only makes the kernel resolve the address.
	_ = w.command("client", "bash", "-c", "echo >/dev/udp/"+addr.String()+"/9").Run()
	var mac layer2.MAC
	known := false
	w.eventually("result of the kernel's search for "+addr.String(), func() bool {
		entry := w.run("client", "ip neigh show dev eth0 to "+addr.String())
		mac, known = w.neighbor(addr)
		return known || strings.Contains(entry, "FAILED")
	})
	if asked := err == nil; asked != known {
		return layer2.MAC{}, false // the two results do not agree yet: the next look may agree
	} else if asked && w.parseMAC(strings.TrimSpace(out)) != mac {
		return layer2.MAC{}, false
	}
	return mac, known
}

func (w *kernelWire) neighbor(addr netip.Addr) (layer2.MAC, bool) {
	w.t.Helper()
	fields := strings.Fields(w.run("client", "ip neigh show dev eth0 to "+addr.String()))
	for i, f := range fields {
		if f == "lladdr" && fields[len(fields)-1] != "FAILED" {
			return w.parseMAC(fields[i+1]), true
		}
	}
	return layer2.MAC{}, false
}

// confirm makes the client's kernel revalidate its entry, so that the kernel asks by unicast. confirm also tries a
// solicitation without an option, which Linux never sends.
func (w *kernelWire) confirm(addr netip.Addr) bool {
	w.t.Helper()
	mac, ok := w.neighbor(addr)
	if !ok {
		w.t.Fatalf("the client does not know %s", addr)
	}
	w.run("client", fmt.Sprintf("ip neigh replace %s lladdr %s dev eth0 nud probe", addr, mac))
	state := ""
	w.eventually("result of the kernel's doubt about "+addr.String(), func() bool {
		state = w.run("client", "ip neigh show dev eth0 to "+addr.String())
		return !strings.Contains(state, "PROBE")
	})
	if addr.Is6() {
		self, err := os.Executable()
		if err != nil {
			w.t.Fatal(err)
		}
		cmd := w.command("client", self)
		cmd.Env = append(os.Environ(), roleVariable+"=solicit", "LANLORD_LAYER2_TEST_TARGET="+addr.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Errorf("unicast solicitation without option: %v: %s", err, out)
		}
	}
	return strings.Contains(state, "REACHABLE")
}

// taken does duplicate address detection on the newcomer: with probes by arping and, for IPv6, by the kernel itself.
func (w *kernelWire) taken(addr netip.Addr) bool {
	w.t.Helper()
	if addr.Is4() {
		_, err := w.try("newcomer", "arping -0 -C 1 -c 3 -W 1 -i eth0 "+addr.String())
		return err == nil
	}
	w.run("newcomer", "ip addr add "+addr.String()+"/128 dev eth0")
	defer w.run("newcomer", "ip addr del "+addr.String()+"/128 dev eth0")
	state := ""
	w.eventually("end of duplicate address detection", func() bool {
		state = w.run("newcomer", "ip -o addr show dev eth0 to "+addr.String())
		return !strings.Contains(state, "tentative") || strings.Contains(state, "dadfailed")
	})
	return strings.Contains(state, "dadfailed")
}

// output collects the output of a process.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func newOutput() *output { return &output{} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) count(part string) int { return strings.Count(o.String(), part) }

// lines returns the lines that contain all parts.
func (o *output) lines(parts ...string) []string {
	var found []string
	for s := bufio.NewScanner(strings.NewReader(o.String())); s.Scan(); {
		matches := true
		for _, p := range parts {
			matches = matches && strings.Contains(s.Text(), p)
		}
		if matches {
			found = append(found, s.Text())
		}
	}
	return found
}
