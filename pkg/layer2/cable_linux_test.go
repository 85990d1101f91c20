package layer2

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// cable is a virtual cable between two network namespaces created by the test: a node with the kernel address kernel4,
// and a client.
type cable struct {
	tb           testing.TB
	node, client string // paths of the namespaces
	nodeNIC      Interface
	clientMAC    MAC
}

var (
	kernel4 = netip.MustParseAddr("192.0.2.1")
	// pool4 is the configured range of the tests and contains 192.0.2.80 and free4.
	pool4 = Range{netip.MustParseAddr("192.0.2.64"), netip.MustParseAddr("192.0.2.127")}
	// alien4 is in no range.
	alien4 = netip.MustParseAddr("192.0.2.5")
)

func newCable(tb testing.TB) *cable {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("network namespaces are made as root only")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		if os.Getenv("LANLORD_TOOLS") == "required" {
			tb.Fatal("the program ip is missing: install the Debian package iproute2")
		}
		tb.Skip("without ip, which the Debian package iproute2 has (make deps)")
	}
	c := &cable{tb: tb}
	prefix := fmt.Sprintf("lanlord-cable-%d-%d-", os.Getpid(), time.Now().UnixNano())
	c.node, c.client = "/run/netns/"+prefix+"node", "/run/netns/"+prefix+"client"
	for _, ns := range []string{"node", "client"} {
		if out, err := exec.Command("ip", "netns", "add", prefix+ns).CombinedOutput(); err != nil {
			if strings.Contains(string(out), "not permitted") {
				tb.Skipf("network namespaces are forbidden here: %s", out)
			}
			tb.Fatalf("ip netns add: %v: %s", err, out)
		}
		tb.Cleanup(func() { _ = exec.Command("ip", "netns", "del", prefix+ns).Run() })
	}
	for _, line := range []string{
		"ip -n " + prefix + "node link add eth0 type veth peer name eth0 netns " + prefix + "client",
		"ip -n " + prefix + "node addr add 192.0.2.1/24 dev eth0",
		"ip -n " + prefix + "node link set eth0 up",
		"ip netns exec " + prefix + "client sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1", // no unasked frames
		"ip -n " + prefix + "client link set eth0 up",
	} {
		args := strings.Fields(line)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	c.in(c.client, func() {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			tb.Error(err)
			return
		}
		c.clientMAC = MAC(ifi.HardwareAddr)
	})
	c.in(c.node, func() {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			tb.Error(err)
			return
		}
		c.nodeNIC = Interface{Index: ifi.Index, Name: ifi.Name, MAC: MAC(ifi.HardwareAddr), Up: true,
			Prefixes: []netip.Prefix{netip.PrefixFrom(kernel4, 24)}}
	})
	return c
}

// in calls f on a thread in the namespace. The thread ends afterwards. Sockets opened by f stay in the namespace.
func (c *cable) in(namespace string, f func()) {
	c.tb.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without a later unlock, so that the runtime does not use the thread again
		fd, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			err = unix.Setns(fd, unix.CLONE_NEWNET)
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		c.tb.Fatalf("enter %s: %v", namespace, err)
	}
}

// probe is a blocking packet socket on the client's end. Blocking reads keep the cost of the measurement low.
type probe struct {
	tb          testing.TB
	fd          int
	b           []byte
	read, write func(fd int, b []byte) (int, error)
}

// dial opens a socket on the client's end for the node's ARP packets.
func (c *cable) dial() *probe {
	c.tb.Helper()
	p := &probe{tb: c.tb, fd: -1, b: make([]byte, 2048), read: unix.Read, write: unix.Write}
	var err error
	c.in(c.client, func() { p.fd, err = dialPacket() })
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { unix.Close(p.fd) })
	return p
}

func dialPacket() (int, error) {
	const arpInNetworkOrder = unix.ETH_P_ARP<<8&0xff00 | unix.ETH_P_ARP>>8
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arpInNetworkOrder, Ifindex: ifi.Index}))
}

func (p *probe) send(frame []byte) {
	if _, err := p.write(p.fd, frame); err != nil {
		p.tb.Fatal("send: ", err)
	}
}

// receive returns the next frame, or false if no frame comes. The frame is valid until the next call.
func (p *probe) receive() ([]byte, bool) {
	for {
		n, err := p.read(p.fd, p.b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			p.tb.Fatal("receive: ", err)
		}
		return p.b[:max(0, n)], err == nil
	}
}

// ask sends a request and returns after the answer; an announcement to all stations is no answer. ask repeats the
// request, as a host would, because a process delayed by a busy machine drops an old request.
func (p *probe) ask(request []byte) {
	p.send(request)
	for missing := 0; ; {
		b, ok := p.receive()
		if !ok {
			if missing++; missing == 10 {
				p.tb.Fatalf("no answer to %x", request)
			}
			p.send(request)
			continue
		}
		if b[arpOperation+1] == byte(arp.OperationReply) && [4]byte(b[arpSenderIP:]) == [4]byte(request[arpTargetIP:]) &&
			MAC(b[ethDestination:]) != broadcast {
			return
		}
	}
}

// request returns the client's question for an address.
func (c *cable) request(addr netip.Addr) []byte {
	return arpBytes(c.tb, arp.OperationRequest, broadcast, c.clientMAC, asker4, MAC{}, addr)
}

// nodeProcess is an announcer in a separate process, on the node's end.
type nodeProcess struct {
	tb   testing.TB
	pid  int
	in   *bufio.Writer
	said chan string
}

func (c *cable) start() *nodeProcess { return c.startAs("node") }

// startAs starts the node in a role.
func (c *cable) startAs(role string) *nodeProcess {
	c.tb.Helper()
	self, err := os.Executable()
	if err != nil {
		c.tb.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", c.node[len("/run/netns/"):], self)
	cmd.Env = append(os.Environ(), "LANLORD_LAYER2_TEST_ROLE="+role)
	cmd.Stderr = c.tb.Output()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		c.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		c.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.tb.Fatal(err)
	}
	// The program ip replaces itself with the started program, so the process ID stays the same.
	n := &nodeProcess{tb: c.tb, pid: cmd.Process.Pid, in: bufio.NewWriter(stdin), said: make(chan string, 100)}
	go func() {
		defer close(n.said)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			n.said <- lines.Text()
		}
	}()
	c.tb.Cleanup(func() {
		stdin.Close()
		for range n.said {
		}
		if err := cmd.Wait(); err != nil {
			c.tb.Errorf("the node ended with %v", err)
		}
	})
	n.expect("ready")
	return n
}

func (n *nodeProcess) expect(word string) {
	n.tb.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-n.said:
			if line == word {
				return
			}
			if !ok {
				n.tb.Fatalf("the node ended before it said %q", word)
			}
		case <-timeout:
			n.tb.Fatalf("the node has not said %q", word)
		}
	}
}

// tell sends a line to the node and waits until the node has processed the line.
func (n *nodeProcess) tell(line string) {
	n.tb.Helper()
	fmt.Fprintln(n.in, line)
	if err := n.in.Flush(); err != nil {
		n.tb.Fatal(err)
	}
	n.expect("set")
}

// listen opens the ARP socket of the network host on the node's end.
func (c *cable) listen() *frameConn {
	c.tb.Helper()
	var conn Conn
	var err error
	c.in(c.node, func() { conn, err = newHost(nil, nil).ListenARP(c.nodeNIC) })
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { conn.Close() })
	return conn.(*frameConn)
}

// received returns the number of frames that the kernel has queued in the socket since the last call.
func (c *frameConn) received(tb testing.TB) uint32 {
	tb.Helper()
	stats, err := c.conn.Stats()
	if err != nil {
		tb.Fatal(err)
	}
	return stats.Packets
}

// await waits until the kernel has queued a frame in the socket since the last call of received. On a busy machine the kernel
// delivers a frame some time after the sender's call.
func (c *frameConn) await(tb testing.TB, what string) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); c.received(tb) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s never arrived, so this proves nothing", what)
		}
	}
}

// before reads frames up to the request marker, and returns the number of frames before the marker.
func (c *frameConn) before(tb testing.TB, marker []byte) (number int) {
	tb.Helper()
	b := make([]byte, frameSize)
	for ; ; number++ {
		n, err := c.Read(b)
		if err != nil {
			tb.Fatalf("read the frame after %d others: %v", number, err)
		}
		if n >= arpEnd && bytes.Equal(b[arpTargetIP:arpEnd], marker[arpTargetIP:arpEnd]) {
			return number
		}
	}
}

// accepting opens a socket on the node's end that counts all ARP packets, to prove that the sent packets have arrived.
func (c *cable) accepting() *frameConn {
	c.tb.Helper()
	var conn *frameConn
	var err error
	all := func(*scope, int) []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: wholeFrame}} }
	c.in(c.node, func() { conn, err = listenPacket(c.nodeNIC, unix.ETH_P_ARP, all) })
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { conn.Close() })
	return conn
}

// switches returns the number of voluntary context switches of all threads, which equals the number of wake-ups.
func (n *nodeProcess) switches() (sum int) {
	n.tb.Helper()
	for _, line := range n.tasks("status") {
		if value, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
			count, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				n.tb.Fatal(err)
			}
			sum += count
		}
	}
	return sum
}

// tasks returns the lines of the named file of all threads.
func (n *nodeProcess) tasks(name string) []string {
	n.tb.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", n.pid, name))
	if err != nil || len(files) == 0 {
		n.tb.Fatalf("no threads: %v", err)
	}
	var lines []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			n.tb.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	return lines
}

// tagged returns a frame with a VLAN tag.
func tagged(frame []byte, id uint16) []byte {
	b := append([]byte{}, frame[:ethType]...)
	b = append(b, 0x81, 0)
	b = binary.BigEndian.AppendUint16(b, id)
	return append(b, frame[ethType:]...)
}
