package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestPainter checks that only whole cells of tables get a colour, and that the text stays the same otherwise.
func TestPainter(t *testing.T) {
	for text, want := range map[string]string{
		"NAME   STATE\nweb    Announced\n":           "NAME   STATE\nweb    " + green + "Announced" + plain + "\n",
		"web   NoFreeAddress   no address is free\n": "web   " + red + "NoFreeAddress" + plain + "   no address is free\n",
		"PROBLEM    pools          full\n":           red + "PROBLEM" + plain + "    pools          full\n",
		"it is Announced now\n":                      "it is Announced now\n",
		`    "state": "Announced"` + "\n":            `    "state": "Announced"` + "\n",
		"state: Announced\n":                         "state: Announced\n",
		"n1     not ready   0\n":                     "n1     " + red + "not ready" + plain + "   0\n",
		"no end  Pending":                            "no end  Pending",
		"\n\n   \n":                                  "\n\n   \n",
	} {
		for _, size := range []int{1, 3, len(text)} {
			var out bytes.Buffer
			p := newPainter(&out)
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				if _, err := p.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := p.Flush(); err != nil || out.String() != want {
				t.Errorf("%q in pieces of %d became %q, want %q, %v", text, size, out.String(), want, err)
			}
		}
	}
}

// FuzzPainter checks that the painter changes nothing but colours.
func FuzzPainter(f *testing.F) {
	f.Add("ok         controller     well\nREMARK     pools")
	f.Add("  \n\n   x  ok")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\x1b") {
			return
		}
		var out bytes.Buffer
		p := newPainter(&out)
		p.Write([]byte(text))
		p.Flush()
		if got := strings.NewReplacer(red, "", green, "", yellow, "", plain, "").Replace(out.String()); got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
