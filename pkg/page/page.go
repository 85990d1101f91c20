package page

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// atOnce limits the number of responses that are built at the same time; further requests wait. The pages must not take
// the CPU from the observed process.
const atOnce = 2

//go:embed assets
var assets embed.FS

// Sight holds the data for the pages of the whole cluster.
type Sight struct {
	// Controller is the status of the leader, the zero value if the leader could not be asked.
	Controller status.Controller
	// Cluster has the answers of the speakers, nil if nobody has asked the speakers. The pages change nothing in it.
	Cluster *inspect.Cluster
	// Events returns the Events about a Service; nil if the process may not list Events.
	Events func(context.Context, cluster.Key) ([]inspect.Event, error)
}

// Controller returns a handler that serves the pages of the whole cluster from the status of a controller, and the
// result of tell as JSON under /status.json. look returns the answers of the speakers; look may be nil, and may return
// nil. Several goroutines call tell, at most two at a time, and look.
func Controller(tell func() status.Controller, look func(context.Context) *inspect.Cluster) http.Handler {
	see := func(ctx context.Context) Sight {
		var s Sight
		if look != nil {
			s.Cluster = look(ctx)
		}
		s.Controller = tell()
		return s
	}
	return clusterPages(func(context.Context) any { return tell() }, see)
}

// Cluster returns a handler that serves the pages of the whole cluster, and the status of the leader as JSON under
// /status.json. Several goroutines call see.
func Cluster(see func(context.Context) Sight) http.Handler {
	return clusterPages(func(ctx context.Context) any { return see(ctx).Controller }, see)
}

func clusterPages(plain func(context.Context) any, see func(context.Context) Sight) http.Handler {
	h, mux := newHandler(plain)
	// A look may ask this process for its own status, which needs a slot. So each page looks before it waits for a slot.
	page := func(make func(*Sight, *http.Request) view) prepare {
		return func(r *http.Request) func() view {
			s := see(r.Context())
			return func() view { return make(&s, r) }
		}
	}
	mux.HandleFunc("GET /{$}", h.page(page(func(s *Sight, r *http.Request) view { return newControllerView(s, newQuery(r)) })))
	mux.HandleFunc("GET /map", h.page(page(func(s *Sight, r *http.Request) view { return newMapView(s, newQuery(r)) })))
	mux.HandleFunc("GET /changes", h.page(page(func(s *Sight, r *http.Request) view { return newChangesView(s, newQuery(r)) })))
	mux.HandleFunc("GET /service", h.page(page(func(s *Sight, r *http.Request) view {
		return newServiceView(r.Context(), s, newQuery(r))
	})))
	return mux
}

// Speaker returns a handler that serves the page of a speaker, and the result of tell as JSON under /status.json.
// Several goroutines call tell, at most two at a time.
func Speaker(tell func() status.Speaker) http.Handler {
	h, mux := newHandler(func(context.Context) any { return tell() })
	mux.HandleFunc("GET /{$}", h.page(func(r *http.Request) func() view {
		return func() view {
			s := tell()
			return newSpeakerView(&s, newQuery(r))
		}
	}))
	return mux
}

// prepare begins the answer to a request. The returned function makes the content of the page.
type prepare func(*http.Request) func() view

// handler serves one kind of page.
type handler struct {
	style, script markup
	policy        string
	plain         func(context.Context) any
	slots         chan struct{}
}

// newHandler returns a handler, and a mux that serves the files of the page and the status as JSON.
func newHandler(plain func(context.Context) any) (*handler, *http.ServeMux) {
	style, script := asset("style.css"), asset("live.js")
	h := &handler{
		style: markup(style), script: markup(script), plain: plain, slots: make(chan struct{}, atOnce),
		policy: strings.Join([]string{
			"default-src 'none'", "style-src '" + digest(style) + "'", "script-src '" + digest(script) + "'", "connect-src 'self'",
			"img-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
		}, "; "),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status.json", h.json)
	mux.HandleFunc("GET /icon.svg", func(w http.ResponseWriter, _ *http.Request) {
		h.answer(w, http.StatusOK, "image/svg+xml", []byte(asset("icon.svg")))
	})
	return h, mux
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

// page returns a handler for one page.
func (h *handler) page(begin prepare) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if prefersJSON(r.Header.Get("Accept")) {
			h.json(w, r)
			return
		}
		make := begin(r)
		done, ok := h.wait(r)
		if !ok {
			return
		}
		defer done()
		var text writer
		v := make()
		h.layout(&text, v)
		h.answer(w, v.top().code(), "text/html; charset=utf-8", text.Bytes())
	}
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
	text, err := json.MarshalIndent(h.plain(r.Context()), "", "  ")
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
	// Here is the path of the page among the pages of the cluster; empty for the page of a speaker. Missing is true for
	// a page about an object that does not exist.
	Here    string
	Missing bool
	// Elsewhere is the path that the filter leads to; empty for this page.
	Elsewhere string
	// Calm is the text when there are no issues.
	Calm string
}

// code returns the HTTP status of the page.
func (c *common) code() int {
	if c.Missing {
		return http.StatusNotFound
	}
	return http.StatusOK
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
	// Runbook is the address of the page that explains the problem, empty without one.
	Runbook string
}

func newCommon(p status.Process, q query, name string) common {
	c := common{Process: p, query: q, Name: name, Filter: q.filter, Now: q.moment(p.Time, p.Time), Calm: "Nothing needs attention."}
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
