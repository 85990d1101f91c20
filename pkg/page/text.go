package page

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is the number of rows on one page of a table.
const pageSize = 100

// mark is a symbol for a state that is readable without color. The page says the same in words.
type mark struct{ Class, Symbol markup }

// The marks.
var (
	good = mark{"good", "✓"}
	wait = mark{"wait", "…"}
	bad  = mark{"bad", "▲"}
	note = mark{"note", "i"}
	idle = mark{"idle", "–"}
)

// moment is a time for display: Exact is the time, and Text the distance from now.
type moment struct{ Exact, Text string }

// query holds the parameters of a request.
type query struct {
	filter string
	words  []string
	values url.Values
}

func newQuery(r *http.Request) query {
	values := r.URL.Query()
	q := query{filter: strings.TrimSpace(values.Get("q")), values: values}
	q.words = strings.Fields(strings.ToLower(q.filter))
	return q
}

// moment returns t as seen at now; the zero moment for the zero time.
func (q query) moment(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{Exact: t.UTC().Format("2006-01-02T15:04:05Z"), Text: span(now.Sub(t))}
}

// span returns a duration in its one or two largest units.
func span(d time.Duration) string {
	d = max(d, -d)
	s := int(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 60*60:
		return fmt.Sprintf("%d min", s/60)
	case s < 24*60*60:
		return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s/3600%24)
}

// matches reports whether each word of the filter occurs in one of the texts.
func (q query) matches(texts ...string) bool {
	for _, word := range q.words {
		if !anyHolds(texts, word) {
			return false
		}
	}
	return true
}

func anyHolds(texts []string, word string) bool {
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), word) {
			return true
		}
	}
	return false
}

// Extent describes the part of a table that is shown.
type Extent struct {
	// From and To are the numbers of the first and the last shown row. Found counts the rows that fit the filter, All
	// counts all rows.
	From, To, Found, All int
	// Previous and Next link to the previous and the next page, empty where there is none.
	Previous, Next string
}

// table holds the shown rows of one table.
type table[R any] struct {
	Rows []R
	Extent
}

// cut returns the page of rows whose number is in the parameter key.
func cut[R any](q query, key string, rows []R, all int) table[R] {
	number, err := strconv.Atoi(q.values.Get(key))
	last := max(0, len(rows)-1) / pageSize
	if err != nil || number < 1 {
		number = 1
	}
	page := min(number-1, last)
	t := table[R]{Extent: Extent{Found: len(rows), All: all}}
	from, to := page*pageSize, min((page+1)*pageSize, len(rows))
	if to > 0 {
		t.From, t.To = from+1, to
	}
	t.Rows = rows[from:to]
	if page > 0 {
		t.Previous = q.with(key, strconv.Itoa(page))
	}
	if page < last {
		t.Next = q.with(key, strconv.Itoa(page+2))
	}
	return t
}

// with returns the query with one parameter changed, encoded for a link.
func (q query) with(key, value string) string {
	values := maps.Clone(q.values)
	values.Set(key, value)
	return "?" + values.Encode()
}

// kept are the parameters that the filter keeps.
var kept = [...]string{"sort", "node", "pool"}

// without returns the query without one parameter, encoded for a link.
func (q query) without(key string) string {
	values := maps.Clone(q.values)
	values.Del(key)
	return "?" + values.Encode()
}

// groupDigits returns a whole number with commas between groups of three digits.
func groupDigits[N int | string](n N) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// shortNumber returns a decimal number in readable form. A number of more than nine digits is rounded down to two
// digits, like "≈ 1.8 × 10¹⁹".
func shortNumber(digits string) string {
	if len(digits) <= 9 {
		return groupDigits(digits)
	}
	superscript := strings.NewReplacer("0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")
	return "≈ " + digits[:1] + "." + digits[1:2] + " × 10" + superscript.Replace(strconv.Itoa(len(digits)-1))
}

// capital returns the text with an upper-case first letter. The first letter must be ASCII.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// counted returns "1 Service" or "2 Services".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return groupDigits(n) + " " + many
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
