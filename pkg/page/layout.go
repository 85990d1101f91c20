package page

// view is the content of one kind of page.
type view interface {
	// top returns the part that both kinds of page share.
	top() *common
	// content writes the sections below the facts and the issues.
	content(*writer)
}

// layout writes a page around its content.
func (h *handler) layout(w *writer, v view) {
	c := v.top()
	w.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n").
		raw(`<meta name="viewport" content="width=device-width, initial-scale=1">` + "\n").
		raw(`<meta name="color-scheme" content="light dark">` + "\n<title>")
	if len(c.Issues) > 0 {
		w.raw("▲ ")
	}
	w.text(c.Title).raw("</title>\n").
		raw(`<link rel="icon" href="icon.svg" type="image/svg+xml">` + "\n").
		raw(`<noscript><meta http-equiv="refresh" content="10"></noscript>` + "\n<style>").
		raw(h.style).raw("</style>\n</head>\n<body>\n").
		raw(`<a class="skip" href="#main">Skip to the content</a>` + "\n<header>\n").
		raw(`<h1><span class="brand">Lanlord</span> `).text(c.Name).raw("</h1>\n")
	w.nav(c)
	w.form(c)
	w.raw(`<p class="live"><span class="dot" aria-hidden="true"></span> <span id="live" role="status">refreshed every 10 s</span></p>`).
		raw("\n</header>\n" + `<main id="main" tabindex="-1">` + "\n")
	if len(c.Facts) > 0 {
		w.facts(c.Facts)
		w.issues(c.Issues, c.Calm)
	}
	v.content(w)
	w.footer(c)
	w.raw("</main>\n<script>").raw(h.script).raw("</script>\n</body>\n</html>\n")
}

// nav writes the links to the pages of the cluster.
func (w *writer) nav(c *common) {
	if c.Here == "" {
		return
	}
	w.raw(`<nav class="main" aria-label="Pages">`)
	for _, page := range [...]struct {
		path string
		link markup
	}{
		{overviewPath, `./`}, {mapPath, `map`}, {changesPath, `changes`},
	} {
		w.raw(`<a href="`).raw(page.link).raw(`"`)
		if c.Here == page.path {
			w.raw(` aria-current="page"`)
		}
		w.raw(`>`).text(page.path).raw(`</a>`)
	}
	w.raw("</nav>\n")
}

// form writes the filter. Without JavaScript the form sends the other parameters along.
func (w *writer) form(c *common) {
	w.raw(`<form id="filter" role="search"`)
	if c.Elsewhere != "" {
		w.raw(` action="`).text(c.Elsewhere).raw(`"`)
	}
	w.raw(`>` + "\n" + `<label for="q">Filter</label>` + "\n" + `<input id="q" name="q" type="search" value="`).text(c.Filter).
		raw(`" placeholder="name, address, pool, reason" autocomplete="off" spellcheck="false">` + "\n")
	for _, key := range kept {
		if value := c.query.values.Get(key); value != "" && c.Elsewhere == "" {
			w.raw(`<input type="hidden" name="`).text(key).raw(`" value="`).text(value).raw(`">` + "\n")
		}
	}
	w.raw("<button>Filter</button>\n</form>\n")
}

func (w *writer) facts(facts []fact) {
	w.raw(`<section aria-labelledby="glance">` + "\n" + `<h2 id="glance" class="hidden">At a glance</h2>` + "\n" + `<dl class="facts">` + "\n")
	for _, f := range facts {
		w.raw(`<div`).class(f.Mark.Class).raw(`><dt>`).text(f.Name).raw(`</dt><dd><b>`).mark(f.Mark).text(f.Value).raw(`</b>`)
		if f.Detail != "" {
			w.element(` <span>`, f.Detail, `</span>`)
		}
		if f.When.Text != "" {
			w.raw(" <span>").raw(f.Since).when(f.When)
			if f.Since == loaded {
				w.raw(" ago")
			}
			w.raw("</span>")
		}
		w.raw("</dd></div>\n")
	}
	w.raw("</dl>\n</section>\n")
}

func (w *writer) issues(issues []issue, calm string) {
	w.raw(`<section aria-labelledby="attention">` + "\n" + `<h2 id="attention" class="hidden">What needs attention</h2>` + "\n")
	if len(issues) == 0 {
		w.raw(`<p class="calm good">`).mark(good).text(calm).raw("</p>\n</section>\n")
		return
	}
	w.raw(`<ul class="issues">` + "\n")
	for _, i := range issues {
		w.raw(`<li`).class(i.Mark.Class).raw(`>`).mark(i.Mark).text(i.Text)
		if i.Query != "" {
			w.raw(` <a href="`).text(i.Query).raw(`">`).text(i.Link).raw(`</a>`)
		}
		if i.Runbook != "" {
			w.raw(" ").runbook(i.Runbook)
		}
		if len(i.Lines) > 0 {
			w.raw("<ul>")
			for _, line := range i.Lines {
				w.element("<li>", line, "</li>")
			}
			w.raw("</ul>")
		}
		w.raw("</li>\n")
	}
	w.raw("</ul>\n</section>\n")
}

func (w *writer) footer(c *common) {
	w.raw("<footer>\n<p>")
	if c.Pod != "" {
		w.element("Pod <b>", c.Pod, "</b>, ")
	}
	if !c.Started.IsZero() {
		w.raw("started ").when(c.ago(c.Started)).raw(" ago, ")
	}
	if c.Version != "" {
		w.raw("version ").text(c.Version).raw(". ")
	}
	w.raw(`State of <time datetime="`).text(c.Now.Exact).raw(`">`).
		text(c.Now.Exact).raw(`</time>. <a href="status.json">As JSON</a></p>` + "\n</footer>\n")
}
