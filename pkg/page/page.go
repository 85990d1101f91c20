package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

// atOnce limits the number of responses that are built at the same time; further requests wait. The pages must not take
// the CPU from the observed process.
const atOnce = 2

//go:embed assets
var assets embed.FS

// Controller returns a handler that serves the page of a controller, and the result of tell as JSON under /status.json.
// Several goroutines call tell, at most two at a time.
func Controller(tell func() status.Controller) http.Handler {
	return newHandler(func() any { return tell() }, func(r *http.Request) view {
		s := tell()
		return newControllerView(&s, newQuery(r))
	})
}

// Speaker does the same as Controller for a speaker.
func Speaker(tell func() status.Speaker) http.Handler {
	return newHandler(func() any { return tell() }, func(r *http.Request) view {
		s := tell()
		return newSpeakerView(&s, newQuery(r))
	})
}

// handler serves one kind of page.
type handler struct {
	style, script markup
	policy        string
	plain         func() any
	view          func(*http.Request) view
	slots         chan struct{}
}

func newHandler(plain func() any, view func(*http.Request) view) http.Handler {
	style, script := asset("style.css"), asset("live.js")
	h := &handler{
		style: markup(style), script: markup(script), plain: plain, view: view, slots: make(chan struct{}, atOnce),
		policy: strings.Join([]string{
			"default-src 'none'", "style-src '" + digest(style) + "'", "script-src '" + digest(script) + "'", "connect-src 'self'",
			"img-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
		}, "; "),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.page)
	mux.HandleFunc("GET /status.json", h.json)
	mux.HandleFunc("GET /icon.svg", func(w http.ResponseWriter, _ *http.Request) {
		h.answer(w, http.StatusOK, "image/svg+xml", []byte(asset("icon.svg")))
	})
	return mux
}

// asset returns an embedded file. A missing file means that the build is broken, so asset panics.
func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// digest returns the source expression that allows an inline style or script (CSP Level 3, section 2.3.1).
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// wait waits for a slot. ok is false when the client gives up first. With a slot, the caller must call done at the end.
func (h *handler) wait(r *http.Request) (done func(), ok bool) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, true
	case <-r.Context().Done():
		return nil, false
	}
}

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	if prefersJSON(r.Header.Get("Accept")) {
		h.json(w, r)
		return
	}
	done, ok := h.wait(r)
	if !ok {
		return
	}
	defer done()
	var text writer
	h.layout(&text, h.view(r))
	h.answer(w, http.StatusOK, "text/html; charset=utf-8", text.Bytes())
}

// prefersJSON reports whether a client accepts JSON and does not accept HTML. Browsers accept HTML.
func prefersJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func (h *handler) json(w http.ResponseWriter, r *http.Request) {
	done, ok := h.wait(r)
	if !ok {
		return
	}
	defer done()
	text, err := json.MarshalIndent(h.plain(), "", "  ")
	if err != nil {
		h.answer(w, http.StatusInternalServerError, "text/plain; charset=utf-8", fmt.Appendf(nil, "the status cannot be told: %v\n", err))
		return
	}
	h.answer(w, http.StatusOK, "application/json", append(text, '\n'))
}

// answer writes one response. answer ignores a write error, because a client that misses the response asks again.
func (h *handler) answer(w http.ResponseWriter, code int, kind string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Security-Policy", h.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// common holds the part that both pages share.
type common struct {
	status.Process
	query query
	// Title is the title of the page. Name is the subject: the speaker of a Node, or "controller".
	Title, Name string
	// Filter is the filter text of the request.
	Filter string
	// Now is the time of the status.
	Now moment
	// Facts are the cards at the top. Issues need attention.
	Facts  []fact
	Issues []issue
}

// The texts before the moment of a fact.
const (
	lasting markup = "for "
	loaded  markup = "loaded "
)

// fact is one card at the top of the page.
type fact struct {
	Name, Value string
	Mark        mark
	Detail      string
	// When is shown after Since. Since is lasting or loaded.
	When  moment
	Since markup
}

// issue describes a problem, or a remark.
type issue struct {
	Mark  mark
	Text  string
	Lines []string
	// Query links to the affected rows, empty without such rows.
	Query string
	Link  string
}

func newCommon(p status.Process, q query, name string) common {
	c := common{Process: p, query: q, Name: name, Filter: q.filter, Now: q.moment(p.Time, p.Time)}
	c.Title = name + " · Lanlord"
	return c
}

// configured adds the fact and the issues about the configuration, which are the same on both pages.
func (c *common) configured() {
	conf := &c.Configuration
	f := fact{Name: "Configuration", Value: "in use", Mark: good, Detail: conf.Hash, When: c.ago(conf.Loaded), Since: loaded}
	switch {
	case conf.Hash == "":
		f.Value, f.Mark = "none", bad
	case conf.Stale:
		f.Value, f.Mark = "stale", bad
	}
	c.Facts = append(c.Facts, f)
	if conf.Stale {
		origin := conf.Origin()
		text := "T" + origin[1:] + " is not valid; the last good configuration stays in use."
		if conf.Hash == "" {
			text = "There is no configuration: no address is given, and what was given stays."
		}
		c.Issues = append(c.Issues, issue{Mark: bad, Text: text, Lines: conf.Problems})
	}
	if len(conf.Warnings) > 0 {
		c.Issues = append(c.Issues, issue{Mark: note, Text: "The configuration is not used as it is written.", Lines: conf.Warnings})
	}
	if !c.Connected {
		c.Issues = append(c.Issues, issue{Mark: bad, Text: "The API server cannot be reached, so this may be out of date."})
	}
}

func (c *common) ago(t time.Time) moment { return c.query.moment(t, c.Time) }
