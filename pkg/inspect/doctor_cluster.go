package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/config"
)

// The checks in this file examine data from the API server.

func checkInstallation(c *Cluster, f *findings) string {
	if len(c.Others) > 0 {
		f.wrong("remove all but one, or give each a --load-balancer-class and ports of its own, as deploy/second does; --lanlord-namespace says which one to look at",
			"Lanlord is in several namespaces: %s, which is looked at here, and %s", c.Namespace, listed(c.Others))
	}
	switch {
	case c.Hidden:
		f.unchecked("whether Lanlord is in the namespace %s could not be looked at", c.Namespace)
	case !c.Everywhere && len(c.Others) == 0:
		f.unchecked("Lanlord is in the namespace %s; whether it is in another one could not be looked at", c.Namespace)
	}
	return fmt.Sprintf("Lanlord is in the namespace %s, and in no other", c.Namespace)
}

func checkController(c *Cluster, f *findings) string {
	logs := fmt.Sprintf("kubectl -n %s describe pods -l component=controller; kubectl -n %s logs -l component=controller", c.Namespace, c.Namespace)
	ready := 0
	for _, p := range c.Controllers {
		switch {
		case p.Ready:
			ready++
		case !p.Deleting:
			f.wrong(logs, "the controller's pod %s%s is not ready%s", p.Name, onNode(p.Node), colon(p.Problem))
		}
	}
	if c.Hidden {
		f.unchecked("the controller could not be looked at")
		return ""
	}
	if len(c.Controllers) == 0 {
		f.wrong(fmt.Sprintf("kubectl -n %s describe deployment -l component=controller", c.Namespace),
			"there is no controller, so no Service gets an address; those that are assigned go on working")
	}
	if ready == 0 || c.Lease == nil {
		return "the controller is ready"
	}
	holder := slices.ContainsFunc(c.Controllers, func(p Controller) bool { return strings.HasPrefix(c.Lease.Holder, p.Name+"_") })
	switch overdue := c.At.Sub(c.Lease.Renewed.Add(c.Lease.Lasts)); {
	case c.Lease.Holder == "":
		f.wrong(logs, "no controller holds the Lease, so none gives addresses")
	case overdue > 0:
		f.wrong(logs, "the Lease of %s ran out %v ago, and no controller has taken it", c.Lease.Holder, overdue.Round(1e9))
	case !holder:
		f.wrong("find who that is; if it is gone, another controller takes the Lease when it has run out",
			"the Lease is held by %s, which is no pod of this controller", c.Lease.Holder)
	}
	return fmt.Sprintf("the controller is ready and holds the Lease, as %s", c.Lease.Holder)
}

func onNode(node string) string {
	if node == "" {
		return ""
	}
	return " on " + node
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + sentence(text)
}

// checkSpeakers looks for nodes without a ready speaker.
func checkSpeakers(c *Cluster, f *findings) string {
	if c.Hidden {
		f.unchecked("the speakers could not be looked at")
		return ""
	}
	byNode := map[string][]*Speaker{}
	for i := range c.Speakers {
		s := &c.Speakers[i]
		byNode[s.Node] = append(byNode[s.Node], s)
		if s.Node == "" {
			f.wrong("kubectl -n "+c.Namespace+" describe pod "+s.Name, "the speaker's pod %s is on no node%s", s.Name, colon(s.Problem))
		}
	}
	ready := 0
	for i := range c.Speakers {
		if s := &c.Speakers[i]; s.Ready && s.Says == nil && len(c.gaps(OfProcesses)) == 0 {
			f.unchecked("the speaker on %s is ready, and could not be asked%s", s.Node, colon(s.Silence))
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		here := byNode[n.Name]
		switch at := slices.IndexFunc(here, func(s *Speaker) bool { return s.Ready }); {
		case !n.Linux:
		case at >= 0:
			ready++
		case len(here) > 0:
			c.unready(here[0], n, f)
		default:
			c.missing(n, f)
		}
	}
	return fmt.Sprintf("%d of %s have a speaker that is ready", ready, Count(len(c.Nodes), "node"))
}

// unready explains why the speaker of a node is not ready.
func (c *Cluster) unready(s *Speaker, n *Node, f *findings) {
	if !n.Ready {
		f.wrong("see why: kubectl describe node "+n.Name, "the node %s is not ready, and neither is its speaker; others announce meanwhile", n.Name)
		return
	}
	why := s.Problem
	if why == "" {
		why = s.waitsFor()
	}
	mend := fmt.Sprintf("kubectl -n %s logs %s", c.Namespace, s.Name)
	if strings.Contains(why, "address already in use") {
		mend = fmt.Sprintf("another process on %s has that port: end it (ss -lnptu on the node shows which it is), or give all speakers another --gossip-port or --listen", n.Name)
	}
	f.wrong(mend, "the speaker on %s is not ready%s", n.Name, colon(why))
}

// missing explains why a node has no speaker.
func (c *Cluster) missing(n *Node, f *findings) {
	if c.DaemonSet == nil {
		f.wrong("kubectl -n "+c.Namespace+" get daemonsets", "the node %s has no speaker", n.Name)
		return
	}
	for key, value := range c.DaemonSet.Selector {
		if has, ok := n.Labels[key]; !ok || has != value {
			f.remark("", "the node %s has no speaker, as the DaemonSet %s selects nodes with the label %s=%s", n.Name, c.DaemonSet.Name, key, value)
			return
		}
	}
	for _, t := range n.Taints {
		if !slices.ContainsFunc(c.DaemonSet.Tolerations, func(x Toleration) bool { return x.tolerates(t) }) {
			f.remark("add a toleration to the DaemonSet "+c.DaemonSet.Name+" if the node is to announce addresses",
				"the node %s has no speaker, as nothing tolerates its taint %s", n.Name, t)
			return
		}
	}
	f.wrong("kubectl -n "+c.Namespace+" describe daemonset "+c.DaemonSet.Name, "the node %s has no speaker", n.Name)
}

// checkPrivileges checks the privileges of the speakers' Pods.
func checkPrivileges(c *Cluster, f *findings) string {
	if c.Hidden {
		f.unchecked("the Pods of the speakers could not be looked at")
		return ""
	}
	var without, apart []string
	for _, s := range c.Speakers {
		if !s.RawSockets {
			without = append(without, s.Name)
		}
		if !s.HostNetwork {
			apart = append(apart, s.Name)
		}
	}
	if len(without) > 0 {
		f.wrong("give the container of the DaemonSet the capability NET_RAW, as root (deploy/base/speaker.yaml)",
			"without CAP_NET_RAW neither ARP nor NDP can be answered; speakers without it: %s", listed(without))
	}
	if len(apart) > 0 {
		f.wrong("set hostNetwork: true in the DaemonSet (deploy/base/speaker.yaml)",
			"speakers that have not their node's network: %s", listed(apart))
	}
	return "all speakers have CAP_NET_RAW and their nodes' network"
}

// checkNodes looks for nodes that are excluded from announcements by their label.
func checkNodes(c *Cluster, f *findings) string {
	var excluded []string
	able := 0
	for _, n := range c.Nodes {
		switch {
		case n.Excluded && !c.usesExcluded():
			excluded = append(excluded, n.Name)
		case n.Linux:
			able++
		}
	}
	label := corev1.LabelNodeExcludeBalancers
	switch {
	case len(excluded) > 0 && able == 0:
		f.wrong(fmt.Sprintf("kubectl label node %s %s-; or let the nodes announce in spite of it: layer2: {excluded-nodes: use}",
			excluded[0], label),
			"all nodes have the label %s, so none may announce an address", label)
	case len(excluded) > 0:
		f.remark("", "%s may not announce addresses, for the label %s: %s", Count(len(excluded), "node"), label, listed(excluded))
	}
	if c.usesExcluded() {
		return fmt.Sprintf("the label %s keeps no node from announcing (excluded-nodes: use)", label)
	}
	return fmt.Sprintf("no node has the label %s", label)
}

func checkKubeProxy(c *Cluster, f *findings) string {
	switch {
	case c.KubeProxy == nil:
		return "no ConfigMap of kube-proxy, so nothing to look at"
	case c.KubeProxy.Mode == "ipvs" && !c.KubeProxy.StrictARP:
		f.wrong("set ipvs.strictARP: true in the ConfigMap kube-system/kube-proxy, then kubectl -n kube-system rollout restart daemonset kube-proxy",
			"kube-proxy runs in IPVS mode without strictARP: every node's kernel answers ARP for all addresses of Services, so several answer for each")
	}
	return fmt.Sprintf("mode %s, which leaves ARP to Lanlord", or(c.KubeProxy.Mode, "iptables"))
}

func checkMetalLB(c *Cluster, f *findings) string {
	m := c.MetalLB
	if m == nil {
		return "no MetalLB runs in this cluster"
	}
	if !m.Known {
		f.unchecked("MetalLB runs too (%s), and its pools could not be read", listed(m.Pods))
	}
	if overlap := c.overlap(m); overlap != "" {
		f.wrong("take the addresses out of the pools of one of the two, or remove MetalLB", "MetalLB runs too (%s), and %s", listed(m.Pods), overlap)
	}
	if m.Class == c.Class {
		f.wrong("remove one of the two, or give one of them a load-balancer class (--load-balancer-class, MetalLB's --lb-class)",
			"MetalLB runs too (%s), and both give addresses to the same Services", listed(m.Pods))
	}
	return fmt.Sprintf("MetalLB runs too, for the class %q and with other pools", m.Class)
}

// overlap describes an address that pools of Lanlord and of MetalLB have in common, empty without one.
func (c *Cluster) overlap(m *MetalLB) string { return c.overlapOf(m.Ranges) }

// overlapOf describes an address range that pools of Lanlord and of another load balancer have in common, empty without
// one.
func (c *Cluster) overlapOf(ranges []PoolRange) string {
	if c.Config.Config == nil {
		return ""
	}
	for _, ours := range c.Config.Config.Pools {
		for _, r := range ours.Ranges {
			for _, theirs := range ranges {
				if common, ok := common(r, theirs.Range); ok {
					return fmt.Sprintf("%s is in its pool %q and in Lanlord's pool %q", common, theirs.Pool, ours.Name)
				}
			}
		}
	}
	return ""
}

func common(a, b config.Range) (config.Range, bool) {
	if a.From.BitLen() != b.From.BitLen() {
		return config.Range{}, false
	}
	r := config.Range{From: later(a.From, b.From), To: a.To}
	if b.To.Less(r.To) {
		r.To = b.To
	}
	return r, !r.To.Less(r.From)
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
