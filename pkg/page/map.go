package page

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// mostLabels is the number of cells up to which the map writes the address into each cell.
const mostLabels = 160

// mapView holds the content of the map: a row for each node, with a cell for each address that the node announces.
type mapView struct {
	common
	Rows []mapRow
	// Labels is true if the cells show their addresses. Known is false if nobody has asked the speakers. Shown and All
	// count the addresses that fit the filter, and all addresses.
	Labels, Known bool
	Shown, All    int
}

// mapRow describes one node.
type mapRow struct {
	// Node is empty for the row of the addresses that no node announces.
	Node, State, Problem string
	Mark                 mark
	Cells                []mapCell
}

// mapCell describes one address on one node.
type mapCell struct {
	addr          netip.Addr
	Service, Text string
	Class         markup
}

func newMapView(sight *Sight, q query) *mapView {
	v := &mapView{common: newClusterCommon(sight, q, mapPath), Known: sight.Cluster != nil}
	v.Title = "Map · Lanlord"
	if !v.Known {
		return v
	}
	byNode := map[string][]mapCell{}
	cells := 0
	seen := map[netip.Addr]bool{}
	for _, s := range inspect.Services(sight.Cluster, "").Services {
		for i := range s.Addresses {
			a := &s.Addresses[i]
			if seen[a.Address] {
				continue // shared with a Service before
			}
			seen[a.Address] = true
			v.All++
			name := s.Namespace + "/" + s.Name
			if !q.matches(append([]string{name, a.Address.String(), a.Pool, a.State}, a.Nodes...)...) {
				continue
			}
			v.Shown++
			cells += v.place(byNode, a, name)
		}
	}
	v.Labels = cells <= mostLabels
	v.addRows(sight.Cluster, byNode)
	return v
}

// place puts an address into the rows of its nodes, and returns the number of cells.
func (v *mapView) place(byNode map[string][]mapCell, a *inspect.AddressRow, service string) (cells int) {
	text := fmt.Sprintf("%s, %s: %s", a.Address, service, a.State)
	if len(a.SharedWith) > 0 {
		text += fmt.Sprintf(", shared with %d more", len(a.SharedWith))
	}
	class := markup("owner")
	if !a.Well() {
		class = "bad"
		if !a.Known() {
			class = "unknown"
		}
		text += ": " + a.Detail
	}
	put := func(node string, class markup, text string) {
		byNode[node] = append(byNode[node], mapCell{a.Address, service, text, class})
		cells++
	}
	placed := map[string]bool{}
	for _, node := range a.Nodes {
		placed[node] = true
		text := text
		if a.Since != nil {
			text += ", since " + v.ago(*a.Since).Text
		}
		put(node, class, text)
	}
	if a.Routing != nil {
		for _, r := range a.Routing.Routers {
			for _, node := range r.Nodes {
				if !placed[node] {
					placed[node] = true
					put(node, "routed", text+", by BGP")
				}
			}
		}
	}
	for node, state := range a.SpeakerStates {
		if !placed[node] && state != status.StateOwner {
			placed[node] = true
			put(node, "other", text+"; here "+string(state))
		}
	}
	if len(a.Nodes) == 0 && (a.Routing == nil || a.Routing.Nodes == 0) {
		put("", class, text)
	}
	return cells
}

func (v *mapView) addRows(c *inspect.Cluster, byNode map[string][]mapCell) {
	if cells := byNode[""]; len(cells) > 0 {
		row := mapRow{Mark: bad, State: "nobody announces", Cells: cells}
		if !slices.ContainsFunc(cells, func(c mapCell) bool { return c.Class == "bad" }) {
			row.Mark, row.State = wait, "not known"
		}
		v.Rows = append(v.Rows, row)
	}
	for _, s := range inspect.SpeakerRows(c) {
		row := mapRow{Node: s.Node, State: s.State, Problem: s.Problem, Mark: good, Cells: byNode[s.Node]}
		switch s.State {
		case "ready":
		case "joining", "leaving", "unasked", status.SpeakerStandby:
			row.Mark = wait
		default:
			row.Mark = bad
		}
		if i := len(v.Rows) - 1; i >= 0 && v.Rows[i].Node == s.Node {
			if s.State != status.SpeakerStandby {
				v.Rows[i] = row // the new process of a node waits beside the present one during an update
			}
			continue
		}
		v.Rows = append(v.Rows, row)
	}
	for i := range v.Rows {
		slices.SortFunc(v.Rows[i].Cells, func(x, y mapCell) int {
			return cmp.Or(x.addr.Compare(y.addr), cmp.Compare(x.Service, y.Service))
		})
	}
}

func (v *mapView) top() *common { return &v.common }

func (v *mapView) content(w *writer) {
	e := Extent{Found: v.Shown, All: v.All}
	w.counted("map", "Addresses by node", &e)
	if !v.Known {
		w.none("Nobody has asked the speakers.").raw("\n</section>\n")
		return
	}
	w.table("map", "Nodes, with the addresses that each announces", []column{
		{Name: "Node"}, {Name: "Speaker"}, {Name: "Number", Class: "number"}, {Name: "Addresses", Class: "wide"},
	})
	for i := range v.Rows {
		v.writeRow(w, &v.Rows[i])
	}
	w.endTable()
	w.raw(`<p class="legend"><span class="box owner"></span> answers (layer 2) <span class="box routed"></span> announces by BGP ` +
		`<span class="box other"></span> another state, such as Backup or Probing <span class="box bad"></span> trouble ` +
		`<span class="box unknown"></span> not known</p>` + "\n</section>\n")
}

func (v *mapView) writeRow(w *writer, r *mapRow) {
	w.row(r.Mark.Class)
	w.head()
	if r.Node == "" {
		w.text("no node")
	} else {
		w.raw(`<a href="./?`).text(url.Values{"node": {r.Node}}.Encode()).raw(`">`).text(r.Node).raw(`</a>`)
	}
	w.cell().raw(`<span class="state">`).mark(r.Mark).text(r.State).raw(`</span>`)
	if r.Problem != "" {
		w.raw(" ").dim(r.Problem)
	}
	w.cell().text(groupDigits(len(r.Cells)))
	w.cell().raw(`<span class="cells">`)
	for i := range r.Cells {
		c := &r.Cells[i]
		w.raw(`<a class="box `).raw(c.Class)
		if v.Labels {
			w.raw(` label`)
		}
		w.raw(`" href="service?`).text(url.Values{"name": {c.Service}}.Encode()).raw(`" title="`).text(c.Text).raw(`">`)
		if v.Labels {
			w.text(c.addr.String())
		} else {
			w.element(`<span class="hidden">`, c.addr.String(), `</span>`)
		}
		w.raw(`</a>`)
	}
	w.raw(`</span>`)
}
