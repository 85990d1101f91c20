package daemon

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestBuildFrom(t *testing.T) {
	info := &debug.BuildInfo{
		Main:     debug.Module{Version: "v0.2.0"},
		Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc123"}},
	}
	for _, test := range []struct {
		name            string
		version, commit string
		info            *debug.BuildInfo
		want            string
	}{
		{"the linker was told", "v1.0.0", "fed321", info, "v1.0.0 fed321"},
		{"the go command noted it", "", "", info, "v0.2.0 abc123"},
		{"nobody knows", "", "", nil, "unknown unknown"},
		{"no version control", "", "", &debug.BuildInfo{}, "unknown unknown"},
	} {
		v, c := buildFrom(test.version, test.commit, test.info)
		if got := v + " " + c; got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestMetrics compares names, types and help of the metrics of this package. The test skips the metrics of Go and of
// the process, because they belong to other projects.
func TestMetrics(t *testing.T) {
	registry := NewRegistry()
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "lanlord_") {
			continue
		}
		fmt.Fprintf(&got, "%s %s: %s\n", family.GetName(), family.GetType(), family.GetHelp())
		for _, label := range family.GetMetric()[0].GetLabel() {
			fmt.Fprintf(&got, "\t%s\n", label.GetName())
		}
	}
	golden(t, "metrics.txt", got.String())
}
