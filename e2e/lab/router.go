package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	routerName  = "lanlord-router"
	routerImage = "lanlord-e2e/router:dev"
	// behind4 and behind6 are the subnets of the client behind the router.
	behind4, behind6 = "172.29.77.0/24", "fd00:29:77::/64"
)

// Router is a container on the nodes' network with FRR, and a namespace in it that is a client behind the router.
type Router struct {
	IPv4, IPv6 netip.Addr

	lab *Lab
}

// RouterPeer is a neighbour of the router.
type RouterPeer struct {
	Address  netip.Addr
	ASN      int
	Password string
	// BFD has the router keep a BFD session at 3 x 300 ms.
	BFD bool
}

// StartRouter starts a router until the end of the test, and adds a route to the client behind the router on each node.
// more are further addresses of the router. No node may be dead: Docker would give the address of the node to the
// router.
func (l *Lab) StartRouter(asn int, more []netip.Prefix, peers []RouterPeer) *Router {
	l.t.Helper()
	scripts, err := filepath.Abs("images.sh")
	l.must(err)
	if out, err := exec.Command(scripts, "router").CombinedOutput(); err != nil {
		l.t.Fatalf("the router's image: %v: %s", err, out)
	}
	_, _ = run(context.Background(), "docker", "rm", "-f", routerName) // one that an interrupted test has left
	l.docker(
		"run",
		"-d",
		"--name",
		routerName,
		"--hostname",
		"router",
		"--init",
		"--network",
		NetworkName,
		"--privileged",
		"--sysctl",
		"net.ipv4.ip_forward=1",
		"--sysctl",
		"net.ipv6.conf.all.forwarding=1",
		routerImage,
		"sleep",
		"infinity",
	)
	l.t.Cleanup(func() { l.docker("rm", "-f", routerName) })
	r := &Router{lab: l}
	r.addresses()
	r.client()
	for _, a := range more {
		r.Exec("ip", "addr", "add", a.String(), "dev", "eth0")
	}
	l.docker("cp", filepath.Join(l.runDir, "bin", "probe"), routerName+":/usr/local/bin/probe")
	r.configure(asn, peers)
	return r
}

// addresses reads which addresses Docker has given the router.
func (r *Router) addresses() {
	r.lab.t.Helper()
	var network struct{ IPAddress, GlobalIPv6Address netip.Addr }
	output := r.lab.docker(
		"inspect",
		"--format",
		`{{json (index .NetworkSettings.Networks "`+NetworkName+`")}}`,
		routerName,
	)
	r.lab.must(json.Unmarshal([]byte(output), &network))
	r.IPv4, r.IPv6 = network.IPAddress, network.GlobalIPv6Address
}

// client makes the client behind the router, and tells the nodes the way there.
func (r *Router) client() {
	r.lab.t.Helper()
	// Docker turns IPv6 off on the interfaces that a container makes itself.
	script := "sysctl -qw net.ipv6.conf.default.disable_ipv6=0; ip netns add client; ip link add eth9 type veth peer name eth0 netns client; ip link set eth9 up; " +
		"ip -n client link set eth0 up; ip -n client link set lo up; " +
		"sysctl -qw net.ipv4.fib_multipath_hash_policy=1 net.ipv6.fib_multipath_hash_policy=1"
	for _, subnet := range []netip.Prefix{netip.MustParsePrefix(behind4), netip.MustParsePrefix(behind6)} {
		mine, flag := subnet.Addr().Next(), ""
		if mine.Is6() {
			flag = "nodad"
		}
		script += fmt.Sprintf(
			"; ip addr add %[1]s/%[2]d dev eth9 %[3]s; ip -n client addr add %[4]s/%[2]d dev eth0 %[3]s; ip -n client route add default via %[1]s",
			mine,
			subnet.Bits(),
			flag,
			mine.Next(),
		)
	}
	r.Exec("sh", "-ec", script)
	for _, node := range r.lab.Nodes() {
		r.lab.ExecOnNode(node, "ip", "route", "replace", behind4, "via", r.IPv4.String())
		r.lab.ExecOnNode(node, "ip", "route", "replace", behind6, "via", r.IPv6.String())
		r.lab.t.Cleanup(func() {
			_, _ = r.lab.TryOnNode(
				context.Background(),
				node,
				"ip",
				"route",
				"del",
				behind4,
			) // a node that was started again has none
			_, _ = r.lab.TryOnNode(context.Background(), node, "ip", "route", "del", behind6)
		})
	}
}

// configure writes the configuration and starts the daemons.
func (r *Router) configure(asn int, peers []RouterPeer) {
	r.lab.t.Helper()
	var text, activate strings.Builder
	fmt.Fprintf(
		&text,
		"router bgp %d\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n bgp bestpath as-path multipath-relax\n",
		asn,
		r.IPv4,
	)
	for _, p := range peers {
		fmt.Fprintf(&text, " neighbor %s remote-as %d\n", p.Address, p.ASN)
		if p.Password != "" {
			fmt.Fprintf(&text, " neighbor %s password %s\n", p.Address, p.Password)
		}
		if p.BFD {
			fmt.Fprintf(&text, " neighbor %s bfd\n", p.Address)
		}
		fmt.Fprintf(&activate, "  neighbor %s activate\n", p.Address)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		fmt.Fprintf(
			&text,
			" address-family %s unicast\n%s  maximum-paths 64\n  maximum-paths ibgp 64\n exit-address-family\n",
			family,
			activate.String(),
		)
	}
	file, err := os.CreateTemp(r.lab.t.TempDir(), "bgpd")
	r.lab.must(err)
	_, err = file.WriteString(text.String())
	r.lab.must(err)
	r.lab.must(file.Close())
	r.lab.docker("cp", file.Name(), routerName+":/etc/frr/bgpd.conf")
	r.Exec(
		"sh",
		"-ec",
		"rm -f /etc/frr/frr.conf; touch /etc/frr/zebra.conf /etc/frr/bfdd.conf; chown -R frr:frr /etc/frr; mkdir -p /run/frr; chown frr:frr /run/frr; "+
			"for daemon in zebra bfdd bgpd; do /usr/lib/frr/$daemon -d; done",
	)
}

// Exec runs a command on the router and returns what it prints.
func (r *Router) Exec(command ...string) string {
	r.lab.t.Helper()
	return r.lab.docker(append([]string{"exec", routerName}, command...)...)
}

// Client returns the laboratory with the client behind the router in place of the one on the nodes' network.
func (r *Router) Client() *Lab {
	behind := *r.lab
	behind.client = []string{routerName, "ip", "netns", "exec", "client"}
	return &behind
}

// Kernel returns the next hops of the route to an address in the router's kernel, sorted; none if there is no such
// route.
func (r *Router) Kernel(ctx context.Context, a netip.Addr) (hops []netip.Addr, err error) {
	family := "-4"
	if a.Is6() {
		family = "-6"
	}
	output, err := run(
		ctx,
		"docker",
		"exec",
		routerName,
		"ip",
		"-j",
		family,
		"route",
		"show",
		netip.PrefixFrom(a, a.BitLen()).String(),
	)
	if err != nil {
		return nil, err
	}
	type hop struct {
		Gateway netip.Addr `json:"gateway"`
	}
	var routes []struct {
		hop
		Hops []hop `json:"nexthops"`
	}
	if strings.TrimSpace(output) == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(output), &routes); err != nil {
		return nil, fmt.Errorf("ip route of the router: %w", err)
	}
	for _, route := range routes {
		for _, h := range append(route.Hops, route.hop) {
			if h.Gateway.IsValid() {
				hops = append(hops, h.Gateway)
			}
		}
	}
	slices.SortFunc(hops, netip.Addr.Compare)
	return hops, nil
}

// Established returns since when the router's sessions are established, by neighbour, and an error if one is not.
func (r *Router) Established(ctx context.Context) (map[netip.Addr]time.Time, error) {
	output, err := run(ctx, "docker", "exec", routerName, "vtysh", "-c", "show bgp neighbors json")
	if err != nil {
		return nil, err
	}
	var found map[netip.Addr]struct {
		State string `json:"bgpState"`
		Since int64  `json:"bgpTimerUpEstablishedEpoch"`
	}
	if err := json.Unmarshal([]byte(output), &found); err != nil {
		return nil, fmt.Errorf("the router's neighbours: %w", err)
	}
	since := make(map[netip.Addr]time.Time)
	for neighbor, n := range found {
		if n.State != "Established" {
			return nil, fmt.Errorf("%s is %s", neighbor, n.State)
		}
		since[neighbor] = time.Unix(n.Since, 0)
	}
	return since, nil
}

// WatchRoutes begins to note changes of kernel routes. changes returns a line for each change so far.
func (r *Router) WatchRoutes() (changes func() []string) {
	r.lab.t.Helper()
	const file = "/tmp/routes"
	r.Exec("sh", "-c", "pkill -x ip; : >"+file)
	r.lab.docker("exec", "-d", routerName, "sh", "-c", "exec ip -ts -o monitor route >>"+file)
	// A route that is made and removed tells when the watch has begun.
	r.lab.WaitFor("the watch of the routes", patience, func(ctx context.Context) error {
		output, err := run(ctx, "docker", "exec", routerName, "sh", "-c",
			"ip route add blackhole 192.0.2.255; ip route del blackhole 192.0.2.255; sleep 0.1; cat "+file)
		if err == nil && output == "" {
			err = fmt.Errorf("nothing was noted")
		}
		return err
	})
	return func() (lines []string) {
		for line := range strings.Lines(r.Exec("cat", file)) {
			if !strings.Contains(line, "192.0.2.255") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return lines
	}
}
