package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

func TestTerminalIsNotControlled(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":             "plain\ttext\n",
		"Grüße, 世界 ✓":               "Grüße, 世界 ✓",
		"\x1b]0;title\a":            `\x1b]0;title\x07`,
		"a\rb\x7f":                  `a\x0db\x7f`,
		"\u009b2J":                  `\xc2\x9b2J`,
		"\x9b2J":                    `\x9b2J`,
		"user\u202egnp.exe\u200bok": `user\xe2\x80\xaegnp.exe\xe2\x80\x8bok`,
	} {
		var out bytes.Buffer
		w := &plainWriter{to: &out}
		for i := range len(text) { // one byte at a time, so that characters are split
			if n, err := w.Write([]byte(text[i : i+1])); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if out.String() != want {
			t.Errorf("%q became %q, want %q", text, out.String(), want)
		}
	}
}

func FuzzPlainWriter(f *testing.F) {
	f.Add("Grüße\x1b[31m", 3)
	f.Fuzz(func(t *testing.T, text string, at int) {
		var whole, split bytes.Buffer
		at = max(0, min(at, len(text)))
		w := &plainWriter{to: &whole}
		w.Write([]byte(text))
		w = &plainWriter{to: &split}
		w.Write([]byte(text[:at]))
		w.Write([]byte(text[at:]))
		if whole.String() != split.String() {
			t.Errorf("%q in two parts became %q, else %q", text, split.String(), whole.String())
		}
		if strings.ContainsFunc(whole.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q became %q", text, whole.String())
		}
	})
}
