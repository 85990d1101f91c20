package allocator

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// named is the number of pools in a message; further pools are counted.
	named = 3
	// maxName is the length of a name in a message, in bytes.
	maxName = 63
)

// list collects what a message enumerates, and keeps only as much of it as the message shows.
type list struct {
	shown []string
	count int
}

// next counts one more, and returns whether the message shows it, so that its text is only made for that.
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

// AppendTo appends "10.0.0.5 from pool "a"" to text, as messages about an Assignment have it.
func (a Assignment) AppendTo(text []byte) []byte {
	text = append(a.Addr.AppendTo(text), " from pool "...)
	return strconv.AppendQuote(text, Shorten(a.Pool, maxName))
}

// quote returns a pool's name in quotes, shortened if it is long.
func quote(name string) string { return strconv.Quote(Shorten(name, maxName)) }

// Shorten cuts text to at most size bytes, between characters, and shows that it did.
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
