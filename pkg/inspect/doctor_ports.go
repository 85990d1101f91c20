package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

// clash is another installation whose speakers use the same ports as the speakers of this one.
type clash struct {
	// other is "namespace/workload".
	other string
	// ports are texts such as "7572 (--listen)", and nodes the nodes with speakers of both; both are sorted.
	ports, nodes []string
}

// clashes returns the other installations that use the same ports on the same nodes, sorted by name.
func clashes(namespace string, users []PortUser) (all []clash) {
	found := map[string]clash{}
	for _, ours := range users {
		for _, theirs := range users {
			if ours.Namespace != namespace || theirs.Namespace == namespace || ours.Node != theirs.Node {
				continue
			}
			name := theirs.Namespace + "/" + theirs.Workload
			c := found[name]
			c.other = name
			for _, p := range theirs.Ports {
				if slices.ContainsFunc(ours.Ports, func(o SpeakerPort) bool { return o.Port == p.Port }) {
					c.ports, c.nodes = append(c.ports, p.String()), append(c.nodes, ours.Node)
				}
			}
			found[name] = c
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		c := found[name]
		slices.Sort(c.ports)
		slices.Sort(c.nodes)
		if c.ports, c.nodes = slices.Compact(c.ports), slices.Compact(c.nodes); len(c.ports) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// String returns the port and its flag.
func (p SpeakerPort) String() string { return fmt.Sprintf("%d (%s)", p.Port, p.Flag) }

const ownPorts = "give one of the two ports of its own, as deploy/second does (--listen, --status-listen, --gossip-port; " +
	"Helm: metrics.port, statusPage.port, gossip.port), or remove it"

// checkPorts looks for another installation whose speakers use the same ports of the same nodes.
func checkPorts(c *Cluster, f *findings) string {
	if c.Hidden {
		f.unchecked("the ports of the speakers could not be looked at")
		return ""
	}
	found := clashes(c.Namespace, c.PortUsers)
	for _, x := range found {
		f.wrong(ownPorts, "the speakers of %s use the same ports on %s: %s; on each node the speaker that started last does not become ready",
			x.other, listed(x.nodes), strings.Join(x.ports, ", "))
	}
	if !c.Everywhere && len(found) == 0 {
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
				texts = append(texts, p.String())
			}
		}
		if len(texts) > 0 {
			f.wrong(ownPorts, "the speakers of the Lanlord %s use %s of their nodes, and a second one cannot share them", name, listed(texts))
		}
	}
}
