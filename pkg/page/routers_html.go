package page

import (
	"fmt"
	"strconv"
)

func (v *speakerView) writeSessions(w *writer) {
	if len(v.Sessions) == 0 {
		return
	}
	w.heading("sessions", "BGP sessions").raw("</h2>\n")
	w.table("sessions", "The BGP sessions of this node", columnsOf("Peer", "Router", "State", "Since", "Announced", "BFD",
		"Why it is down"))
	for i := range v.Sessions {
		w.session(&v.Sessions[i])
	}
	w.endTable().raw("\n</section>\n")
}

func (w *writer) session(s *sessionRow) {
	w.row(s.Mark.Class)
	w.head().mark(s.Mark).text(s.Name)
	if w.cell().code(s.Router); s.RemoteASN != 0 {
		w.raw(" ").dim("AS " + strconv.FormatUint(uint64(s.RemoteASN), 10))
	}
	if w.cell().text(s.State); s.Resets > 0 {
		w.raw(" ").dim(counted(s.Resets, "reset", "resets"))
	}
	w.cell().when(s.Since)
	w.cell().text(fmt.Sprintf("%s of %s", groupDigits(s.Announced), groupDigits(s.Wanted)))
	if len(s.Refused) > 0 {
		w.raw("; the router does not accept ").list(s.Refused)
	}
	w.cell().text(s.BFD)
	if w.cell(); !s.Up {
		w.reason(s.Reason).raw(" ").text(s.Message)
	}
}

func (v *speakerView) writeRoutes(w *writer) {
	t := &v.Routes
	if t.All == 0 {
		return
	}
	w.listing(listing{
		id: "routes", title: "BGP routes", caption: "Addresses of pools with protocol bgp, those that a router has not " +
			"been told of first",
		columns: columnsOf("Address", "Services", "Prefixes", "Routers", "Rank", "Why"), empty: noAddress,
		unfit: noAddressFits,
	}, &t.Extent, len(t.Rows), func(i int) { w.route(&t.Rows[i]) })
}

func (w *writer) route(r *routeRow) {
	w.row(r.Mark.Class)
	w.head().mark(r.Mark).code(r.Address)
	w.cell().list(r.Services)
	w.cell()
	for _, prefix := range r.Prefixes {
		w.code(prefix).raw(" ")
	}
	if w.cell().list(r.Routers); len(r.Routers) == 0 {
		w.dim("none")
	}
	if w.cell(); r.Rank >= 0 {
		w.text(strconv.Itoa(r.Rank))
	}
	w.titledCell(routeText(r.Reason)).reason(r.Reason).raw(" ").text(r.Message)
	if r.Exclusion != "" {
		w.raw(" ").dim("(" + r.Exclusion + ")")
	}
}
