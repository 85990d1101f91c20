package kube

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// metrics holds the counters of a Store. The gauges read the Store at each scrape.
type metrics struct {
	writes        *prometheus.CounterVec
	events        *prometheus.CounterVec
	eventsDropped prometheus.Counter
}

// newMetrics registers the metrics with r. r may be nil.
func newMetrics(s *Store, r prometheus.Registerer) *metrics {
	m := &metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanlord_service_writes_total",
			Help: "Writes of a Service's status, by result: done, changed (refused because the Service had changed) or failed.",
		}, []string{"result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanlord_events_total",
			Help: "Kubernetes Events that were sent, by reason.",
		}, []string{"reason"}),
		eventsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lanlord_events_dropped_total",
			Help: "Kubernetes Events that were not sent: too many waited, or were of one object, or the API server refused them.",
		}),
	}
	for _, result := range []string{"done", "changed", "failed"} {
		m.writes.WithLabelValues(result)
	}
	if r == nil {
		return m
	}
	number := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge := func(name, help string, value func() bool) prometheus.Collector {
		return number(name, help, func() float64 {
			if value() {
				return 1
			}
			return 0
		})
	}
	r.MustRegister(m.writes, m.events, m.eventsDropped,
		gauge("lanlord_api_connected", "1 while the API server answers this process's watches.", s.Connected),
		gauge("lanlord_api_synced", "1 once every watched kind was listed.", s.Synced),
		gauge("lanlord_config_loaded", "1 once a valid configuration was read.", s.configLoaded),
		gauge("lanlord_config_stale", "1 while the newest ConfigMap is missing or not valid, and an older one or none is in use.", s.configStale),
		number("lanlord_config_hash", "The first 48 bits of the SHA-256 hash of the configuration in use, 0 without one: the same number in all "+
			"processes that use the same text.", s.configHash),
		number("lanlord_config_change_timestamp_seconds", "When this process began to use the configuration in use, in Unix time; 0 without one.",
			s.configTime),
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
	return s.config.inUse != nil
}

func (s *Store) configStale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.refusal != nil
}

func (s *Store) configHash() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.config.shortHash())
}

func (s *Store) configTime() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.since.IsZero() {
		return 0
	}
	return float64(s.config.since.UnixMilli()) / 1000
}
