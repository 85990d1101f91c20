package kube

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// metrics are the Store's own; the gauges are read from the Store when scraped.
type metrics struct {
	writes        *prometheus.CounterVec
	eventsDropped prometheus.Counter
}

// newMetrics registers with r unless it is nil.
func newMetrics(s *Store, r prometheus.Registerer) *metrics {
	m := &metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanlord_service_writes_total",
			Help: "Writes of a Service's status, by result: done, changed (refused because the Service had changed) or failed.",
		}, []string{"result"}),
		eventsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanlord_events_dropped_total",
			Help: "Kubernetes Events that were not sent because too many waited.",
		}),
	}
	for _, result := range []string{"done", "changed", "failed"} {
		m.writes.WithLabelValues(result)
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, value func() bool) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if value() {
				return 1
			}
			return 0
		})
	}
	r.MustRegister(m.writes, m.eventsDropped,
		gauge("lanlord_api_connected", "1 while the API server answers this process's watches.", s.Connected),
		gauge("lanlord_api_synced", "1 once every watched kind was listed.", s.Synced),
		gauge("lanlord_config_loaded", "1 once a valid configuration was read.", s.configLoaded),
		gauge("lanlord_config_stale", "1 while the newest ConfigMap is missing or not valid, and an older one or none is in use.", s.configStale),
	)
	return m
}

func (m *metrics) wrote(err error) {
	switch {
	case err == nil:
		m.writes.WithLabelValues("done").Inc()
	case errors.Is(err, cluster.ErrChanged):
		m.writes.WithLabelValues("changed").Inc()
	default:
		m.writes.WithLabelValues("failed").Inc()
	}
}

func (s *Store) configLoaded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config != nil
}

func (s *Store) configStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Problem != nil
}
