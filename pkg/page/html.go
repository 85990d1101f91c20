package page

import (
	"bytes"
	"html"
	"strings"
)

// markup is HTML that the writer writes without escaping. An untyped constant converts to markup; a string variable
// does not compile as markup, and must be written with text.
type markup string

// writer writes the HTML of a page. writer replaces html/template, because html/template looks up methods by name. The
// linker then keeps every method of every type, and these methods make up a quarter of the program.
type writer struct {
	bytes.Buffer
	// columns are the columns of the present table, and at is the index of the next column. cellEnd ends the present
	// cell. rowBegun is true once the table has a row.
	columns  []column
	at       int
	cellEnd  markup
	rowBegun bool
}

// column describes a column of a table.
type column struct {
	Name  string
	Class markup
	// Link sorts the table by the column, empty for a column that cannot be sorted by. Sorted is the order of the table
	// by this column, empty if another column decides.
	Link   string
	Sorted markup
}

// columnsOf returns text columns with these names.
func columnsOf(names ...string) []column {
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i].Name = name
	}
	return columns
}

// raw writes markup without escaping.
func (w *writer) raw(m markup) *writer {
	w.WriteString(string(m))
	return w
}

// text writes escaped text, as content or as the value of a quoted attribute.
func (w *writer) text(s string) *writer {
	w.WriteString(html.EscapeString(s))
	return w
}

// element writes an element that contains only text.
func (w *writer) element(begin markup, text string, end markup) *writer {
	return w.raw(begin).text(text).raw(end)
}

// dim writes less important text.
func (w *writer) dim(s string) *writer { return w.element(`<span class="dim">`, s, `</span>`) }

// tag writes a special property after the first cell's text.
func (w *writer) tag(s string) *writer { return w.element(` <span class="tag">`, s, `</span>`) }

// code writes an address.
func (w *writer) code(s string) *writer { return w.element(`<code>`, s, `</code>`) }

// reason writes the word of a reason.
func (w *writer) reason(s string) *writer { return w.element(`<b class="reason">`, s, `</b>`) }

// runbook writes a link to the page that explains a problem.
func (w *writer) runbook(address string) *writer {
	return w.raw(`<a class="runbook" rel="noreferrer" href="`).text(address).raw(`">runbook</a>`)
}

// longestWord is the greatest length of a part of a name between hyphens that never breaks.
const longestWord = 28

// name writes the name of a Service, which breaks after the namespace and after hyphens. A name with a longer part may
// break anywhere, or the name would push the rest of the table out of the window.
func (w *writer) name(namespace, name string) *writer {
	w.dim(namespace + "/").raw("<wbr>")
	for part := range strings.SplitSeq(name, "-") {
		if len(part) > longestWord {
			return w.element(`<span class="long">`, name, `</span>`)
		}
	}
	return w.text(name)
}

// none writes the text for an empty section.
func (w *writer) none(s string) *writer { return w.element(`<p class="none">`, s, `</p>`) }

// mark writes a symbol, hidden from screen readers.
func (w *writer) mark(m mark) *writer {
	return w.raw(`<span class="mark" aria-hidden="true">`).raw(m.Symbol).raw(`</span>`)
}

// when writes the time that has passed since the moment, nothing for an unknown moment.
func (w *writer) when(m moment) *writer {
	if m.Text == "" {
		return w
	}
	return w.raw(`<time datetime="`).text(m.Exact).raw(`" title="`).text(m.Exact).raw(`">`).text(m.Text).raw(`</time>`)
}

// list writes texts, separated by commas.
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

// counted begins a section with the number of rows in the heading.
func (w *writer) counted(id, title markup, e *Extent) {
	w.heading(id, title).raw(` <span class="dim">`)
	if e.Found != e.All {
		w.text(groupDigits(e.Found)).raw(" of ")
	}
	w.text(groupDigits(e.All)).raw("</span></h2>\n")
}

// The texts for an empty table of addresses.
const (
	noAddress     = "None."
	noAddressFits = "None of them fits the filter."
)

// listing describes a section with a table that may be long and is shown in pages.
type listing struct {
	id, title, caption markup
	columns            []column
	// filters are the exact filters of the request.
	filters []filter
	// empty is the text when there are no rows, and unfit the text when no row fits the filter.
	empty, unfit string
}

// listing writes the section. rows is the number of shown rows, and row writes one row.
func (w *writer) listing(l listing, e *Extent, rows int, row func(i int)) {
	w.counted(l.id, l.title, e)
	w.filters(l.filters)
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

// filters writes the exact filters with links that remove them.
func (w *writer) filters(list []filter) {
	if len(list) == 0 {
		return
	}
	w.raw(`<p class="filters">`)
	for _, f := range list {
		w.raw(`<a class="tag" href="`).text(f.Remove).raw(`"><span class="hidden">Remove the filter </span>`).
			text(f.Name + " " + f.Value).raw(` <span aria-hidden="true">×</span></a> `)
	}
	w.raw("</p>\n")
}

// pages writes the links to the other pages of a table.
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

// table begins the table of a section; id is the id of the section. The table has explicit ARIA roles, because a narrow
// window shows tables as lists, and browsers then drop the table semantics.
func (w *writer) table(id, caption markup, columns []column) {
	w.columns, w.rowBegun = columns, false
	w.raw(`<div class="scroll"><table role="table" aria-labelledby="`).raw(id).raw(`">` + "\n" + `<caption class="hidden">`).raw(caption)
	w.raw(`</caption>` + "\n" + `<thead role="rowgroup"><tr role="row">`)
	for _, c := range columns {
		w.raw(`<th role="columnheader" scope="col"`).class(c.Class)
		if c.Sorted != "" {
			w.raw(` aria-sort="`).raw(c.Sorted).raw(`"`)
		}
		w.raw(`>`)
		if c.Link != "" {
			w.raw(`<a href="`).text(c.Link).raw(`">`).text(c.Name).raw(`</a>`)
		} else {
			w.text(c.Name)
		}
		w.raw(`</th>`)
	}
	w.raw(`</tr></thead>` + "\n" + `<tbody role="rowgroup">` + "\n")
}

func (w *writer) class(c markup) *writer {
	if c != "" {
		w.raw(` class="`).raw(c).raw(`"`)
	}
	return w
}

// row ends the previous row and begins a row.
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

// cell ends the previous cell of the row and begins the next cell.
func (w *writer) cell() *writer { return w.titledCell("") }

// titledCell does the same as cell, and sets the title attribute unless title is empty.
func (w *writer) titledCell(title string) *writer {
	c := w.next(`</td>`)
	w.raw(`<td role="cell" data-label="`).text(c.Name).raw(`"`).class(c.Class)
	if title != "" {
		w.raw(` title="`).text(title).raw(`"`)
	}
	return w.raw(`>`)
}

// head does the same as cell for the header cell of the row.
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
	return w.raw("</tbody>\n</table></div>")
}
