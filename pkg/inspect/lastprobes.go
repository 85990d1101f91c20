package inspect

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// stateUnreachable is the reason of a Service whose address is announced and whose path is broken from all nodes that
// probed.
const stateUnreachable = "Unreachable"

// outdated is the age difference to a failed probe from which an open probe says nothing about the present.
const outdated = 5 * time.Minute

// NodeProbe is the last probe of the path to an address from one node.
type NodeProbe struct {
	// From is the name of the node that probed.
	From string `json:"from"`
	status.LastProbe
}

// Text returns the result in a few words.
func (p *NodeProbe) Text() string {
	switch {
	case p.Result == status.ProbeUnanswered:
		return "no host answers ARP or NDP"
	case p.Details != nil:
		return probeText(*p.Details)
	}
	return probeText(status.PathProbe{Result: p.Result, After: p.After})
}

// lastProbes returns the last probes of an address, sorted by node.
func (v *view) lastProbes(a netip.Addr) []NodeProbe {
	list := slices.Clone(v.probes[a])
	slices.SortFunc(list, func(x, y NodeProbe) int { return strings.Compare(x.From, y.From) })
	return list
}

// addProbes adds the last probes of a speaker.
func (v *view) addProbes(s *Speaker) {
	for _, p := range s.Says.Probes {
		if a, err := netip.ParseAddr(p.Address); err == nil {
			v.probes[a] = append(v.probes[a], NodeProbe{From: s.Node, LastProbe: p})
		}
	}
}

// judgeLast judges the last probes of an address. Probes through an earlier owner do not count, and neither do open
// probes that are older than a failed probe. The result is false if no probe counts, or none of them failed.
func (v *view) judgeLast(a netip.Addr) (PathAddress, bool) {
	probes, owners := v.lastProbes(a), v.facts(a).nodes()
	probes = slices.DeleteFunc(probes, func(p NodeProbe) bool {
		return p.Node != "" && !slices.Contains(owners, p.Node) || slices.Contains(owners, p.From)
	})
	failed := slices.DeleteFunc(slices.Clone(probes), func(p NodeProbe) bool { return !p.Failed() })
	if len(failed) == 0 {
		return PathAddress{}, false
	}
	oldest := slices.MinFunc(failed, func(x, y NodeProbe) int { return x.At.Compare(y.At) }).At
	var found []status.Path
	for _, p := range probes {
		if p.Failed() || p.At.Add(outdated).After(oldest) {
			found = append(found, v.pathOf(a, &p))
		}
	}
	return Paths(v.cluster, a, found), true
}

// pathOf returns the finding that corresponds to a last probe.
func (v *view) pathOf(a netip.Addr, p *NodeProbe) status.Path {
	path := status.Path{
		Node: p.From, Address: a.String(), Ping: p.Ping, NoPing: p.NoPing, Stations: []status.Station{}, Probes: []status.PathProbe{},
	}
	if p.Result == status.ProbeUnanswered {
		return path
	}
	probe := status.PathProbe{Service: v.servedBy(a, p.Port), Port: p.Port, Through: p.Node, Node: p.Node, Result: p.Result, After: p.After}
	if p.Details != nil {
		probe = *p.Details
	}
	path.Stations = []status.Station{{MAC: probe.Through, Node: p.Node}}
	path.Probes = []status.PathProbe{probe}
	return path
}

// servedBy returns the Service with the TCP port at the address.
func (v *view) servedBy(a netip.Addr, port uint16) string {
	for _, key := range v.holders[a] {
		if s := v.cluster.Service(key); s != nil && slices.Contains(s.TCPPorts, port) {
			return key.String()
		}
	}
	return ""
}

// enterProbes adds the last probes to the addresses of a Service, and the verdict of the first address whose path is
// broken.
func (e *Explanation) enterProbes(v *view) {
	for i := range e.Addresses {
		a := &e.Addresses[i]
		a.LastProbes = v.lastProbes(a.Address)
		if j, failed := v.judgeLast(a.Address); failed && j.State == PathBroken && e.Well {
			e.Well, e.Reason, e.Message, e.Mend = false, stateUnreachable, fmt.Sprintf("%s: %s", a.Address, j.Detail), j.Fix
		}
	}
}

// writeProbes writes a table of the last probes.
func (e *Explanation) writeProbes(out io.Writer) error {
	rows := [][]string{{"LAST PROBE OF", "FROM", "THROUGH", "PORT", "RESULT", "AGE"}}
	for i := range e.Addresses {
		for _, p := range e.Addresses[i].LastProbes {
			rows = append(rows, []string{
				p.Address, p.From, or(p.Node, none), fmt.Sprint(p.Port), p.Text(), age(&p.At, e.at),
			})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	if err := line(out, ""); err != nil {
		return err
	}
	return writeTable(out, rows)
}

// PathChoice is an address whose path doctor should probe, with the nodes to probe from.
type PathChoice struct {
	Address netip.Addr
	From    []string
}

// mostFrom is the number of nodes that probe an address for the doctor.
const mostFrom = 3

// PathChoices returns the addresses that the doctor should probe: at most failures addresses whose last probe failed, and
// an address of each of at most owners nodes that answer for addresses.
func PathChoices(c *Cluster, failures, owners int) (list []PathChoice) {
	v := newView(c)
	addrs := slices.SortedFunc(maps.Keys(v.holders), netip.Addr.Compare)
	seen := map[string]bool{}
	for _, broken := range []bool{true, false} {
		most := len(list) + map[bool]int{true: failures, false: owners}[broken]
		for _, a := range addrs {
			_, failed := v.judgeLast(a)
			nodes := v.facts(a).nodes()
			if len(list) == most || failed != broken || len(nodes) != 1 || !broken && seen[nodes[0]] || !v.hasTCP(a) {
				continue
			}
			seen[nodes[0]] = true
			if from := v.probers(nodes[0], len(list)); len(from) > 0 {
				list = append(list, PathChoice{Address: a, From: from})
			}
		}
	}
	return list
}

func (v *view) hasTCP(a netip.Addr) bool {
	return slices.ContainsFunc(v.holders[a], func(key cluster.Key) bool {
		s := v.cluster.Service(key)
		return s != nil && len(s.TCPPorts) > 0
	})
}

// probers returns nodes that can probe the path to another node, different ones for different numbers.
func (v *view) probers(owner string, number int) (names []string) {
	for _, s := range v.cluster.speakers() {
		if s.Node != owner && s.Says.Ready {
			names = append(names, s.Node)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > mostFrom {
		at := number * mostFrom % len(names)
		names = slices.Concat(names[at:], names[:at])[:mostFrom]
	}
	return names
}

// mostPaths is the number of findings about paths.
const mostPaths = 10

// checkPaths looks for addresses that are announced and that clients do not reach: by the probes that the doctor has
// made, and by the last probes of the speakers.
func checkPaths(c *Cluster, f *findings) string {
	v := newView(c)
	byAddr := map[netip.Addr]PathAddress{}
	probed, reachable := len(c.Paths), 0
	for a := range v.probes {
		if j, failed := v.judgeLast(a); failed {
			byAddr[a] = j
		}
	}
	for _, p := range c.Paths {
		if _, has := byAddr[p.Address]; !has || p.State != PathUnknown {
			byAddr[p.Address] = p
		}
		if p.State == PathReachable {
			reachable++
		}
	}
	var broken []PathAddress
	for _, p := range byAddr {
		if p.State == PathBroken {
			broken = append(broken, p)
		}
	}
	slices.SortFunc(broken, func(x, y PathAddress) int { return x.Address.Compare(y.Address) })
	for i, p := range broken {
		if i == mostPaths {
			f.wrong("kubectl lanlord probe ADDRESS names the broken hop of each", "%s more cannot be reached, such as %s",
				addressCount(len(broken)-i), p.Address)
			break
		}
		f.wrong(p.Fix, "%s (%s): %s", p.Address, listed(p.Services), p.Detail)
	}
	text := "no path was probed"
	switch {
	case probed > 0 && reachable == 0:
		text = fmt.Sprintf("no path is known to be broken; probes of %s proved nothing", addressCount(probed))
	case probed > 0:
		text = fmt.Sprintf("%d of %s reachable, as probes from other nodes have just shown", reachable, addressCount(probed))
	case c.PathsGap != "":
		text += ": " + c.PathsGap
	}
	if last := len(v.probes); last > 0 {
		text += fmt.Sprintf("; the last probes of %s found no broken path", addressCount(last))
	}
	return text
}

// keepProbes drops the probes beyond most, the failed probes last.
func keepProbes(list []status.LastProbe, most int) []status.LastProbe {
	if len(list) <= most {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y status.LastProbe) int {
		return cmp.Compare(map[bool]int{false: 1}[x.Failed()], map[bool]int{false: 1}[y.Failed()])
	})
	return slices.Clone(list[:max(0, most)])
}
