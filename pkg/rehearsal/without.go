package rehearsal

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Departure lists the addresses that other nodes take over when a node goes, with its Pods.
type Departure struct {
	Node string `json:"node"`
	// Addresses are the addresses on layer 2 that the node answers for, or is elected for, sorted.
	Addresses []Departed `json:"addresses"`
	// Notes list unknown facts.
	Notes []string `json:"notes,omitempty"`
}

// Departed describes one address of a Departure.
type Departed struct {
	Address  netip.Addr `json:"address"`
	Services []string   `json:"services"`
	// Owner is the elected node without the departed node; empty for none.
	Owner string `json:"owner,omitempty"`
	// Reason is the word of the reason.Announcement. Message explains why no node announces the address; empty if a
	// node does.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
}

// Without returns the result of the election for each address of a node, if the node and its Pods were gone. owned
// lists the addresses that the node answers for now; the node may also be elected for others. members are the speakers
// that are ready.
func Without(snap cluster.Snapshot, members []membership.Member, node string, owned []netip.Addr) Departure {
	before := placement.Decide(snap, members)
	left := snap
	left.Services, left.Others = withoutPods(snap.Services, node), withoutPods(snap.Others, node)
	left.Nodes = slices.DeleteFunc(slices.Clone(snap.Nodes), func(n cluster.Node) bool { return n.Name == node })
	members = slices.DeleteFunc(slices.Clone(members), func(m membership.Member) bool { return m.Name == node })
	after := placement.Decide(left, members)
	d := Departure{Node: node, Addresses: []Departed{}}
	for _, p := range before {
		if p.Owner != node && !slices.Contains(owned, p.Addr) {
			continue
		}
		row := Departed{Address: p.Addr, Services: make([]string, len(p.Services))}
		for j, key := range p.Services {
			row.Services[j] = key.String()
		}
		if then := placement.Find(after, p.Addr); then != nil {
			row.Owner, row.Reason, row.Message = then.Owner, then.Reason.String(), then.Detail
		}
		if row.Reason == reason.NoEndpoints.String() && p.Reason != reason.NoEndpoints {
			row.Message = "all endpoints are on " + node + ", until Kubernetes starts the pods elsewhere"
		}
		d.Addresses = append(d.Addresses, row)
	}
	return d
}

// withoutPods returns the Services without the endpoints on the node.
func withoutPods(services []*cluster.Service, node string) []*cluster.Service {
	is := func(name string) bool { return name == node }
	left := make([]*cluster.Service, len(services))
	for i, s := range services {
		if left[i] = s; !slices.ContainsFunc(s.ServingNodes, is) {
			continue
		}
		other := *s
		other.ServingNodes = slices.DeleteFunc(slices.Clone(s.ServingNodes), is)
		other.ReadyNodes = slices.DeleteFunc(slices.Clone(s.ReadyNodes), is)
		other.HasServing = len(other.ServingNodes) > 0
		left[i] = &other
	}
	return left
}

// Lost reports whether no node would announce an address.
func (d *Departure) Lost() bool {
	return slices.ContainsFunc(d.Addresses, func(x Departed) bool {
		return x.Owner == "" && x.Reason != reason.NodeAddress.String()
	})
}

// WriteText writes the departure for people.
func (d Departure) WriteText(out io.Writer) error {
	for _, note := range d.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	if len(d.Addresses) == 0 {
		_, err := fmt.Fprintf(out, "The node %s answers for no address.\n", d.Node)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ADDRESS\tSERVICE\tWITHOUT "+d.Node+"\tREASON")
	for _, x := range d.Addresses {
		why := x.Reason
		if x.Message != "" {
			why += ": " + x.Message
		}
		owner := x.Owner
		if owner == "" {
			owner = "<none>"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", x.Address, strings.Join(x.Services, ", "), owner, why)
	}
	return table.Flush()
}
