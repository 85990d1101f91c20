package page

import (
	"strconv"

	"github.com/lanlord/lanlord/pkg/status"
)

func (v *controllerView) top() *common { return &v.common }

func (v *controllerView) content(w *writer) {
	v.writePools(w)
	v.writeServices(w)
	v.writeLast(w)
	v.writeHeldBack(w)
}

func (v *controllerView) writePools(w *writer) {
	w.heading("pools", "Pools").raw("</h2>\n")
	if len(v.Pools) == 0 {
		w.none("No pool is configured.").raw("\n</section>\n")
		return
	}
	w.table("pools", "Pools in the order in which addresses are taken from them", []column{
		{Name: "Pool"}, {Name: "Addresses"}, {Name: "In use"},
		{Name: "Free", Class: "number"}, {Name: "Resting", Class: "number"}, {Name: "Quarantined", Class: "number"}, {Name: "Kept back", Class: "number"},
	})
	for i := range v.Pools {
		p := &v.Pools[i]
		w.row(p.Mark.Class)
		w.head().text(p.Name)
		for _, n := range p.Notes {
			w.tag(n)
		}
		w.cell().dim(p.Family).raw(" ").text(p.Ranges)
		w.cell().raw(`<span class="use">`).mark(p.Mark).text(groupDigits(p.Used)).raw(" of ").text(shortNumber(p.Size)).raw(" ")
		w.bar(p)
		w.raw(" ").dim(p.State).raw("</span>")
		exact := ""
		if len(p.Free) > 9 {
			exact = p.Free
		}
		w.titledCell(exact).text(shortNumber(p.Free))
		w.cell().text(groupDigits(p.Resting))
		w.cell().text(groupDigits(p.Quarantined))
		w.cell().text(groupDigits(p.Reserved + p.Withheld))
	}
	w.endTable().raw("\n</section>\n")
}

// bar draws the use of a pool: used addresses, addresses in cool-down, and addresses that no Service gets.
func (w *writer) bar(p *poolRow) {
	part := func(class markup, x, width int) {
		w.raw(`<rect`).class(class)
		if x >= 0 {
			w.raw(` x="`).text(strconv.Itoa(x)).raw(`"`)
		}
		w.raw(` width="`).text(strconv.Itoa(width)).raw(`" height="8"/>`)
	}
	w.raw(`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">`)
	part("all", -1, 100)
	part("used", -1, p.Used100)
	part("rest", p.Used100, p.Resting100)
	part("kept", p.Used100+p.Resting100, p.Kept100)
	w.raw(`</svg>`)
}

func (v *controllerView) writeHeldBack(w *writer) {
	t := &v.HeldBack
	w.listing(listing{
		id: "held", title: "Addresses that are not given", caption: "Addresses of pools that rest, are in quarantine, or belong to the network",
		columns: columnsOf("Address", "Pool", "Why", "Who has it", "Ends in"),
		empty:   noAddress, unfit: noAddressFits,
	}, &t.Extent, len(t.Rows), func(i int) { w.held(&t.Rows[i]) })
}

func (w *writer) held(h *heldRow) {
	w.row("")
	w.head().code(h.Address)
	w.cell().text(h.Pool)
	w.cell().reason(string(h.Why))
	if w.cell(); h.Why == status.Resting {
		w.dim("kept for").raw(" ")
	}
	w.text(h.By)
	w.cell().when(h.Ends)
}
