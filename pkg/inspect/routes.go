package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// RouteList lists the addresses that BGP announces, each with the routers that have received the announcement.
type RouteList struct {
	Addresses []RouteRow `json:"addresses"`
	NotKnown  []Gap      `json:"notKnown,omitempty"`

	// detailed adds the routers and the missing nodes of each address to the text.
	detailed bool
	// subject is the requested Service or address, empty for all.
	subject string
}

// RouteRow is an address that BGP announces.
type RouteRow struct {
	Address  netip.Addr `json:"address"`
	Pool     string     `json:"pool,omitempty"`
	Services []string   `json:"services"`
	// State is Announced when at least one node announces the address to a router. Otherwise State is the reason why no
	// node does, and Detail explains the reason.
	State   string   `json:"state"`
	Detail  string   `json:"detail,omitempty"`
	Routing *Routing `json:"routing"`
}

// Routes lists all addresses that BGP announces.
func Routes(c *Cluster) RouteList {
	return routesOf(c, func(netip.Addr) bool { return true })
}

// RoutesOfAddress returns the announcement of one address.
func RoutesOfAddress(c *Cluster, addr netip.Addr) RouteList {
	l := routesOf(c, func(a netip.Addr) bool { return a == addr })
	l.detailed, l.subject = true, addr.String()
	return l
}

// RoutesOfService returns the announcements of the addresses of a Service, which must exist.
func RoutesOfService(c *Cluster, key cluster.Key) RouteList {
	s := c.Service(key)
	l := routesOf(c, func(a netip.Addr) bool { return slices.Contains(s.Ingress, a) })
	l.detailed, l.subject = true, key.String()
	return l
}

func routesOf(c *Cluster, wanted func(netip.Addr) bool) RouteList {
	l := RouteList{Addresses: []RouteRow{}, NotKnown: c.gaps(OfServices, OfOthers, OfConfig, OfProcesses)}
	v := newView(c)
	addrs := map[netip.Addr]bool{}
	for a := range v.routes {
		addrs[a] = true
	}
	for a := range v.holders {
		addrs[a] = true
	}
	for a := range addrs {
		t := v.routing(a)
		if t == nil || !wanted(a) {
			continue
		}
		row := RouteRow{Address: a, Pool: c.poolOf(a), Services: []string{}, Routing: t}
		for _, key := range v.holders[a] {
			row.Services = append(row.Services, key.String())
			if s := c.Service(key); s != nil {
				row.Pool = or(row.Pool, s.Assignment.PoolOf(a))
			}
		}
		if row.State, row.Detail = v.routed(a); len(c.allowedAddress(a)) > 0 {
			row.State = stateNodeAddress
		}
		l.Addresses = append(l.Addresses, row)
	}
	slices.SortFunc(l.Addresses, func(x, y RouteRow) int { return x.Address.Compare(y.Address) })
	return l
}

// Well reports whether each address is announced by at least one node.
func (l RouteList) Well() bool {
	return !slices.ContainsFunc(l.Addresses, func(r RouteRow) bool { return !isWell(r.State) })
}

// Known reports whether speakers could be asked about each address.
func (l RouteList) Known() bool {
	return !slices.ContainsFunc(l.Addresses, func(r RouteRow) bool { return r.State == stateUnknown })
}

// WriteText writes a table with one line for each address, or the details of the requested addresses.
func (l RouteList) WriteText(out io.Writer) error { return l.write(out, false) }

// WriteWide writes the table with the reasons of the nodes that do not announce an address.
func (l RouteList) WriteWide(out io.Writer) error { return l.write(out, true) }

func (l RouteList) write(out io.Writer, wide bool) error {
	switch {
	case len(l.Addresses) == 0 && l.subject != "":
		if err := line(out, capital(l.subject)+" is in no pool with protocol bgp."); err != nil {
			return err
		}
	case len(l.Addresses) == 0:
		if err := line(out, "No Service has an address of a pool with protocol bgp."); err != nil {
			return err
		}
	case l.detailed:
		for i := range l.Addresses {
			if err := l.Addresses[i].write(out, i > 0); err != nil {
				return err
			}
		}
	default:
		if err := writeTable(out, l.rows(wide)); err != nil {
			return err
		}
	}
	return writeGaps(out, l.NotKnown)
}

// rows returns the lines of the table. The last column of the narrow table counts the nodes that do not announce the
// address, by reason.
func (l RouteList) rows(wide bool) [][]string {
	rows := [][]string{{"ADDRESS", "SERVICE", "PREFIX", "NODES", "ROUTERS", "STATE", "NOT ANNOUNCED"}}
	if wide {
		rows[0] = append(rows[0], "WHY")
	}
	for _, r := range l.Addresses {
		var routers, gaps, why []string
		for _, x := range r.Routing.Routers {
			routers = append(routers, fmt.Sprintf("%s (%d)", x.Peer, len(x.Nodes)))
		}
		for _, g := range r.Routing.Missing {
			gaps = append(gaps, fmt.Sprintf("%s%s (%d)", g.Reason, prefixed(" to ", g.Peer), len(g.Nodes)))
			why = append(why, fmt.Sprintf("%s: %s", listed(g.Nodes), or(g.Message, g.Reason)))
		}
		row := []string{
			r.Address.String(), or(listed(r.Services), none), or(listed(r.Routing.Prefixes), none),
			fmt.Sprintf("%d of %d", r.Routing.Nodes, r.Routing.OfNodes), or(listed(routers), none), r.State, or(listed(gaps),
				none),
		}
		if wide {
			row = append(row, or(sentence(strings.Join(why, "; ")), none))
		}
		rows = append(rows, row)
	}
	return rows
}

// prefixed returns the text after a prefix, empty for an empty text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func (r *RouteRow) write(out io.Writer, another bool) error {
	of := prefixed(" of ", listed(r.Services)) + prefixed(" from pool ", quoted(r.Pool))
	text := fmt.Sprintf("%s%s: %s.", r.Address, of, r.Routing.Summary())
	if r.Detail != "" {
		text += fmt.Sprintf(" %s: %s.", r.State, sentence(r.Detail))
	}
	if another {
		text = "\n" + text
	}
	if err := line(out, text); err != nil {
		return err
	}
	return r.Routing.write(out)
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("%q", sentence(text))
}

// write writes the routers with their nodes, and the gaps in the announcement.
func (t *Routing) write(out io.Writer) error {
	if len(t.Routers) > 0 {
		rows := [][]string{{"ROUTER", "PREFIX", "NODES"}}
		for _, r := range t.Routers {
			rows = append(rows, []string{r.Peer, listed(t.Prefixes), fmt.Sprintf("%d: %s", len(r.Nodes), listed(r.Nodes))})
		}
		if err := writeBlock(out, rows); err != nil {
			return err
		}
	}
	if len(t.Missing) > 0 {
		rows := [][]string{{"NOT FROM", "TO", "REASON", "MESSAGE"}}
		for _, g := range t.Missing {
			message := or(sentence(g.Message), none)
			if g.Exclusion != "" {
				message += " (" + g.Exclusion + ")"
			}
			rows = append(rows, []string{listed(g.Nodes), or(g.Peer, "all routers"), g.Reason, message})
		}
		if err := writeBlock(out, rows); err != nil {
			return err
		}
	}
	for _, g := range t.Missing {
		if g.Fix == "" || strings.HasPrefix(g.Fix, "nothing") {
			continue
		}
		if err := line(out, fmt.Sprintf("-> %s: %s", listed(g.Nodes), g.Fix)); err != nil {
			return err
		}
	}
	return nil
}

// writeBlock writes a table after an empty line.
func writeBlock(out io.Writer, rows [][]string) error {
	if err := line(out, ""); err != nil {
		return err
	}
	return writeTable(out, rows)
}
