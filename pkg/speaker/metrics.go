package speaker

import (
	"hash/fnv"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// conflict classifies a host that claims an address of this node.
type conflict uint8

const (
	conflictPeer conflict = iota
	conflictForeign

	conflicts
)

// String returns the value of the metric label.
func (c conflict) String() string { return [...]string{"peer", "stranger"}[c] }

var (
	announcedDesc = prometheus.NewDesc("lanlord_speaker_announced",
		"1 for each address that this node answers for; only with --address-metrics.", []string{"ip"}, nil)
	countDesc = prometheus.NewDesc("lanlord_speaker_announced_addresses",
		"Addresses that this node answers for.", nil, nil)
	announcedSumDesc = prometheus.NewDesc("lanlord_speaker_announced_checksum",
		"Sum of a 32-bit hash of each address that this node answers for.", nil, nil)
	expectedSumDesc = prometheus.NewDesc("lanlord_speaker_expected_checksum",
		"Sum of a 32-bit hash of each address that some node is to answer for: lanlord_speaker_announced_checksum of "+
			"all nodes adds up to it when each address has one owner.", nil, nil)
	addressesDesc = prometheus.NewDesc("lanlord_speaker_addresses",
		"Addresses of Services that this node knows of, by why they are announced by some node, or by none.",
		[]string{"reason"}, nil)
)

// metrics holds the counters. The gauges are computed from the last round, so a series ends with its address.
type metrics struct {
	status     func() Status
	byAddress  bool // adds a series for each address of this node
	changes    [ownership.KindCount][ownership.CauseCount]prometheus.Counter
	conflicts  [conflicts]prometheus.Counter
	defences   prometheus.Counter
	suspicions prometheus.Counter
	refuted    prometheus.Counter
	late       prometheus.Counter
	failover   prometheus.Histogram
	lateness   prometheus.Histogram
	patience   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, byAddress bool, status func() Status) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "lanlord_speaker_" + name, Help: help})
	}
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_speaker_ownership_changes_total",
		Help: "Addresses that this node has begun or ceased to answer for, by change and reason.",
	}, []string{"change", "reason"})
	disputes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_speaker_conflicts_total",
		Help: "Claims of another host that were heard for addresses that this node has, or is to have, by the kind " +
			"of host.",
	}, []string{"kind"})
	m := &metrics{
		status: status, byAddress: byAddress,
		defences: counter("defences_total",
			"Announcements of an address that this node has and a stranger has claimed."),
		suspicions: counter("suspicions_total", "Times that a neighbour was silent and all members were told."),
		refuted: counter("suspicions_refuted_total",
			"Times that a suspected member answered before anything was taken from it."),
		late: counter("late_looks_total",
			"Looks at a neighbour that were not judged, since this node was late itself."),
		failover: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lanlord_speaker_failover_seconds",
			Help: "Time from the last sign of a node that has crashed to this node's announcement of an address " +
				"that it had.",
			Buckets: []float64{.1, .2, .3, .4, .5, .6, .7, .8, 1, 1.5, 2, 3, 5, 10},
		}),
		patience: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanlord_speaker_patience_seconds",
			Help: "Least time from the last heartbeat of a neighbour to a suspicion: it grows with the measured lateness of this node and its neighbours; 0 without heartbeats.",
		}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanlord_speaker_lateness_seconds",
			Help:    "How late this process runs what is due ten times a second.",
			Buckets: []float64{.001, .005, .01, .03, .06, .1, .2, .4, 1},
		}),
	}
	for kind := range ownership.Kind(ownership.KindCount) {
		for cause := range ownership.Cause(ownership.CauseCount) {
			m.changes[kind][cause] = changes.WithLabelValues(kind.String(), cause.String())
		}
	}
	for c := range conflicts {
		m.conflicts[c] = disputes.WithLabelValues(c.String())
	}
	if r != nil {
		r.MustRegister(m, changes, disputes, m.defences, m.suspicions, m.refuted, m.late, m.failover, m.lateness, m.patience)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{addressesDesc, countDesc, announcedSumDesc, expectedSumDesc} {
		ch <- d
	}
	if m.byAddress {
		ch <- announcedDesc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var byReason [reason.AnnouncementCount]int
	var expected, announced float64
	status := m.status()
	for _, p := range status.Placements {
		byReason[p.Reason]++
		if p.Reason == reason.Announced {
			expected += checksum(p.Addr)
		}
	}
	for r, n := range byReason {
		gauge(addressesDesc, float64(n), reason.Announcement(r).String())
	}
	for _, a := range status.Held {
		announced += checksum(a)
		if m.byAddress {
			gauge(announcedDesc, 1, a.String())
		}
	}
	gauge(countDesc, float64(len(status.Held)))
	gauge(announcedSumDesc, announced)
	gauge(expectedSumDesc, expected)
}

// checksum returns the 32-bit FNV-1a hash of an address. A float64 holds the sum of two million hashes exactly, in any
// order.
func checksum(a netip.Addr) float64 {
	b := a.As16()
	h := fnv.New32a()
	h.Write(b[:])
	return float64(h.Sum32())
}
