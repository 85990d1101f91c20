package daemon

import (
	"flag"
	"fmt"
	"strings"
)

// helpWidth is the greatest width of a line of --help in columns, equal to the width of a plain terminal.
const helpWidth = 80

// help returns the text of --help: about, and all flags of set in alphabetical order.
func help(set *flag.FlagSet, about string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sUsage: %s [flags]\n\nFlags:\n", wrap(about, ""), set.Name())
	set.VisitAll(func(f *flag.Flag) {
		placeholder, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "\n  --%s", f.Name)
		if isBool(f.Value) {
			placeholder = ""
		}
		if placeholder != "" {
			fmt.Fprintf(&b, "=%s", strings.ToUpper(placeholder))
		}
		if f.DefValue != "" && !isBool(f.Value) {
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
		b.WriteString("\n" + wrap(usage, "        "))
	})
	return b.String()
}

// isBool reports whether a flag needs no value. Package flag uses the same test.
func isBool(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// wrap breaks text between words so that no line is wider than helpWidth, except for a single longer word. Each line
// begins with indent and ends with a newline.
func wrap(text, indent string) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case width == 0:
			b.WriteString(indent)
			width = len(indent)
		case width+1+len(word) > helpWidth:
			b.WriteString("\n" + indent)
			width = len(indent)
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}
