// Package scrape reads what a process tells under /metrics.
package scrape

import (
	"fmt"
	"strconv"
	"strings"
)

// Value returns the value of a metric, which is named with its labels as they are written.
func Value(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
