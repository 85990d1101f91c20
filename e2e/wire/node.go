package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stopLimit is how long a speaker may take to end after SIGTERM: the grace period of its Pod.
const stopLimit = 10 * time.Second

// node is a machine of the cluster.
type node struct {
	*namespace
	name   string
	number int
	mac    MAC
	ports  [networks]*port
	lab    *Lab

	// The speaker, nil if none was started; ended is closed when it has.
	speaker *exec.Cmd
	ended   chan struct{}
	starts  int
}

// newNode makes a node and plugs it in. Its speaker is not started.
func newNode(l *Lab, number int) (*node, error) {
	n := &node{name: fmt.Sprintf("node-%d", number), number: firstNode + number, lab: l}
	var err error
	if n.namespace, err = newNamespace(); err != nil {
		return nil, err
	}
	addresses := [networks][]netip.Prefix{
		LAN:    {host(lan4, n.number), host(lan6, n.number)},
		Gossip: {host(gossip6, n.number)},
		API:    {host(api4, n.number)},
	}
	for network := range Network(networks) {
		if n.ports[network], err = l.hub.plug(n.namespace, network, addresses[network]...); err != nil {
			n.close()
			return nil, err
		}
	}
	if err = n.serve(); err != nil {
		n.close()
		return nil, fmt.Errorf("make %s: %w", n.name, err)
	}
	return n, nil
}

// serve makes the node's kernel take in what is for the pool's addresses, and keep quiet about them: strict ARP.
func (n *node) serve() error {
	lo, err := n.link.LinkByName("lo")
	if err != nil {
		return err
	}
	eth0, err := n.link.LinkByName(interfaces[LAN])
	if err != nil {
		return err
	}
	n.mac = MAC(eth0.Attrs().HardwareAddr)
	const localTable = 255
	for _, pool := range append([]netip.Prefix{services4, services6}, n.lab.options.Local...) {
		route := &netlink.Route{LinkIndex: lo.Attrs().Index, Table: localTable, Type: unix.RTN_LOCAL, Dst: address(pool).IPNet,
			Scope: unix.RT_SCOPE_HOST}
		if err := n.link.RouteAdd(route); err != nil {
			return fmt.Errorf("route %s to the node itself: %w", pool, err)
		}
	}
	for _, setting := range [][2]string{
		{"ipv4/conf/all/arp_ignore", "1"}, {"ipv4/conf/all/arp_announce", "2"}, {"ipv6/ip_nonlocal_bind", "1"},
	} {
		if err := n.sysctl(setting[0], setting[1]); err != nil {
			return err
		}
	}
	return nil
}

// meet makes the nodes know each other's MAC addresses in the network of the gossip for good. The kernel has one table of
// neighbours for all namespaces, with room for a thousand that it has to find out.
func meet(nodes []*node) error {
	macs := make([]MAC, len(nodes))
	ends := make([]netlink.Link, len(nodes))
	for i, n := range nodes {
		end, err := n.link.LinkByName(interfaces[Gossip])
		if err != nil {
			return err
		}
		macs[i], ends[i] = MAC(end.Attrs().HardwareAddr), end
	}
	for i, n := range nodes {
		for j, other := range nodes {
			if i == j {
				continue
			}
			neighbour := &netlink.Neigh{LinkIndex: ends[i].Attrs().Index, Family: netlink.FAMILY_V6, State: netlink.NUD_PERMANENT,
				IP: host(gossip6, other.number).Addr().AsSlice(), HardwareAddr: macs[j][:]}
			if err := n.link.NeighSet(neighbour); err != nil {
				return fmt.Errorf("introduce %s to %s: %w", other.name, n.name, err)
			}
		}
	}
	return nil
}

// start starts the speaker. Its log is a file of its own.
func (n *node) start() error { return n.startWith(nil, nil) }

// startWith starts it with another file for its log, unless that is nil, and with more variables in its environment.
func (n *node) startWith(log *os.File, environment []string) error {
	n.starts++
	if log == nil {
		var err error
		if log, err = os.Create(filepath.Join(n.lab.options.Logs, fmt.Sprintf("%s.%d.log", n.name, n.starts))); err != nil {
			return err
		}
		defer log.Close() // the process has its own
	}
	args := []string{
		"--kubeconfig=" + n.lab.server.Kubeconfig(), "--namespace=" + systemNamespace, "--node-name=" + n.name,
		"--pod-name=" + podName(n.name), "--listen=" + n.metrics(), "--log-level=" + n.lab.options.LogLevel,
		"--gossip-address=" + host(gossip6, n.number).Addr().String(), "--kube-proxy-metrics=",
	}
	cmd := exec.Command(n.lab.options.Speaker, append(args, n.lab.options.Flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(append(os.Environ(), n.podEnv()), environment...)
	if prepare := n.lab.options.Prepare; prepare != nil {
		if err := prepare(n.number-firstNode, cmd); err != nil {
			return fmt.Errorf("prepare the speaker of %s: %w", n.name, err)
		}
	}
	if err := n.namespace.start(cmd); err != nil {
		return fmt.Errorf("start the speaker of %s: %w", n.name, err)
	}
	ended := make(chan struct{})
	n.speaker, n.ended = cmd, ended
	go func() {
		_ = cmd.Wait() // whether it should have ended is asked by those who need it
		close(ended)
	}()
	return nil
}

// metrics is where the speaker serves HTTP.
func (n *node) metrics() string {
	return netip.AddrPortFrom(host(api4, n.number).Addr(), 7572).String()
}

// running tells whether the speaker was started and has not ended.
func (n *node) running() bool {
	if n.speaker == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to the speaker, which must be running.
func (n *node) signal(s syscall.Signal) error {
	if !n.running() {
		return fmt.Errorf("the speaker of %s has ended: %s", n.name, n.state())
	}
	return n.speaker.Process.Signal(s)
}

func (n *node) state() string {
	if n.speaker == nil || n.speaker.ProcessState == nil {
		return "not started"
	}
	return n.speaker.ProcessState.String()
}

// kill ends the speaker at once, and waits until it has.
func (n *node) kill() error {
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-n.ended
	return nil
}

// await waits until the speaker, which was told to stop, has ended.
func (n *node) await() error {
	select {
	case <-n.ended:
	case <-time.After(stopLimit):
		return fmt.Errorf("the speaker of %s still runs %v after SIGTERM", n.name, stopLimit)
	}
	if !n.speaker.ProcessState.Success() {
		return fmt.Errorf("the speaker of %s ended with %s", n.name, n.state())
	}
	return nil
}

// each calls f with the node's ports of the networks.
func (n *node) each(f func(*port) error, networks ...Network) error {
	var err error
	for _, network := range networks {
		err = errors.Join(err, f(n.ports[network]))
	}
	return err
}

// power switches all links of the node on or off, as seen from the other end.
func (n *node) power(on bool) error {
	if on {
		return n.each((*port).up, LAN, Gossip, API)
	}
	return n.each((*port).down, LAN, Gossip, API)
}

// close kills the speaker and removes the node.
func (n *node) close() {
	if n.running() {
		_ = n.kill() // it may just have ended
	}
	n.namespace.close()
}
