package speaker

import "github.com/prometheus/client_golang/prometheus"

// change says what became of an address on this node.
type change uint8

const (
	// gained: this node is the owner now.
	gained change = iota
	// yielded: another node is the owner now.
	yielded
	// withdrawn: nobody answers any more, or the address is gone.
	withdrawn
)

var changeNames = [...]string{"gained", "yielded", "withdrawn"}

func (c change) String() string { return changeNames[c] }

var (
	announcedDesc = prometheus.NewDesc("lanlord_speaker_announced",
		"1 for each address that this node answers for, and each Service that has it.", []string{"ip", "service"}, nil)
	addressesDesc = prometheus.NewDesc("lanlord_speaker_addresses",
		"Addresses of Services that this node knows of, by why they are announced by some node, or by none.", []string{"reason"}, nil)
)

// metrics is collected from the last decisions, so that a series is gone with what it tells of.
type metrics struct {
	speaker  *Speaker
	changes  *prometheus.CounterVec
	defences prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Speaker) *metrics {
	m := &metrics{speaker: s, changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_speaker_ownership_changes_total",
		Help: "Addresses that this node has begun or ceased to own, by change.",
	}, []string{"change"}), defences: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lanlord_speaker_defences_total",
		Help: "Announcements of an address that this node owns and another host has claimed.",
	})}
	for c := range change(len(changeNames)) {
		m.changes.WithLabelValues(c.String())
	}
	if r != nil {
		r.MustRegister(m, m.changes, m.defences)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- announcedDesc
	ch <- addressesDesc
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	var byReason [len(reasonNames)]int
	for _, d := range m.speaker.Status().Decisions {
		byReason[d.Reason]++
		if d.Reason != Announced || d.Owner != m.speaker.Self {
			continue
		}
		for _, key := range d.Services {
			ch <- prometheus.MustNewConstMetric(announcedDesc, prometheus.GaugeValue, 1, d.Addr.String(), key.String())
		}
	}
	for r, n := range byReason {
		ch <- prometheus.MustNewConstMetric(addressesDesc, prometheus.GaugeValue, float64(n), Reason(r).String())
	}
}
