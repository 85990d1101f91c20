package inspect

import (
	"fmt"
	"slices"

	"github.com/lanlord/lanlord/pkg/status"
)

// portFindings are the results of one TCP port of a Service from all nodes that probed.
type portFindings struct {
	service string
	port    uint16
	owner   string
	// open and others are the nodes by result; probes are the probes without the result open, by node.
	open   []string
	others []string
	probes []status.PathProbe
	// pinged is true when a ping was answered to each of others, and noPing when no speaker answers pings.
	pinged, noPing bool
	slowest        int64
}

// ports judges the TCP ports. The first broken port decides.
func (j pathJudge) ports(probers []status.Path) pathVerdict {
	all := collectPorts(probers)
	if len(all) == 0 {
		owner := probers[0].Stations[0].Node
		return pathVerdict{PathUnknown, fmt.Sprintf("the node %s answers for the address, as all nodes hear; no TCP port of "+
			"a Service could be probed, and the paths of UDP and SCTP ports cannot be checked", owner), ""}
	}
	slowest := int64(0)
	for _, f := range all {
		if len(f.others) > 0 {
			return f.verdict(j.addr.String())
		}
		slowest = max(slowest, f.slowest)
	}
	return pathVerdict{PathReachable, fmt.Sprintf("The node %s answers, and %s open from %s, within %.1f ms",
		all[0].owner,
		map[bool]string{true: "its TCP port is", false: fmt.Sprintf("its %d TCP ports are", len(all))}[len(all) == 1],
		Count(len(all[0].open), "node"), float64(slowest)/1000), ""}
}

// collectPorts groups the probes by Service and port, in the order of the first prober.
func collectPorts(probers []status.Path) (all []*portFindings) {
	for _, n := range probers {
		for _, p := range n.Probes {
			if p.Result == "" {
				continue
			}
			at := slices.IndexFunc(all, func(f *portFindings) bool {
				return f.service == p.Service && f.port == p.Port
			})
			if at < 0 {
				at = len(all)
				all = append(all, &portFindings{service: p.Service, port: p.Port, owner: p.Node, pinged: true})
			}
			f := all[at]
			f.noPing = f.noPing || n.NoPing
			if p.Result == "open" {
				f.open, f.slowest = append(f.open, n.Node), max(f.slowest, p.After)
				continue
			}
			f.others, f.probes, f.pinged = append(f.others, n.Node), append(f.probes, p), f.pinged && n.Ping
		}
	}
	return all
}

// has reports whether a probe satisfies the condition.
func (f *portFindings) has(is func(status.PathProbe) bool) bool {
	return slices.ContainsFunc(f.probes, is)
}

// verdict names the broken hop. The clearest finding of all nodes decides.
func (f *portFindings) verdict(addr string) pathVerdict {
	port := fmt.Sprintf("port %d of %s", f.port, f.service)
	onlyShut := !f.has(func(p status.PathProbe) bool { return p.Result != "silent" || p.Redirected || !p.ShutOut })
	switch {
	case onlyShut && len(f.open) == 0:
		return pathVerdict{PathUnknown, fmt.Sprintf("the node %s answers for the address; loadBalancerSourceRanges of %s "+
			"lack the addresses of the nodes, so the service proxy drops the probes, and silence proves nothing",
			f.owner, f.service), "probe from a client in these ranges, or add the addresses of the nodes to the ranges"}
	case onlyShut:
		return pathVerdict{PathReachable, fmt.Sprintf("The node %s answers, and %s is open from %s; "+
			"loadBalancerSourceRanges shut out %s", f.owner, port, listed(f.open), listed(f.others)), ""}
	case f.has(func(p status.PathProbe) bool { return p.Result == "refused" }):
		return broken("compare targetPort of the Service with the port that the program in the Pod listens on; a readiness "+
			"probe keeps such Pods out", "the packets for %s reach a Pod through %s, and no program listens there", port, f.owner)
	case f.has(caused("port")):
		return broken("look at the endpoints (kubectl get endpointslices -l kubernetes.io/service-name=NAME) and at the log "+
			"of the service proxy on "+f.owner, "the service proxy of %s knows no endpoint for %s and rejects the packets",
			f.owner, port)
	case f.has(caused("prohibited")):
		return broken("allow the port in the rules of this host", "a firewall refuses the packets for %s: %s", port,
			f.from("prohibited"))
	case f.has(func(p status.PathProbe) bool { return p.Redirected || p.Cause == "host" }):
		return broken("look at the log of the service proxy (kube-proxy) on "+f.owner+" and restart the service proxy; until "+
			"then, kubectl lanlord move SERVICE NODE gives the address to another node",
			"the node %s has no rules that lead %s to a running Pod: %s sends the packets back to the segment or finds no host",
			f.owner, port, f.owner)
	case f.has(caused("other")):
		return broken("look at the routes between the nodes and the Pods",
			"a host on the path cannot pass the packets for %s on: %s", port, f.from("other"))
	case len(f.open) > 0:
		return broken("look for a NetworkPolicy or a firewall that shuts these nodes out, and at the links between them and "+
			f.owner, "%s is open from %s and silent from %s", port, listed(f.open), listed(f.others))
	}
	return f.silence(port, addr)
}

// broken returns the verdict about a broken hop: the next step, and the sentence as in fmt.Sprintf.
func broken(fix, format string, args ...any) pathVerdict {
	return pathVerdict{PathBroken, fmt.Sprintf(format, args...), fix}
}

// caused returns a condition on the cause of a probe.
func caused(cause string) func(status.PathProbe) bool {
	return func(p status.PathProbe) bool { return p.Cause == cause }
}

// from names the sender and the type of the ICMP error with this cause.
func (f *portFindings) from(cause string) string {
	at := slices.IndexFunc(f.probes, func(p status.PathProbe) bool { return p.Cause == cause })
	p := f.probes[at]
	return fmt.Sprintf("ICMP type %d code %d from %s", p.Type, p.Code, p.From)
}

// silence judges a port from which nothing came back to any node. A ping is answered by the speaker, with the address
// as its source, and so tells the wire from the node behind it.
func (f *portFindings) silence(port, addr string) pathVerdict {
	const policy = "a NetworkPolicy that does not allow the addresses of the nodes looks the same, and then clients may " +
		"be served all the same"
	forwarding := "on " + f.owner + ", net.ipv4.ip_forward and net.ipv6.conf.all.forwarding must be 1"
	switch {
	case f.noPing:
		return broken(forwarding+", and the switch must let packets from "+addr+" pass; "+policy+"; with "+
			"layer2: {ping: true} a probe tells these apart",
			"the node %s answers for the address, and nothing comes back from %s", f.owner, port)
	case !f.pinged:
		return broken("allow the ranges of the pools at the switch or the hypervisor: IP source guard, DHCP snooping, "+
			"protection against spoofing (docs/layer2.md, Switches)", "the node %s answers for the address, and no packet from "+
			"%s comes back, not even to a ping: the switch port of %s drops packets with this source address", f.owner, addr,
			f.owner)
	}
	return broken(forwarding+", and no firewall may drop forwarded packets; "+policy,
		"packets from %s reach the nodes, as a ping shows, and the packets for %s get lost on %s or behind it", addr, port,
		f.owner)
}
