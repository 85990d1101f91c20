package daemon

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// The linker sets version by -X github.com/lanlord/lanlord/pkg/daemon.version=v1.2.3, and commit in the same way.
var version, commit string

// Version returns the version, the commit and the Go release of this binary, in the format of --version.
func Version() string {
	v, c := build()
	return fmt.Sprintf("%s (commit %s, %s)", v, c, runtime.Version())
}

// build returns the version and the commit from the linker, else from the go command, else "unknown".
func build() (v, c string) {
	info, _ := debug.ReadBuildInfo()
	return buildFrom(version, commit, info)
}

func buildFrom(v, c string, info *debug.BuildInfo) (string, string) {
	if info != nil {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if c == "" && s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	if v == "" {
		v = "unknown"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}

// NewRegistry returns a registry with the metrics of the Go runtime, of the process and of the build.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	v, c := build()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lanlord_build_info",
			Help: "Always 1; the labels say what this binary was built from.",
			ConstLabels: prometheus.Labels{
				"version": v, "commit": c, "go_version": runtime.Version(),
			},
		}, func() float64 { return 1 }),
	)
	return registry
}
