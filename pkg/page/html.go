package page

import (
	"bytes"
	"html"
)

// markup is HTML that is written as it is. A constant may be markup without more; a string that came from elsewhere does not
// compile as such, and is for text.
type markup string

// writer writes the HTML of a page. It takes the place of html/template, which looks methods up by their names: in a program that
// does so the linker keeps every method of every type, and that is a quarter of it.
type writer struct {
	bytes.Buffer
	// columns are those of the table that is being written, at is the next one's index, and open is what ends the cell and the row
	// that were begun.
	columns  []column
	at       int
	cellEnd  markup
	rowBegun bool
}

// column is a column of a table.
type column struct {
	Name  string
	Class markup
}

// columnsOf returns columns of text.
func columnsOf(names ...string) []column {
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i].Name = name
	}
	return columns
}

// raw writes markup.
func (w *writer) raw(m markup) *writer {
	w.WriteString(string(m))
	return w
}

// text writes what is shown as text, or is the value of a quoted attribute.
func (w *writer) text(s string) *writer {
	w.WriteString(html.EscapeString(s))
	return w
}

// element writes an element that holds text only.
func (w *writer) element(begin markup, text string, end markup) *writer {
	return w.raw(begin).text(text).raw(end)
}

// dim writes what matters less.
func (w *writer) dim(s string) *writer { return w.element(`<span class="dim">`, s, `</span>`) }

// tag writes what is special about the first cell of a row.
func (w *writer) tag(s string) *writer { return w.element(` <span class="tag">`, s, `</span>`) }

// code writes an address.
func (w *writer) code(s string) *writer { return w.element(`<code>`, s, `</code>`) }

// reason writes a reason, which is one word.
func (w *writer) reason(s string) *writer { return w.element(`<b class="reason">`, s, `</b>`) }

// none says that there is nothing to show.
func (w *writer) none(s string) *writer { return w.element(`<p class="none">`, s, `</p>`) }

// mark writes a symbol, which those who listen to the page need not hear.
func (w *writer) mark(m mark) *writer {
	return w.raw(`<span class="mark" aria-hidden="true">`).raw(m.Symbol).raw(`</span>`)
}

// when writes how long something is ago, nothing if that is not known.
func (w *writer) when(m moment) *writer {
	if m.Text == "" {
		return w
	}
	return w.raw(`<time datetime="`).text(m.Exact).raw(`" title="`).text(m.Exact).raw(`">`).text(m.Text).raw(`</time>`)
}

// list writes texts with commas between them.
func (w *writer) list(texts []string) *writer {
	for i, s := range texts {
		if i > 0 {
			w.raw(", ")
		}
		w.text(s)
	}
	return w
}

// heading begins a section.
func (w *writer) heading(id, title markup) *writer {
	return w.raw(`<section aria-labelledby="`).raw(id).raw(`">` + "\n" + `<h2 id="`).raw(id).raw(`">`).raw(title)
}

// counted begins a section and says how many rows its table has.
func (w *writer) counted(id, title markup, e *Extent) {
	w.heading(id, title).raw(` <span class="dim">`)
	if e.Found != e.All {
		w.text(groupDigits(e.Found)).raw(" of ")
	}
	w.text(groupDigits(e.All)).raw("</span></h2>\n")
}

// What is said where a table of addresses is empty.
const (
	noAddress     = "None."
	noAddressFits = "None of them fits the filter."
)

// listing is a section with a table that may be long, and shown in part.
type listing struct {
	id, title, caption markup
	columns            []column
	// empty is said where there is nothing, and unfit where nothing fits the filter.
	empty, unfit string
}

// listing writes the section with so many rows.
func (w *writer) listing(l listing, e *Extent, rows int, row func(i int)) {
	w.counted(l.id, l.title, e)
	switch {
	case rows > 0:
		w.table(l.id, l.caption, l.columns)
		for i := range rows {
			row(i)
		}
		w.endTable().raw("\n")
		w.pages(l.id, e)
	case e.All > 0:
		w.none(l.unfit)
	default:
		w.none(l.empty)
	}
	w.raw("\n</section>\n")
}

// pages writes what leads to the other rows of a table.
func (w *writer) pages(what markup, e *Extent) {
	if e.Previous == "" && e.Next == "" {
		return
	}
	w.raw(`<nav class="pages" aria-label="Pages of `).raw(what).raw(`">`)
	if e.Previous != "" {
		w.raw(`<a id="`).raw(what).raw(`-previous" href="`).text(e.Previous).raw(`">← Previous</a>`)
	}
	w.raw(` <span>`).text(groupDigits(e.From)).raw(`–`).text(groupDigits(e.To)).raw(` of `).text(groupDigits(e.Found)).raw(`</span> `)
	if e.Next != "" {
		w.raw(`<a id="`).raw(what).raw(`-next" href="`).text(e.Next).raw(`">Next →</a>`)
	}
	w.raw(`</nav>`)
}

// table begins a table of the section of that id. The roles are said because a narrow window shows tables as lists, and browsers
// then forget that they are tables.
func (w *writer) table(id, caption markup, columns []column) {
	w.columns, w.rowBegun = columns, false
	w.raw(`<table role="table" aria-labelledby="`).raw(id).raw(`">` + "\n" + `<caption class="hidden">`).raw(caption)
	w.raw(`</caption>` + "\n" + `<thead role="rowgroup"><tr role="row">`)
	for _, c := range columns {
		w.raw(`<th role="columnheader" scope="col"`).class(c.Class).raw(`>`).text(c.Name).raw(`</th>`)
	}
	w.raw(`</tr></thead>` + "\n" + `<tbody role="rowgroup">` + "\n")
}

func (w *writer) class(c markup) *writer {
	if c != "" {
		w.raw(` class="`).raw(c).raw(`"`)
	}
	return w
}

// row begins a row, and ends the one before.
func (w *writer) row(class markup) {
	w.endRow()
	w.at, w.cellEnd, w.rowBegun = 0, "", true
	w.raw(`<tr role="row"`).class(class).raw(`>`)
}

func (w *writer) endRow() {
	if w.rowBegun {
		w.raw(w.cellEnd).raw("</tr>\n")
	}
}

// cell begins the next cell of a row, and ends the one before.
func (w *writer) cell() *writer { return w.titledCell("") }

// titledCell is cell with a title, which may be empty.
func (w *writer) titledCell(title string) *writer {
	c := w.next(`</td>`)
	w.raw(`<td role="cell" data-label="`).text(c.Name).raw(`"`).class(c.Class)
	if title != "" {
		w.raw(` title="`).text(title).raw(`"`)
	}
	return w.raw(`>`)
}

// head is cell, for the cell that names the row.
func (w *writer) head() *writer {
	w.next(`</th>`)
	return w.raw(`<th role="rowheader" scope="row">`)
}

func (w *writer) next(end markup) column {
	if w.raw(w.cellEnd); w.at > 0 {
		w.raw("\n")
	}
	w.cellEnd = end
	w.at++
	return w.columns[w.at-1]
}

// endTable ends a table.
func (w *writer) endTable() *writer {
	w.endRow()
	return w.raw("</tbody>\n</table>")
}
