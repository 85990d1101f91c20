package allocator

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// named limits the pools listed in a message; the message counts the others.
	named = 3
	// maxName limits the length of a name in a message, in bytes.
	maxName = 63
)

// list collects the items of an enumeration in a message, and keeps only the items that the message shows.
type list struct {
	shown []string
	count int
}

// next counts one more item, and reports whether the message shows the item. The caller makes the text of an item only
// if the message shows the item.
func (l *list) next() bool {
	l.count++
	return l.count <= named
}

func (l *list) add(format string, args ...any) {
	l.shown = append(l.shown, fmt.Sprintf(format, args...))
}

// String returns "a, b, c" or "a, b, c and 4 more".
func (l *list) String() string {
	text := strings.Join(l.shown, ", ")
	if l.count > named {
		text += fmt.Sprintf(" and %d more", l.count-named)
	}
	return text
}

// AppendTo appends "10.0.0.5 from pool "a"" to text, the form of an Assignment in messages.
func (a Assignment) AppendTo(text []byte) []byte {
	text = append(a.Addr.AppendTo(text), " from pool "...)
	return strconv.AppendQuote(text, Shorten(a.Pool, maxName))
}

// quote returns the name of a pool in quotes, shortened if necessary.
func quote(name string) string { return strconv.Quote(Shorten(name, maxName)) }

// Shorten cuts text to at most size bytes, between characters, and marks the cut with an ellipsis.
func Shorten(text string, size int) string {
	if len(text) <= size {
		return text
	}
	const dots = "…"
	cut := size - len(dots)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + dots
}
