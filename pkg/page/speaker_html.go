package page

import (
	"strconv"

	"github.com/lanlord/lanlord/pkg/status"
)

func (v *speakerView) top() *common { return &v.common }

func (v *speakerView) content(w *writer) {
	v.writeOwned(w)
	v.writeWatched(w)
	v.writeSessions(w)
	v.writeRoutes(w)
	v.writeConflicts(w)
	v.writeChanges(w)
	v.writeMembers(w)
	v.writeUnreached(w)
	v.writeInterfaces(w)
}

func (v *speakerView) writeOwned(w *writer) {
	t := &v.Owned
	w.listing(listing{
		id: "owned", title: "Addresses that this node answers for", caption: "Addresses that this node answers for",
		columns: columnsOf("Address", "State", "Services", "Since", "Why it was taken", "On", "Elected"),
		empty:   noAddress, unfit: noAddressFits,
	}, &t.Extent, len(t.Rows), func(i int) { w.owned(&t.Rows[i]) })
}

func (w *writer) owned(o *ownedRow) {
	w.row(o.Mark.Class)
	if w.head().mark(o.Mark).code(o.Address); o.Leaving {
		w.tag("until the next owner is heard")
	}
	w.state(o.State)
	w.cell().list(o.Services)
	if w.cell(); o.Since.Text != "" {
		w.when(o.Since)
	} else {
		w.dim("before this process")
	}
	w.cell().text(o.Why)
	if w.cell().list(o.Interfaces); len(o.Interfaces) == 0 {
		w.raw("no interface")
	}
	w.cell().text(o.Elected)
}

// state writes the cell with the state of an address. The explanation appears when the pointer rests on the cell.
func (w *writer) state(s status.AddressState) { w.titledCell(s.Text()).text(string(s)) }

func (v *speakerView) writeWatched(w *writer) {
	t := &v.Watched
	w.listing(listing{
		id: "watched", title: "Other addresses",
		caption: "Addresses that this node does not answer for, those that nobody may answer for first",
		columns: columnsOf("Address", "State", "Services", "Elected", "Heard last", "Why not this node"),
		empty:   noAddress, unfit: noAddressFits,
	}, &t.Extent, len(t.Rows), func(i int) { w.watched(&t.Rows[i]) })
}

func (w *writer) watched(a *watchedRow) {
	w.row(a.Mark.Class)
	w.head().mark(a.Mark).code(a.Address)
	w.state(a.State)
	w.cell().list(a.Services)
	if w.cell().text(a.Elected); a.Elected == "" {
		w.dim("nobody")
	}
	if w.cell(); a.Answers == nil {
		w.dim("nobody yet")
	} else {
		if w.text(a.Answers.Node); a.Answers.Node == "" {
			w.raw("no node")
		}
		w.element(` <code class="dim">`, a.Answers.MAC, `</code> `).when(a.Heard).raw(" ago")
	}
	w.titledCell(reasonText(a.Reason)).reason(a.Reason).raw(" ").text(a.Message)
	if len(a.Exclusions) > 0 {
		w.raw(" ").dim("(" + exclusionList(a.Exclusions) + ")")
	} else if a.Exclusion != "" {
		w.raw(" ").dim("(" + a.Exclusion + ")")
	}
}

func (v *speakerView) writeConflicts(w *writer) {
	if len(v.Conflicts) == 0 {
		return
	}
	w.heading("conflicts", "Conflicts").raw("</h2>\n")
	w.table("conflicts", "Hosts that are no nodes and answer for addresses of Services", columnsOf("Address", "Host", "Heard last", "What is done"))
	for i := range v.Conflicts {
		c := &v.Conflicts[i]
		w.row(bad.Class)
		w.head().mark(bad).code(c.Address)
		w.cell().code(c.MAC)
		w.cell().when(c.Heard).raw(" ago")
		if w.cell(); c.Quarantine {
			w.raw("in quarantine: the Service gets another address")
		} else {
			w.raw("defended: the Service keeps it")
		}
	}
	w.endTable().raw("\n</section>\n")
}

func (v *speakerView) writeChanges(w *writer) {
	w.heading("changes", "Last changes").raw("</h2>\n")
	if len(v.Changes.Rows) == 0 {
		w.none("None since this process began.").raw("\n</section>\n")
		return
	}
	w.table("changes", "The last changes of ownership on this node, the newest first", columnsOf("Ago", "Address", "Change", "Why", "Other node"))
	for i := range v.Changes.Rows {
		c := &v.Changes.Rows[i]
		w.row(c.Mark.Class)
		w.cell().when(c.When)
		w.head().code(c.Address)
		w.cell().mark(c.Mark).text(c.Change.Change)
		w.cell().text(c.Why)
		w.cell()
		switch {
		case c.Peer == "":
		case c.Change.Change == "gained":
			w.raw("from ").text(c.Peer)
		default:
			w.raw("to ").text(c.Peer)
		}
	}
	w.endTable().raw("\n</section>\n")
}

func (v *speakerView) writeMembers(w *writer) {
	w.heading("members", "Members").raw("</h2>\n")
	if len(v.Members) == 0 {
		w.none("Gossip has not begun.").raw("\n</section>\n")
		return
	}
	w.table("members", "The speakers that this one knows", columnsOf("Node", "State", "Links", "Heard last"))
	for i := range v.Members {
		w.member(&v.Members[i])
	}
	w.endTable().raw("\n</section>\n")
}

func (w *writer) member(m *memberRow) {
	w.row(m.Mark.Class)
	if w.head().text(m.Node); m.Self {
		w.tag("this node")
	}
	if w.cell().raw(`<span class="state">`).mark(m.Mark).text(m.State); m.Suspected {
		w.raw(", silent")
	}
	w.raw("</span>")
	w.cell()
	for _, l := range m.Links {
		w.raw(`<span class="addr">`).text(l.Name).raw(" ").code(l.MAC).raw(` <span class="dim">`).list(l.Subnets).raw("</span></span> ")
	}
	if len(m.Links) == 0 {
		w.dim("none")
	}
	w.cell()
	switch {
	case m.Heard.Text != "":
		w.when(m.Heard).raw(" ago")
	case m.Self:
		w.dim("itself")
	default:
		w.dim("by gossip")
	}
}

func (v *speakerView) writeUnreached(w *writer) {
	if len(v.Unreached) == 0 {
		return
	}
	w.heading("unreached", "Not reached by gossip").raw("</h2>\n")
	w.table("unreached", "Nodes that gossip has not reached for at least ten seconds",
		columnsOf("Node", "Address", "Port to open", "What is wrong"))
	for i := range v.Unreached {
		u := &v.Unreached[i]
		m := note
		if u.Blocked {
			m = bad
		}
		w.row(m.Class)
		w.head().mark(m).text(u.Node)
		w.cell().code(u.Address)
		if w.cell(); u.Port != 0 {
			w.raw("TCP and UDP ").text(strconv.Itoa(int(u.Port)))
		} else {
			w.dim("none")
		}
		w.cell().text(u.Message)
	}
	w.endTable().raw("\n</section>\n")
}

func (v *speakerView) writeInterfaces(w *writer) {
	w.heading("interfaces", "Interfaces").raw("</h2>\n")
	if len(v.Interfaces) > 0 {
		w.interfaces(v.Interfaces)
	} else {
		w.none("None is used.")
	}
	w.raw("\n")
	if n := len(v.Unused); n > 0 {
		w.raw(`<details id="unused"><summary>`).text(groupDigits(n)).raw(" not used</summary>")
		w.interfaces(v.Unused)
		w.raw("</details>")
	}
	w.raw("\n</section>\n")
}

func (w *writer) interfaces(rows []interfaceRow) {
	w.table("interfaces", "Network interfaces of this node", columnsOf("Interface", "State", "MAC", "Subnets"))
	for i := range rows {
		r := &rows[i]
		w.row(r.Mark.Class)
		w.head().text(r.Name)
		w.cell().raw(`<span class="state">`).mark(r.Mark).text(r.State).raw("</span>")
		w.cell().code(r.MAC)
		w.cell().list(r.Subnets)
	}
	w.endTable()
}
