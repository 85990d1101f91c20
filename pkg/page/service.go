package page

import (
	"context"
	"strconv"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// serviceView holds the content of the page of one Service.
type serviceView struct {
	common
	// Service is "namespace/name". Known is false if nobody has asked the speakers.
	Service string
	Known   bool
	inspect.Explanation
	Mark    mark
	Lines   []addressLine
	Row     *serviceRow
	Changes []happeningRow
	// Unlisted explains why the Events of the Service are not shown; empty with Events.
	Unlisted string
}

func newServiceView(ctx context.Context, sight *Sight, q query) *serviceView {
	v := &serviceView{common: newClusterCommon(sight, q, servicePath), Service: q.values.Get("name"), Known: sight.Cluster != nil}
	v.Title, v.Elsewhere = v.Service+" · Lanlord", "./"
	if !v.Known {
		return v
	}
	namespace, name, _ := strings.Cut(v.Service, "/")
	key := cluster.Key{Namespace: namespace, Name: name}
	if sight.Cluster.Service(key) == nil {
		v.Missing = true
		return v
	}
	var events []inspect.Event
	v.Unlisted = "The controller may not list Events; kubectl lanlord why " + v.Service + " shows them."
	if sight.Events != nil {
		var err error
		if events, err = sight.Events(ctx, key); err != nil {
			v.Unlisted = "The Events could not be listed: " + err.Error()
		} else {
			v.Unlisted = ""
		}
	}
	v.Explanation = inspect.Why(sight.Cluster, key, events)
	v.Mark = good
	if !v.Well {
		v.Mark = bad
		if !v.Explanation.Known() {
			v.Mark = wait
		}
	}
	for _, row := range newServiceTable(sight, &common{Process: v.Process, query: query{}}).rows {
		if row.Namespace == namespace && row.Name == name {
			v.Row = &row
		}
	}
	v.Changes = happenings(&v.common, inspect.About(inspect.Timeline(sight.Cluster), key))
	return v
}

func (v *serviceView) top() *common { return &v.common }

func (v *serviceView) content(w *writer) {
	namespace, name, _ := strings.Cut(v.Service, "/")
	w.raw(`<section aria-labelledby="service">`+"\n"+`<h2 id="service" class="title">`).name(namespace, name).raw("</h2>\n")
	switch {
	case !v.Known:
		w.none("Nobody has asked the speakers.").raw("\n</section>\n")
		return
	case v.Missing:
		w.none("Lanlord manages no Service of this name. kubectl lanlord why explains Services of other kinds.").raw("\n</section>\n")
		return
	}
	w.raw(`<div class="verdict `).raw(v.Mark.Class).raw(`"><p><b class="state">`).mark(v.Mark).text(v.Reason).raw(`</b> `).text(v.Message)
	if address := inspect.Runbook(v.Reason); address != "" {
		w.raw(" ").runbook(address)
	}
	w.raw("</p>\n")
	if v.Mend != "" {
		w.element(`<p class="mend">→ `, v.Mend, "</p>\n")
	}
	w.raw("</div>\n</section>\n")
	v.writeAddresses(w)
	v.writeProbes(w)
	v.writeRoutes(w)
	v.writeAsks(w)
	v.writeChanges(w)
	v.writeEvents(w)
	for _, g := range v.NotKnown {
		w.element(`<p class="calm">`, capital(g.String())+".", "</p>\n")
	}
	w.raw(`<p class="calm">In a terminal: <code>kubectl lanlord why `).text(v.Service).raw("</code></p>\n")
}

func (v *serviceView) writeAddresses(w *writer) {
	w.heading("addresses", "Addresses").raw("</h2>\n")
	if len(v.Addresses) == 0 {
		w.none("The Service has no address.").raw("\n</section>\n")
		return
	}
	w.table("addresses", "Addresses of the Service", columnsOf("Address", "Pool", "Node", "Since", "State", "Why", "Shared with"))
	for i := range v.Addresses {
		a := &v.Addresses[i]
		mark := good
		if !a.Well() {
			mark = bad
		}
		w.row(mark.Class)
		w.head().code(a.Address.String())
		w.cell().text(a.Pool)
		w.cell().list(a.Nodes)
		if a.Routing != nil {
			w.raw(" ").dim(a.Routing.Summary())
		}
		w.cell()
		if a.Since != nil {
			w.when(v.ago(*a.Since))
		}
		w.cell().raw(`<span class="state">`).mark(mark).text(a.State).raw(`</span>`)
		for _, node := range sortedKeys(a.SpeakerStates) {
			if state := a.SpeakerStates[node]; state != status.StateOwner {
				w.tag(node + " " + string(state))
			}
		}
		w.cell()
		if a.Detail != "" {
			w.text(a.Detail)
		} else {
			w.text(a.CauseText())
		}
		w.cell()
		for j, other := range a.SharedWith {
			if j > 0 {
				w.raw(", ")
			}
			namespace, name, _ := strings.Cut(other, "/")
			w.raw(`<a href="`).text(serviceLink(namespace, name)).raw(`">`).name(namespace, name).raw(`</a>`)
		}
	}
	w.endTable().raw("\n</section>\n")
}

// writeProbes writes the last probe of the path to each address, from each node.
func (v *serviceView) writeProbes(w *writer) {
	for i := range v.Addresses {
		a := &v.Addresses[i]
		if len(a.LastProbes) == 0 {
			continue
		}
		w.raw(`<section aria-label="Last probes of `).text(a.Address.String()).raw(`"><h2>Last probes of `).code(a.Address.String()).raw("</h2>\n")
		w.table("service", "Last probe of the path to the address, from each node", columnsOf("From", "Through", "Port", "Result", "When"))
		for j := range a.LastProbes {
			p := &a.LastProbes[j]
			mark := good
			switch {
			case p.Failed():
				mark = bad
			case p.Result != status.ProbeOpen:
				mark = idle
			}
			w.row(mark.Class)
			w.head().text(p.From)
			w.cell().text(p.Node)
			w.cell().text(strconv.Itoa(int(p.Port)))
			w.cell().raw(`<span class="state">`).mark(mark).text(p.Text()).raw(`</span>`)
			w.cell().when(v.ago(p.At))
		}
		w.endTable().raw("\n</section>\n")
	}
}

// writeRoutes writes the announcement of each address by BGP.
func (v *serviceView) writeRoutes(w *writer) {
	for i := range v.Addresses {
		a := &v.Addresses[i]
		if a.Routing == nil {
			continue
		}
		w.raw(`<section aria-label="Routes of `).text(a.Address.String()).raw(`"><h2>Routes of `).code(a.Address.String()).raw("</h2>\n")
		w.table("service", "Routers that know the address, and nodes that do not announce the address", columnsOf("Router", "Nodes", "Why not"))
		for _, r := range a.Routing.Routers {
			w.row("good")
			w.head().mark(good).text(r.Peer)
			w.cell().list(r.Nodes)
			w.cell()
		}
		for _, m := range a.Routing.Missing {
			w.row("idle")
			w.head().mark(idle)
			if m.Peer == "" {
				w.dim("all routers")
			} else {
				w.text(m.Peer)
			}
			w.cell().list(m.Nodes)
			w.cell().reason(m.Reason).raw(" ").text(m.Message)
			if m.Fix != "" {
				w.raw(" ").dim("→ " + m.Fix)
			}
		}
		w.endTable().raw("\n</section>\n")
	}
}

// writeAsks writes what the Service asks for.
func (v *serviceView) writeAsks(w *writer) {
	list := v.Requests
	if v.Row != nil && len(v.Row.Wants.Families) > 0 {
		list = append([]string{"family: " + asks(&v.Row.Wants)[0]}, list...)
		if v.Row.Wants.TrafficPolicy == "Local" {
			list = append(list, "traffic policy Local: only nodes with an endpoint announce the addresses")
		}
	}
	if len(list) == 0 {
		return
	}
	w.heading("asks", "The Service asks for").raw("</h2>\n<ul class=\"asks\">\n")
	for _, text := range list {
		w.element("<li>", text, "</li>\n")
	}
	w.raw("</ul>\n</section>\n")
}

func (v *serviceView) writeChanges(w *writer) {
	w.heading("changes", "Changes").raw("</h2>\n")
	if len(v.Changes) == 0 {
		w.none("No process remembers a change.").raw("\n</section>\n")
		return
	}
	w.timeline(v.Changes)
	w.raw("</section>\n")
}

func (v *serviceView) writeEvents(w *writer) {
	w.heading("events", "Events").raw("</h2>\n")
	switch {
	case v.Unlisted != "":
		w.none(v.Unlisted)
	case len(v.Events) == 0:
		w.none("There are no Events about the Service.")
	default:
		w.table("events", "Events about the Service, the newest first", columnsOf("Last seen", "Type", "Reason", "Message"))
		for _, e := range v.Events {
			mark := idle
			if e.Type == "Warning" {
				mark = bad
			}
			w.row(mark.Class)
			w.head().when(v.ago(e.Last))
			w.cell().raw(`<span class="state">`).mark(mark).text(e.Type).raw(`</span>`)
			w.cell().reason(e.Reason)
			w.cell().text(e.Message)
		}
		w.endTable()
	}
	w.raw("\n</section>\n")
}
