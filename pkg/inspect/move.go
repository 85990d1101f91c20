package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// Move describes the result of a request to announce a Service from a certain node.
type Move struct {
	Service string `json:"service"`
	// Node is the requested node, empty for a request to remove the preference.
	Node string `json:"node,omitempty"`
	// Along are the Services that share an address with the Service, and move together with it.
	Along []string `json:"along,omitempty"`
	// Addresses lists the previous and the present node of each address.
	Addresses []MovedAddress `json:"addresses"`
	// Done is true when each address is at the right node.
	Done bool `json:"done"`
	// Message explains what remains to happen; empty when nothing remains.
	Message string `json:"message,omitempty"`
}

// MovedAddress describes one address in a Move.
type MovedAddress struct {
	Address netip.Addr `json:"address"`
	// From and To are the nodes that answered before and answer now, empty for none.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Elected is the node that is elected now.
	Elected string `json:"elected,omitempty"`
}

// Along returns the Services that share an address with the Service, sorted. These Services move together.
func Along(c *Cluster, key cluster.Key) (others []cluster.Key) {
	s := c.Service(key)
	held := holdersOf(c)
	for _, a := range s.Ingress {
		for _, k := range held[a] {
			if k != key && !slices.Contains(others, k) {
				others = append(others, k)
			}
		}
	}
	slices.SortFunc(others, cluster.Key.Compare)
	return others
}

// MayMove returns an error that explains why a Service cannot move to a node, nil if no obstacle is known before the
// move.
func MayMove(c *Cluster, key cluster.Key, node string) error {
	s := c.Service(key)
	if len(s.Ingress) == 0 {
		return fmt.Errorf("%s has no address that could move; kubectl lanlord why %s says why", key, key)
	}
	v := newView(c)
	if !slices.ContainsFunc(s.Ingress, v.onLayer2) {
		return fmt.Errorf("%s has no address to move: every eligible node announces its addresses by BGP", key)
	}
	n := c.node(node)
	switch {
	case len(c.Nodes) > 0 && n == nil:
		return fmt.Errorf("there is no node %q; kubectl get nodes lists them", node)
	case n != nil && n.Excluded && !c.excludedAnnounce(s.Ingress):
		return fmt.Errorf("the node %s may not announce addresses: it has the label node.kubernetes.io/exclude-from-external-load-balancers", node)
	case n != nil && c.Config.Config != nil && c.Config.Config.Layer2.MoveOnCordon && n.Unschedulable:
		return fmt.Errorf("the node %s may not announce addresses while it is cordoned, as the configuration says move-on-cordon", node)
	}
	at := slices.IndexFunc(c.Speakers, func(s Speaker) bool { return s.Node == node && (s.Ready || s.Says != nil && s.Says.Ready) })
	if at < 0 && !c.Hidden {
		return fmt.Errorf("the node %s has no speaker that is ready; kubectl lanlord doctor says why", node)
	}
	if n != nil && c.Config.Config != nil {
		for _, a := range s.Ingress {
			if p := c.Config.Config.PoolOf(a); p != nil && !announces(p, n) {
				return fmt.Errorf("the node %s may not announce %s: the node-selectors of the pool %q do not fit it", node, a, p.Name)
			}
		}
	}
	// If several Services share an address, the preference of the first Service counts.
	for _, k := range Along(c, key) {
		if o := c.Service(k); k.Compare(key) < 0 && o.PreferNode != "" && o.PreferNode != node {
			return fmt.Errorf("%s shares an address with %s, whose wish for the node %s goes first; move %s instead", key, k, o.PreferNode, k)
		}
	}
	return nil
}

func announces(p *config.Pool, n *Node) bool {
	if len(p.NodeSelectors) == 0 {
		return true
	}
	for _, s := range p.NodeSelectors {
		if s.Matches(labels.Set(n.Labels)) {
			return true
		}
	}
	return false
}

// Moved compares the Clusters before and after a change of the preferred node. node is empty when the change removed
// the preference.
func Moved(before, now *Cluster, key cluster.Key, node string) Move {
	m := Move{Service: key.String(), Node: node, Addresses: []MovedAddress{}, Done: true}
	for _, k := range Along(before, key) {
		m.Along = append(m.Along, k.String())
	}
	was, is := newView(before), newView(now)
	for _, a := range before.Service(key).Ingress {
		if !was.onLayer2(a) {
			continue // every eligible node announces the address
		}
		f := is.facts(a)
		row := MovedAddress{Address: a, From: first(was.facts(a).nodes()), To: first(f.nodes()), Elected: f.owner}
		m.Addresses = append(m.Addresses, row)
		switch {
		case node != "" && row.To != node, node == "" && row.To != row.Elected, row.To == "", len(f.answering) > 1:
			m.Done = false
		}
	}
	if !m.Done {
		m.Message = m.lacks(now)
	}
	return m
}

// Asked reports whether at least one speaker could be asked. Otherwise nobody knows whether an address moves.
func Asked(c *Cluster) bool { return len(c.speakers()) > 0 }

// Elects reports whether the speakers know the preference: the node is elected for all addresses.
func (m Move) Elects() bool {
	return !slices.ContainsFunc(m.Addresses, func(a MovedAddress) bool { return a.Elected != m.Node })
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// lacks explains what remains to happen.
func (m Move) lacks(now *Cluster) string {
	for _, a := range m.Addresses {
		switch {
		case m.Node != "" && a.Elected != "" && a.Elected != m.Node:
			return fmt.Sprintf("the election names %s for %s and not %s: that node may not answer for it, for example since "+
				"externalTrafficPolicy is Local and no endpoint is there", a.Elected, a.Address, m.Node)
		case m.Node != "" && a.Elected == m.Node && a.To != m.Node && now.watched(m.Node, a.Address).Reason == reason.NoRules.String():
			return fmt.Sprintf("%s stays at %s: %s", a.Address, or(a.To, "no node"), now.watched(m.Node, a.Address).Message)
		case a.Elected != "" && a.To != a.Elected && m.Node == "":
			return fmt.Sprintf("%s stays at %s, and %s", a.Address, or(a.To, "no node"), now.whenTaken(a.Address, a.Elected))
		case a.To == "":
			return fmt.Sprintf("nobody answers for %s", a.Address)
		}
	}
	return "the addresses have not moved yet"
}

// whenTaken explains when the elected node takes an address that another node has.
func (c *Cluster) whenTaken(addr netip.Addr, elected string) string {
	delay := FailbackOf(c)
	why, known := reason.ParseWatch(c.watched(elected, addr).Reason)
	switch {
	case known && (why == reason.Outdated || why == reason.Unconfigured || why == reason.NoRules):
		return fmt.Sprintf("goes to %s later: %s", elected, watchHint(why))
	case delay == config.FailbackNever:
		return "does not go to " + elected + " as long as that node may keep it (failback: never)"
	case delay == 0:
		return "goes to " + elected + " at once"
	}
	return fmt.Sprintf("goes to %s about %v after it has been elected (failback)", elected, delay)
}

// watched returns the report of a node's speaker about an address that the node does not own; the zero Watched without
// such a report.
func (c *Cluster) watched(node string, addr netip.Addr) status.Watched {
	text := addr.String()
	for _, s := range c.speakers() {
		for _, w := range s.Says.Watched {
			if s.Node == node && w.Address == text {
				return w
			}
		}
	}
	return status.Watched{}
}

// FailbackOf returns the delay before an elected node takes an address from another node that may keep the address.
func FailbackOf(c *Cluster) time.Duration {
	if c.Config.Config == nil {
		return time.Minute
	}
	return c.Config.Config.Layer2.Failback
}

// WriteText writes the move for people.
func (m Move) WriteText(out io.Writer) error {
	rows := [][]string{{"ADDRESS", "FROM", "TO"}}
	for _, a := range m.Addresses {
		rows = append(rows, []string{a.Address.String(), or(a.From, none), or(a.To, none)})
	}
	var b strings.Builder
	if err := writeTable(&b, rows); err != nil {
		return err
	}
	if len(m.Along) > 0 {
		fmt.Fprintf(&b, "Along with %s, which share an address with it.\n", listed(m.Along))
	}
	if m.Message != "" {
		fmt.Fprintf(&b, "%s.\n", capital(m.Message))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
