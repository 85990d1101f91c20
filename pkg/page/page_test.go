package page

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

var update = flag.Bool("update", false, "write the pages into the files of testdata instead of comparing them")

// handlerOf returns the handler for the status in a testdata file. The name of the file selects the kind of the
// handler.
func handlerOf(t *testing.T, file string, text []byte) http.Handler {
	t.Helper()
	decode := func(to any) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(filepath.Base(file), "controller") {
		var s status.Controller
		decode(&s)
		return Controller(func() status.Controller { return s }, nil)
	}
	var s status.Speaker
	decode(&s)
	return Speaker(func() status.Speaker { return s })
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s answers %d: %s", target, w.Code, w.Body)
	}
	return w
}

// shown matches the part of a page that depends on the status.
var shown = regexp.MustCompile(`(?s)<main.*</main>\n`)

// TestPages compares the pages with the files in testdata. The section status.json of a file holds the status and the
// expected JSON. Each further section is named after the target of a request and holds the main part of the page.
func TestPages(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d states, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h := handlerOf(t, file, archive.Files[0].Data)
			for i := range archive.Files {
				section := &archive.Files[i]
				var got []byte
				if section.Name == "status.json" {
					got = get(t, h, "/status.json").Body.Bytes()
				} else {
					got = shown.Find(get(t, h, section.Name).Body.Bytes())
				}
				if *update {
					section.Data = got
				} else if !bytes.Equal(got, section.Data) {
					t.Errorf("%s is another one than in %s (-update writes it):\n%s", section.Name, file, got)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// spoil sets every string in v to text, and gives every list two elements.
func spoil(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(7)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]int{text: 7}))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		spoil(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			spoil(v.Index(i), text)
		}
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Date(2026, 11, 25, 1, 30, 0, 0, time.UTC)
			return
		}
		for i := range v.NumField() {
			spoil(v.Field(i), text)
		}
	}
}

// TestEscaping puts markup into every text of a status and into the filter. The page must show the markup as text.
func TestEscaping(t *testing.T) {
	const evil, harmless = `"><b x='&`, "&#34;&gt;&lt;b x=&#39;&amp;"
	var c status.Controller
	var s status.Speaker
	spoil(reflect.ValueOf(&c).Elem(), evil)
	spoil(reflect.ValueOf(&s).Elem(), evil)
	for name, h := range map[string]http.Handler{
		"controller": Controller(func() status.Controller { return c }, nil), "speaker": Speaker(func() status.Speaker { return s }),
	} {
		for _, target := range []string{"/", "/?q=" + url.QueryEscape(evil)} {
			text := get(t, h, target).Body.String()
			if n := strings.Count(text, harmless); strings.Contains(text, "<b x") || strings.Contains(text, `">"`) || n < 30 {
				t.Errorf("%s of the %s shows %d texts harmless:\n%s", target, name, n, text)
			}
		}
	}
}

// TestStatesAndReasonsAreExplained renders each state and each reason of an address. The page must contain the word and
// the explanation.
func TestStatesAndReasonsAreExplained(t *testing.T) {
	var s status.Speaker
	var want []string
	for i := range ownership.StateCount {
		state := ownership.State(i)
		word := status.AddressState(state.String())
		want = append(want, fmt.Sprintf("title=\"%s\">%s</td>", html.EscapeString(word.Text()), word))
		if state.Holds() {
			s.Owned = append(s.Owned, status.Owned{State: word})
		} else {
			s.Watched = append(s.Watched, status.Watched{State: word})
		}
	}
	add := func(word, text string) {
		s.Watched = append(s.Watched, status.Watched{Reason: word})
		want = append(want, fmt.Sprintf("title=\"%s\"><b class=\"reason\">%s</b>", html.EscapeString(text), word))
	}
	for _, a := range reason.Announcements() {
		if a != reason.Announced { // the reason of a Watch is shown instead
			add(a.String(), a.Text())
		}
	}
	for _, w := range reason.Watches() {
		add(w.String(), w.Text())
	}
	for _, e := range reason.Exclusions() {
		if e != reason.Eligible {
			s.Watched = append(s.Watched, status.Watched{Reason: reason.NotEligible.String(), Exclusion: e.String()})
			want = append(want, "("+e.String()+")")
		}
	}
	for _, r := range reason.Routes() {
		s.Routes = append(s.Routes, status.Route{Reason: r.String()})
		want = append(want, fmt.Sprintf("title=\"%s\"><b class=\"reason\">%s</b>", html.EscapeString(r.Text()), r))
	}
	text := get(t, Speaker(func() status.Speaker { return s }), "/").Body.String()
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	// A row for an elected node that does not answer yet is not idle.
	for _, w := range reason.Watches() {
		if idle := w == reason.NotElected || w == reason.NotEligible; waits(w.String()) == idle {
			t.Errorf("an address with the reason %s is marked as if nothing were going on: %t", w, !waits(w.String()))
		}
	}
}

// TestPolicy checks that the policy allows only the style and the script of the page, by their digests.
func TestPolicy(t *testing.T) {
	h := Controller(func() status.Controller { return status.Controller{} }, nil)
	w := get(t, h, "/")
	policy, text := w.Header().Get("Content-Security-Policy"), w.Body.String()
	for name, element := range map[string]string{"style": "<style>", "script": "<script>"} {
		_, rest, _ := strings.Cut(text, element)
		inline, _, found := strings.Cut(rest, "</"+element[1:])
		if !found || !strings.Contains(policy, name+"-src '"+digest(inline)+"'") {
			t.Errorf("the policy does not allow the %s of the page:\n%s", name, policy)
		}
		if strings.Count(text, element) != 1 {
			t.Errorf("%d of %s", strings.Count(text, element), element)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(text, ` style="`) || regexp.MustCompile(`(?i)\son[a-z]+=`).MatchString(text) ||
		regexp.MustCompile(`(?i)(<link[^>]*href|src)="?(https?:)?//`).MatchString(text) {
		t.Error("the page wants what the policy forbids")
	}
}

// TestRequests checks the responses to GET and HEAD, and the refusal of other methods and paths.
func TestRequests(t *testing.T) {
	h := Speaker(func() status.Speaker { return status.Speaker{} })
	for _, test := range []struct {
		method, target, accept string
		code                   int
		kind                   string
	}{
		{"GET", "/", "text/html,application/xhtml+xml,*/*;q=0.8", 200, "text/html; charset=utf-8"},
		{"GET", "/", "", 200, "text/html; charset=utf-8"},
		{"GET", "/", "application/json", 200, "application/json"},
		{"GET", "/", "text/html, application/json", 200, "text/html; charset=utf-8"},
		{"GET", "/status.json", "text/html", 200, "application/json"},
		{"HEAD", "/status.json", "", 200, "application/json"},
		{"GET", "/icon.svg", "", 200, "image/svg+xml"},
		{"POST", "/", "", 405, ""},
		{"DELETE", "/status.json", "", 405, ""},
		{"GET", "/status", "", 404, ""},
		{"GET", "/index.html", "", 404, ""},
	} {
		r := httptest.NewRequest(test.method, test.target, nil)
		r.Header.Set("Accept", test.accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if kind := w.Header().Get("Content-Type"); w.Code != test.code || test.kind != "" && kind != test.kind {
			t.Errorf("%s %s with %q is %d %s, want %d %s", test.method, test.target, test.accept, w.Code, kind, test.code, test.kind)
		}
	}
}

// many returns the status of a controller with n Services. Every tenth Service waits.
func many(n int) status.Controller {
	s := status.Controller{Role: status.Leader, Pools: []status.Pool{}, HeldBack: []status.HeldBack{}}
	s.Time = time.Date(2026, 11, 25, 1, 30, 0, 0, time.UTC)
	for i := range n {
		svc := status.Service{
			Namespace: fmt.Sprintf("team-%02d", i%40), Name: fmt.Sprintf("service-%04d", i), State: status.Assigned, Reason: "Assigned",
			Wants: status.Wants{Families: []string{"IPv4"}, Policy: "SingleStack", TrafficPolicy: "Cluster"}, Since: s.Time.Add(-time.Hour),
			Addresses: []status.Assignment{{Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Pool: "lan"}},
		}
		if i%10 == 9 {
			svc.State, svc.Reason, svc.Addresses = status.Waiting, "NoFreeAddress", []status.Assignment{}
			svc.Message = `no IPv4 address is free: pool "lan" has 0 of 1800`
		}
		s.Services = append(s.Services, svc)
	}
	return s
}

// TestPaging follows the links from page to page. The pages must show every row once, the waiting Services first.
func TestPaging(t *testing.T) {
	s := many(2000)
	h := Controller(func() status.Controller { return s }, nil)
	row, next := regexp.MustCompile(`<wbr>(service-\d+)</a></th>`), regexp.MustCompile(`services-next" href="([^"]+)"`)
	seen, waiting := map[string]int{}, 0
	pages := 0
	for target := "/?q=service"; ; pages++ {
		text := get(t, h, target).Body.String()
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			if seen[m[1]]++; len(seen) <= 200 && strings.HasSuffix(m[1], "9") {
				waiting++
			}
		}
		m := next.FindStringSubmatch(text)
		if m == nil {
			break
		}
		target = "/" + strings.ReplaceAll(m[1], "&amp;", "&")
	}
	if pages != 19 || len(seen) != 2000 || waiting != 200 {
		t.Errorf("%d pages more, %d Services, %d of the first 200 wait", pages, len(seen), waiting)
	}
	for _, target := range []string{"/?page=0", "/?page=-3", "/?page=x", "/?page=9999", "/?page=99999999999999999999", "/?q=%00%ff"} {
		if text := get(t, h, target).Body.String(); !strings.Contains(text, "</html>") {
			t.Errorf("%s is not whole", target)
		}
	}
	if text := get(t, h, "/?page=9999").Body.String(); !strings.Contains(text, "1,901–2,000 of 2,000") {
		t.Error("a page beyond the last is not the last")
	}
}

// BenchmarkPage measures a page with 2,000 Services.
func BenchmarkPage(b *testing.B) {
	s := many(2000)
	h := Controller(func() status.Controller { return s }, nil)
	for _, target := range []string{"/", "/?q=waiting", "/status.json"} {
		b.Run(target, func(b *testing.B) {
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil))
			}
		})
	}
}
