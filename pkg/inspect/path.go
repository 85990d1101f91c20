package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// The states of a path to an address.
const (
	// PathReachable means that every TCP port is open from every node that probed.
	PathReachable = "Reachable"
	// PathBroken means that some hop of the path does not pass packets on.
	PathBroken = "Broken"
	// PathUnknown means that the probes prove nothing.
	PathUnknown = "Unknown"
)

// PathReport describes the paths to one address, or to all addresses of a Service.
type PathReport struct {
	Addresses []PathAddress `json:"addresses"`
	NotKnown  []Gap         `json:"notKnown,omitempty"`
}

// PathAddress describes the path to one address, from every node.
type PathAddress struct {
	Address  netip.Addr `json:"address"`
	Services []string   `json:"services"`
	// State is PathReachable, PathBroken or PathUnknown. Detail names the broken hop in a sentence, and Fix is the next
	// step to take.
	State  string `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
	// Nodes holds the finding of each node, sorted by name.
	Nodes []status.Path `json:"nodes"`
}

// Paths judges the findings of the nodes about an address. The findings of one address belong to one call.
func Paths(c *Cluster, addr netip.Addr, found []status.Path) PathAddress {
	a := PathAddress{Address: addr, Services: []string{}, Nodes: slices.Clone(found)}
	slices.SortFunc(a.Nodes, func(x, y status.Path) int { return strings.Compare(x.Node, y.Node) })
	j := pathJudge{addr: addr, nodes: a.Nodes}
	for i := range c.Services {
		if s := &c.Services[i]; slices.Contains(s.Ingress, addr) {
			a.Services = append(a.Services, s.Key.String())
			j.services = append(j.services, s)
		}
	}
	v := j.judge()
	a.State, a.Detail, a.Fix = v.state, v.detail, v.fix
	return a
}

// Well reports whether all addresses are reachable.
func (r PathReport) Well() bool {
	return !slices.ContainsFunc(r.Addresses, func(a PathAddress) bool { return a.State != PathReachable })
}

// Known reports whether a hop of the path to one of the addresses is known to be broken.
func (r PathReport) Known() bool {
	return slices.ContainsFunc(r.Addresses, func(a PathAddress) bool { return a.State == PathBroken })
}

// WriteText writes for each address a sentence, the next step, and a table with the findings.
func (r PathReport) WriteText(out io.Writer) error {
	for i, a := range r.Addresses {
		if i > 0 {
			if err := line(out, ""); err != nil {
				return err
			}
		}
		if err := a.write(out); err != nil {
			return err
		}
	}
	return writeGaps(out, r.NotKnown)
}

func (a PathAddress) write(out io.Writer) error {
	of := ""
	if len(a.Services) > 0 {
		of = " of " + strings.Join(a.Services, ", ")
	}
	text := fmt.Sprintf("%s%s: %s. %s.", a.Address, of, strings.ToLower(a.State), capital(a.Detail))
	if a.Fix != "" {
		text += "\nNext: " + a.Fix + "."
	}
	if err := line(out, text); err != nil {
		return err
	}
	rows := [][]string{{"FROM", "ANSWERS", "PING", "PORT", "RESULT"}}
	for _, n := range a.Nodes {
		rows = append(rows, pathRows(n)...)
	}
	if err := line(out, ""); err != nil {
		return err
	}
	return writeTable(out, rows)
}

// pathRows returns the rows of one node: one for each probe, and at least one.
func pathRows(n status.Path) [][]string {
	switch {
	case n.Holds:
		return [][]string{{n.Node, "this node", none, none, "answers for the address itself"}}
	case n.Problem != "":
		return [][]string{{n.Node, unknown, unknown, unknown, sentence(n.Problem)}}
	case len(n.Stations) == 0:
		return [][]string{{n.Node, "nobody", none, none, none}}
	}
	ping := map[bool]string{true: "yes", false: "no"}[n.Ping]
	if n.NoPing {
		ping = "off"
	}
	var rows [][]string
	for _, s := range n.Stations {
		name, probed := stationName(s.Node, s.MAC), false
		for _, p := range n.Probes {
			if p.Through == s.MAC {
				rows = append(rows, []string{n.Node, name, ping, fmt.Sprintf("%s %d", p.Service, p.Port), probeText(p)})
				probed = true
			}
		}
		if !probed {
			rows = append(rows, []string{n.Node, name, ping, none, "no TCP port"})
		}
	}
	return rows
}

func stationName(node, mac string) string { return or(node, mac) }

// probeText returns the result of a probe in a few words.
func probeText(p status.PathProbe) string {
	text := p.Result
	switch p.Result {
	case "":
		return "not probed: " + sentence(p.Problem)
	case "open", "refused":
		text = fmt.Sprintf("%s after %.1f ms", p.Result, float64(p.After)/1000)
	case "unreachable":
		text = fmt.Sprintf("unreachable: ICMP type %d code %d from %s", p.Type, p.Code, p.From)
	}
	if p.Redirected {
		text += ", sent back to the segment"
	}
	if p.By != "" {
		text += ", answer from " + p.By
	}
	if p.ShutOut {
		text += fmt.Sprintf(" (loadBalancerSourceRanges lack %s)", p.Source)
	}
	return text
}

// pathVerdict is the result of a pathJudge.
type pathVerdict struct{ state, detail, fix string }

// pathJudge finds the broken hop of the path to one address.
type pathJudge struct {
	addr     netip.Addr
	services []*cluster.Service
	nodes    []status.Path
}

// judge looks at the hops in the order in which a packet takes them: ARP or NDP, and then the ports.
func (j pathJudge) judge() pathVerdict {
	var probers []status.Path
	holder, problem := "", "no speaker was asked"
	for _, n := range j.nodes {
		switch {
		case n.Holds:
			holder = n.Node
		case n.Problem != "":
			problem = fmt.Sprintf("%s: %s", n.Node, sentence(n.Problem))
		default:
			probers = append(probers, n)
		}
	}
	switch {
	case len(probers) == 0 && holder != "":
		return pathVerdict{PathUnknown,
			fmt.Sprintf("the node %s answers for the address, and no other node could probe the path", holder),
			"probe from a client on the segment, or look why the other speakers do not probe: kubectl lanlord status"}
	case len(probers) == 0:
		return pathVerdict{PathUnknown, "no node could probe the path (" + problem + ")",
			"kubectl lanlord who " + j.addr.String()}
	}
	if v := j.resolution(probers, holder); v.state != "" {
		return v
	}
	return j.ports(probers)
}

// resolution judges who answers ARP or NDP. The verdict is empty if one node answers, and every node hears the answer.
func (j pathJudge) resolution(probers []status.Path, holder string) pathVerdict {
	names, deaf := map[string]bool{}, []string{}
	foreign := ""
	for _, n := range probers {
		for _, s := range n.Stations {
			names[stationName(s.Node, s.MAC)] = true
			if s.Node == "" {
				foreign = s.MAC
			}
		}
		if len(n.Stations) == 0 {
			deaf = append(deaf, n.Node)
		}
	}
	const filter = ": dynamic ARP inspection, port security, storm control, another VLAN"
	all := listed(sortedKeys(names))
	switch {
	case len(deaf) == len(probers) && holder != "":
		return broken("look at the switch port of "+holder+filter, "the node %s answers for the address, and no other node "+
			"hears the answer: the segment drops the ARP or NDP frames of %s", holder, holder)
	case len(deaf) == len(probers):
		return broken("kubectl lanlord who "+j.addr.String()+" and kubectl lanlord why SERVICE say which node should answer, "+
			"and why that node does not", "no host answers ARP or NDP for the address")
	case len(names) > 1:
		return broken("the conflict ends by itself between nodes; for another host, kubectl lanlord who "+j.addr.String()+
			" has the MAC address, and the switch the port", "several hosts answer for the address: %s", all)
	case foreign != "":
		return broken("find the port of this MAC address at the switch, and remove the address from the host",
			"a host that is no node answers for the address: %s", foreign)
	case len(deaf) > 0:
		return broken("look at the switch ports of these nodes"+filter,
			"the nodes %s do not hear the answer of %s, and other nodes do", listed(deaf), all)
	}
	return pathVerdict{}
}

func sortedKeys(set map[string]bool) (keys []string) {
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Silent reports whether nodes have probed the path, every probe of a port found silence, and nothing else than a hop
// behind the node that answers explains the silence: a ping was answered, or no speaker answers pings.
func (a *PathAddress) Silent() bool {
	probes := 0
	for _, n := range a.Nodes {
		for _, p := range n.Probes {
			if p.Result != "silent" || p.Redirected || p.ShutOut || !n.Ping && !n.NoPing {
				return false
			}
			probes++
		}
	}
	return a.State == PathBroken && probes > 0
}

// ShutOutBy notes the NetworkPolicies that select the Pods and admit no node: the silence then proves nothing.
func (a *PathAddress) ShutOutBy(policies []string) {
	a.State = PathUnknown
	a.Detail += "; a possible reason: NetworkPolicies select Pods of the Service and admit no node (" + listed(policies) +
		"), so clients may be served all the same"
	a.Fix = "probe from a client that the policies admit, or admit the addresses of the nodes by an ipBlock; otherwise: " + a.Fix
}

// PoliciesUnknown notes the reason why the NetworkPolicies could not be read.
func (a *PathAddress) PoliciesUnknown(why string) {
	a.Detail += "; it is not known whether a NetworkPolicy shuts the nodes out: " + why
}
