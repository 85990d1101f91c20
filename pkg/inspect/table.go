package inspect

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// none marks a missing value in a table, like kubectl does. unknown marks a value that could not be determined.
const (
	none    = "<none>"
	unknown = "<unknown>"
)

// writeTable writes rows in aligned columns. The first row is the header.
func writeTable(out io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// age returns the time from t to now in the format of kubectl; none if t is zero.
func age(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return none
	}
	return duration.HumanDuration(max(0, now.Sub(*t)))
}

// or returns the text, or the alternative for an empty text.
func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Count returns a number with a noun. The noun gets an s unless the number is 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listed joins names with commas. From a longer list, listed joins the first eight names and counts the others.
func listed(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// sentence returns the text without line breaks, for a cell of a table.
func sentence(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")), " ")
}
