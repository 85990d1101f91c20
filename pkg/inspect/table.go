package inspect

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// none stands in tables for what is not there, as kubectl has it, and unknown for what nobody could tell.
const (
	none    = "<none>"
	unknown = "<unknown>"
)

// writeTable writes rows under a header, in columns as wide as they must be. The first row is the header.
func writeTable(out io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// age is the time from t to now as kubectl writes it; none if t is zero.
func age(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return none
	}
	return duration.HumanDuration(max(0, now.Sub(*t)))
}

// or returns the text, or what stands for it when there is none.
func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// count is a number and a noun, which gets an s unless the number is 1.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listed joins names, at most some of them and then how many more there are.
func listed(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// sentence has no line breaks, as a cell of a table must not.
func sentence(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")), " ")
}
