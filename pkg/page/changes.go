package page

import (
	"strings"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// changesView holds the content of the page with the changes of the cluster.
type changesView struct {
	common
	Known   bool
	Changes table[happeningRow]
}

// happeningRow is one entry of a timeline.
type happeningRow struct {
	inspect.Happening
	When moment
	Mark mark
}

func newChangesView(sight *Sight, q query) *changesView {
	v := &changesView{common: newClusterCommon(sight, q, changesPath), Known: sight.Cluster != nil}
	v.Title = "Changes · Lanlord"
	if !v.Known {
		return v
	}
	all := happenings(&v.common, inspect.Timeline(sight.Cluster))
	var rows []happeningRow
	for _, h := range all {
		if q.matches(append([]string{h.Subject, h.Node, h.Reason, h.Message, h.Kind}, h.Services...)...) {
			rows = append(rows, h)
		}
	}
	v.Changes = cut(q, "page", rows, len(all))
	return v
}

func happenings(c *common, list []inspect.Happening) []happeningRow {
	rows := make([]happeningRow, len(list))
	for i, h := range list {
		rows[i] = happeningRow{h, c.ago(h.At), idle}
		switch {
		case h.Trouble:
			rows[i].Mark = bad
		case h.Kind == inspect.HappenedToAddress || h.Kind == inspect.HappenedToService:
			rows[i].Mark = good
		}
	}
	return rows
}

func (v *changesView) top() *common { return &v.common }

func (v *changesView) content(w *writer) {
	t := &v.Changes
	w.counted("changes", "Changes", &t.Extent)
	switch {
	case !v.Known:
		w.none("Nobody has asked the speakers.")
	case len(t.Rows) > 0:
		w.timeline(t.Rows)
		w.pages("changes", &t.Extent)
	case t.All > 0:
		w.none("No change fits the filter.")
	default:
		w.none("No process remembers a change.")
	}
	w.raw(`<p class="calm">Each speaker remembers its last 100 changes since its start. Services, speakers and sessions show their last change only.</p>`)
	w.raw("\n</section>\n")
}

// timeline writes changes, the newest first.
func (w *writer) timeline(rows []happeningRow) {
	w.raw(`<ol class="timeline">` + "\n")
	for i := range rows {
		h := &rows[i]
		w.raw(`<li`).class(h.Mark.Class).raw(`><span class="ago">`).when(h.When).raw(`</span>`).mark(h.Mark).raw(`<span class="what">`)
		if h.Kind == inspect.HappenedToAddress {
			w.code(h.Subject).raw(" ")
		}
		for j, service := range h.Services {
			if j > 0 {
				w.raw(", ")
			}
			namespace, name, _ := strings.Cut(service, "/")
			w.raw(`<a href="`).text(serviceLink(namespace, name)).raw(`">`).name(namespace, name).raw(`</a>`)
		}
		if len(h.Services) > 0 {
			w.raw(" ")
		}
		w.reason(h.Reason).raw(` <span class="said">`).text(h.Message).raw(`</span></span></li>` + "\n")
	}
	w.raw("</ol>\n")
}

// writeLast writes the last changes on the overview.
func (v *controllerView) writeLast(w *writer) {
	if len(v.Last) == 0 {
		return
	}
	w.heading("last", "Last changes").raw(` <a class="more" href="changes">All changes</a></h2>` + "\n")
	w.timeline(v.Last)
	w.raw("</section>\n")
}
