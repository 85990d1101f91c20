package page

import (
	"net/url"

	"github.com/lanlord/lanlord/pkg/status"
)

func (v *controllerView) writeServices(w *writer) {
	t := &v.Services
	w.listing(listing{
		id: "services", title: "Services", caption: "Services of type LoadBalancer, those with a problem first unless a column is chosen",
		columns: v.Columns, filters: v.Filters,
		empty: "There is no Service of type LoadBalancer that is Lanlord's.", unfit: "No Service fits the filter.",
	}, &t.Extent, len(t.Rows), func(i int) { w.service(&t.Rows[i]) })
}

// serviceLink returns the path of the page of a Service.
func serviceLink(namespace, name string) string {
	return "service?" + url.Values{"name": {namespace + "/" + name}}.Encode()
}

func (w *writer) service(s *serviceRow) {
	w.row(s.Mark.Class)
	w.head().raw(`<a href="`).text(serviceLink(s.Namespace, s.Name)).raw(`">`).name(s.Namespace, s.Name).raw(`</a>`)
	w.cell().raw(`<span class="state">`).mark(s.Mark).text(s.Word)
	if s.Conflict != "" {
		w.raw(", conflict")
	}
	w.raw("</span>")
	w.cell()
	for i := range s.Lines {
		a := &s.Lines[i]
		w.raw(`<span class="line">`).code(a.Address)
		if a.Pool != "" {
			w.raw(` <a class="dim" href="?`).text(url.Values{"pool": {a.Pool}}.Encode()).raw(`">`).text(a.Pool).raw(`</a>`)
		}
		w.raw(`</span> `)
	}
	if len(s.Lines) == 0 {
		w.dim("none")
	}
	w.cell()
	for i := range s.Lines {
		w.raw(`<span class="line">`).nodes(&s.Lines[i]).raw(`</span> `)
	}
	w.cell()
	if s.State == status.Assigned && len(s.Lines) > 0 && s.Lines[0].known {
		for i := range s.Lines {
			w.raw(`<span class="line">`).when(s.Lines[i].Since).raw(`</span> `)
		}
	} else {
		w.when(s.Since)
	}
	w.cell().why(s)
}

// nodes writes the nodes that announce an address.
func (w *writer) nodes(a *addressLine) *writer {
	for i, node := range a.Nodes {
		if i > 0 {
			w.raw(", ")
		}
		w.raw(`<a href="?`).text(url.Values{"node": {node}}.Encode()).raw(`">`).text(node).raw(`</a>`)
	}
	if a.Routed != "" {
		if len(a.Nodes) > 0 {
			w.raw(", ")
		}
		w.text(a.Routed)
	}
	switch {
	case !a.known:
		w.dim("not known")
	case len(a.Nodes) == 0 && a.Routed == "":
		w.dim("none")
	}
	return w
}

// why writes the reason of the state of a Service: the cause of each takeover in one word, or the problem.
func (w *writer) why(s *serviceRow) *writer {
	if s.State != status.Assigned {
		w.text(s.Message)
	}
	for i := range s.Lines {
		switch a := &s.Lines[i]; {
		case s.State != status.Assigned:
		case a.State != "":
			w.raw(`<span class="trouble">`)
			if len(s.Lines) > 1 {
				w.code(a.Address).raw(": ")
			}
			w.reason(a.State).raw(" ").text(a.Detail).raw(`</span> `)
		case a.Cause != "":
			w.raw(`<span class="line dim" title="`).text(a.CauseText).raw(`">`).text(a.Cause).raw(`</span> `)
		}
	}
	if s.Conflict != "" {
		w.raw(" ").reason("AddressConflict").raw(" ").text(s.Conflict)
	}
	if s.Runbook != "" {
		w.raw(" ").runbook(s.Runbook)
	}
	return w
}
