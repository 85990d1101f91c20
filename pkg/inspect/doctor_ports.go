package inspect

import (
	"cmp"
	"fmt"
	"slices"
)

// PortUser is the Pod of a speaker with the ports of its node that it uses.
type PortUser struct {
	// Namespace is the namespace of the installation, and Workload the name of the DaemonSet.
	Namespace, Workload string
	Node                string
	Ports               []SpeakerPort
}

// SpeakerPort is a port with the flag that sets it, such as "--listen".
type SpeakerPort struct {
	Port int
	Flag string
}

// sharedPort is a port that speakers of two installations use on the same nodes.
type sharedPort struct {
	// other is "namespace/workload" of the other installation, whose flag sets the port.
	other, flag string
	port        int
}

// shared maps the ports that ours share with theirs to the nodes, sorted.
func shared(ours, theirs []PortUser) (ports []sharedPort, nodes map[sharedPort][]string) {
	nodes = map[sharedPort][]string{}
	for _, o := range ours {
		for _, t := range theirs {
			if o.Node != t.Node {
				continue
			}
			for _, a := range o.Ports {
				for _, b := range t.Ports {
					if key := (sharedPort{t.Namespace + "/" + t.Workload, b.Flag, b.Port}); a.Port == b.Port && !slices.Contains(nodes[key], o.Node) {
						nodes[key] = append(nodes[key], o.Node)
					}
				}
			}
		}
	}
	for key := range nodes {
		slices.Sort(nodes[key])
		ports = append(ports, key)
	}
	slices.SortFunc(ports, func(a, b sharedPort) int { return cmp.Or(cmp.Compare(a.other, b.other), cmp.Compare(a.port, b.port)) })
	return ports, nodes
}

const ownPorts = "give one of the two ports of its own, as deploy/second does (--listen, --status-listen, --gossip-port; " +
	"Helm: metrics.port, statusPage.port, gossip.port), or remove it"

// checkPorts looks for another installation whose speakers use the same ports of the same nodes.
func checkPorts(c *Cluster, f *findings) string {
	if c.Hidden {
		f.unchecked("the ports of the speakers could not be looked at")
		return ""
	}
	var ours, theirs []PortUser
	for _, u := range c.PortUsers {
		if u.Namespace == c.Namespace {
			ours = append(ours, u)
		} else {
			theirs = append(theirs, u)
		}
	}
	ports, nodes := shared(ours, theirs)
	for _, p := range ports {
		f.wrong(ownPorts, "the speakers of %s use the port %d (%s) on %s too; on each node the speaker that started last waits", p.other, p.port,
			p.flag, listed(nodes[p]))
	}
	if !c.Everywhere && len(ports) == 0 {
		f.unchecked("whether another Lanlord uses the ports of the speakers could not be looked at")
	}
	return "no other Lanlord uses the ports of the speakers"
}

// preInstallations finds installations in other namespaces that use the default ports of this one.
func preInstallations(g *Ground, f *findings) {
	byOther := map[string]PortUser{}
	var others []string
	for _, u := range g.PortUsers {
		name := u.Namespace + "/" + u.Workload
		if u.Namespace == g.Namespace || byOther[name].Ports != nil {
			continue // an update uses the same ports
		}
		byOther[name] = u
		others = append(others, name)
	}
	slices.Sort(others)
	for _, name := range others {
		var texts []string
		for _, p := range byOther[name].Ports {
			if NeedsPort(p.Port) {
				texts = append(texts, fmt.Sprintf("%d (%s)", p.Port, p.Flag))
			}
		}
		if len(texts) > 0 {
			f.wrong(ownPorts, "the speakers of the Lanlord %s use %s of their nodes, and a second one cannot share them", name, listed(texts))
		}
	}
}
