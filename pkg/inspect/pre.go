package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// Ground is a cluster before the installation of Lanlord.
type Ground struct {
	// Cluster has Nodes, KubeProxy, MetalLB, Rivals, Services, PortUsers and Gaps. Namespace is the namespace to install into, and
	// Others are the namespaces in which a Lanlord already is.
	Cluster
	// Version is the version of the API server, like "v1.33.2"; empty if unknown. Minor is the number after "1.", -1 if
	// unknown.
	Version string
	Minor   int
	// PodNetworks are the network plugins in the cluster. ServiceProxy is true if a Pod of kube-proxy was seen.
	PodNetworks  []string
	ServiceProxy bool
	// Ports are the ports of nodes that Pods use and that Lanlord needs.
	Ports []UsedPort
	// Enforced is the Pod Security level that the namespace enforces; empty without the namespace or without a level.
	Enforced string
	// Refused are the rights to install that the user does not have.
	Refused []string
}

// UsedPort is a port of a node that a Pod uses.
type UsedPort struct {
	Port     int
	Protocol string
	// Pod is "namespace/name". Nodes are the nodes of all Pods of the same owner.
	Pod   string
	Nodes []string
}

// oldestMinor is the oldest minor version of Kubernetes that the chart accepts, and oldestTested the oldest version that
// the tests run.
const oldestMinor, oldestTested = 25, 28

// lanlordPorts are the ports on nodes that Lanlord uses by default.
var lanlordPorts = [...]struct {
	port int
	of   string
}{
	{7572, "metrics and health (--listen)"},
	{7573, "the page (--status-listen)"},
	{7950, "gossip (--gossip-port)"},
}

// NeedsPort reports whether Lanlord uses a port of nodes by default.
func NeedsPort(port int) bool {
	return slices.ContainsFunc(lanlordPorts[:], func(p struct {
		port int
		of   string
	}) bool {
		return p.port == port
	})
}

// Prepare checks whether a cluster suits Lanlord, before the installation.
func Prepare(g *Ground) Diagnosis {
	return diagnose(&g.Cluster, g, []check[*Ground]{
		{"kubernetes", preVersion, nil},
		{"installed", preInstalled, []Subject{OfProcesses}},
		{"nodes", preNodes, []Subject{OfNodes}},
		{"kube-proxy", preServiceProxy, []Subject{OfKubeProxy}},
		{"network", preNetwork, []Subject{OfPods}},
		{"ports", prePorts, []Subject{OfPods}},
		{"metallb", func(g *Ground, f *findings) string { return checkMetalLB(&g.Cluster, f) }, []Subject{OfMetalLB}},
		{"rivals", preRivals, []Subject{OfServices, OfRivals}},
		{"namespace", preNamespace, []Subject{OfNamespace}},
		{"install", preRights, []Subject{OfRights}},
	})
}

func preVersion(g *Ground, f *findings) string {
	switch {
	case g.Minor < 0:
		f.unchecked("the version of the API server is not known")
	case g.Minor < oldestMinor:
		f.wrong("update the cluster", "the API server is of version %s, and Lanlord needs 1.%d", g.Version, oldestMinor)
	case g.Minor < oldestTested:
		f.remark("", "the API server is of version %s; the tests of Lanlord run with 1.%d and later", g.Version, oldestTested)
	}
	return "version " + g.Version
}

func preInstalled(g *Ground, f *findings) string {
	if len(g.Others) > 0 {
		f.remark("kubectl lanlord doctor without --pre looks at that one", "Lanlord is in this cluster already, in %s", listed(g.Others))
	}
	return "no Lanlord is in this cluster"
}

func preNodes(g *Ground, f *findings) string {
	var linux, excluded, homeless []string
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if !n.Linux {
			continue
		}
		linux = append(linux, n.Name)
		if n.Excluded {
			excluded = append(excluded, n.Name)
		}
		if len(n.Addresses) == 0 {
			homeless = append(homeless, n.Name)
		}
	}
	if len(linux) == 0 && len(g.gaps(OfNodes)) == 0 {
		f.wrong("add a Linux node", "the cluster has no Linux node, so no speaker can run")
	}
	if len(homeless) > 0 {
		f.wrong("give the kubelet of the node an address (--node-ip)", "%s without an InternalIP, so gossip has no address: %s",
			Count(len(homeless), "node"), listed(homeless))
	}
	switch {
	case len(excluded) > 0 && len(excluded) == len(linux):
		f.wrong("remove the label from a node, or write layer2: {excluded-nodes: use}",
			"all nodes have the label node.kubernetes.io/exclude-from-external-load-balancers, so none may announce an address")
	case len(excluded) > 0:
		f.remark("", "%s may not announce addresses, for the label node.kubernetes.io/exclude-from-external-load-balancers: %s",
			Count(len(excluded), "node"), listed(excluded))
	}
	if len(linux) == 1 {
		f.remark("", "the cluster has one Linux node, so no other node can take over an address")
	}
	return Count(len(linux), "Linux node") + " can announce addresses"
}

func preServiceProxy(g *Ground, f *findings) string {
	if g.KubeProxy == nil && !g.ServiceProxy && len(g.gaps(OfKubeProxy, OfPods)) == 0 {
		return "no kube-proxy; another service proxy does its work, or kube-proxy is a part of the distribution"
	}
	if g.KubeProxy == nil {
		return "kube-proxy runs, and has no ConfigMap to look at"
	}
	return checkKubeProxy(&g.Cluster, f)
}

func preNetwork(g *Ground, f *findings) string {
	if len(g.PodNetworks) == 0 {
		return "no known network plugin was seen; a speaker needs none, and announces from the node's own interfaces"
	}
	if len(g.PodNetworks) > 1 {
		f.remark("", "several network plugins run: %s", strings.Join(g.PodNetworks, ", "))
	}
	return strings.Join(g.PodNetworks, ", ") + ", which needs no setting"
}

func prePorts(g *Ground, f *findings) string {
	preInstallations(g, f)
	for _, u := range g.Ports {
		of := ""
		for _, p := range lanlordPorts {
			if p.port == u.Port {
				of = p.of
			}
		}
		f.wrong("give the other program or Lanlord another port", "%s uses the port %d %s on %s, which Lanlord needs for %s", u.Pod, u.Port,
			or(u.Protocol, "TCP"), listed(u.Nodes), of)
	}
	var texts []string
	for _, p := range lanlordPorts {
		texts = append(texts, fmt.Sprint(p.port))
	}
	return "no Pod uses the ports " + strings.Join(texts, ", ") + " of a node; other programs of the nodes cannot be seen from here"
}

// preRivals also remarks a load balancer that shares nothing with Lanlord yet: without an installation, nothing can be
// shared.
func preRivals(g *Ground, f *findings) string {
	well := checkRivals(&g.Cluster, f)
	if len(*f) > 0 {
		return well
	}
	texts := rivalTexts()
	for i := range g.Rivals {
		r := &g.Rivals[i]
		f.remark(texts[r.Kind].fix, "%s is in this cluster (%s): %s", r.Kind, listed(r.Objects), texts[r.Kind].trouble)
	}
	return well
}

func preNamespace(g *Ground, f *findings) string {
	switch g.Enforced {
	case "", "privileged":
		return "the namespace " + g.Namespace + " lets the speakers use the network of their nodes, as far as its labels say"
	}
	f.wrong("kubectl label namespace "+g.Namespace+" --overwrite pod-security.kubernetes.io/enforce=privileged",
		"the namespace %s enforces the Pod Security level %s, and the speakers need the network of their nodes", g.Namespace, g.Enforced)
	return ""
}

func preRights(g *Ground, f *findings) string {
	if len(g.Refused) > 0 {
		f.wrong("have an administrator install Lanlord", "you may not %s, which the installation needs", listed(g.Refused))
	}
	return "you may create all objects of the installation"
}
