package daemontest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// CheckMetrics lints the metrics, and compares the names, types, labels and help texts of Lanlord's metrics with a
// file. With update, CheckMetrics writes the file instead.
func CheckMetrics(t *testing.T, registry *prometheus.Registry, file string, update bool) {
	t.Helper()
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	text := describe(t, registry)
	if update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not what was found (-update writes it):\n%s", file, text)
	}
}

func describe(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "lanlord_") {
			continue
		}
		fmt.Fprintf(&text, "%s %s: %s\n", family.GetName(), family.GetType(), family.GetHelp())
		for _, label := range family.GetMetric()[0].GetLabel() {
			fmt.Fprintf(&text, "\t%s\n", label.GetName())
		}
	}
	return text.String()
}
