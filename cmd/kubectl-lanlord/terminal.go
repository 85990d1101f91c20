package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// plainWriter passes text on to a terminal. plainWriter replaces characters that control the terminal or change the
// direction of text by escapes like \x1b. Other people write Events and annotations, and their text must not move the
// cursor, hide text or set the title of the window. Only one goroutine may write.
type plainWriter struct {
	to io.Writer
	// rest holds the first bytes of a character, until Write gets the other bytes of the character.
	rest []byte
}

// Write implements io.Writer.
func (w *plainWriter) Write(b []byte) (int, error) {
	text := append(w.rest, b...)
	w.rest = nil
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		if !utf8.FullRune(text) {
			w.rest = append([]byte(nil), text...)
			break
		}
		r, size := utf8.DecodeRune(text)
		if controls(r, size) {
			plain = escape(plain, text[:size])
		} else {
			plain = append(plain, text[:size]...)
		}
		text = text[size:]
	}
	if _, err := w.to.Write(plain); err != nil {
		return 0, err
	}
	return len(b), nil
}

// controls reports whether a character of size bytes controls a terminal: a control character, a character that changes
// the direction or the form of the following text, or a byte that is not valid UTF-8.
func controls(r rune, size int) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r == utf8.RuneError && size == 1:
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}

// escape appends one escape for each byte.
func escape(to, bytes []byte) []byte {
	for _, b := range bytes {
		to = fmt.Appendf(to, `\x%02x`, b)
	}
	return to
}
