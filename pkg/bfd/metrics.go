package bfd

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

// counts holds the counters of one session. The loop writes them without a lock.
type counts struct {
	sent, received atomic.Uint64
	falseAlarms    atomic.Uint64
	// changes is indexed by the new state and the diagnostic. The last diagnostic stands for the reserved ones.
	changes [wire.StateCount][wire.DiagnosticCount + 1]atomic.Uint64
}

// change counts a change of state.
func (c *counts) change(to State, why Diagnostic) {
	c.changes[to][min(int(why), wire.DiagnosticCount)].Add(1)
}

// metrics holds what is not counted for each session.
type metrics struct {
	lateness prometheus.Histogram
	discards [wire.VerdictCount]prometheus.Counter
}

func newMetrics(r prometheus.Registerer, m *Monitor) *metrics {
	discards := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_bfd_packets_discarded_total",
		Help: "Received BFD packets that were discarded, by the failed check.",
	}, []string{"verdict"})
	k := &metrics{lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "lanlord_bfd_lateness_seconds",
		Help:    "How late the timers of BFD fired and how long packets waited to be read.",
		Buckets: []float64{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1},
	})}
	for v := wire.Accepted + 1; int(v) < wire.VerdictCount; v++ {
		k.discards[v] = discards.WithLabelValues(v.String())
	}
	if r != nil {
		r.MustRegister(k.lateness, discards, newCollector(m))
	}
	return k
}

// collector computes the metrics of the sessions at each scrape from the published status. Sessions with one remote
// address are taken together.
type collector struct {
	monitor                                                     *Monitor
	up, interval, detection, changes, packets, alarms, problems *prometheus.Desc
}

func newCollector(m *Monitor) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lanlord_bfd_"+name, help, append([]string{"peer"}, labels...), nil)
	}
	return &collector{
		monitor:  m,
		up:       desc("session_up", "1 if the BFD session with the peer is up, else 0."),
		interval: desc("interval_seconds", "Transmit interval in use. It is larger than configured while this process is late."),
		detection: desc("detection_time_seconds",
			"Time without packets of the peer after which the session goes down."),
		changes:  desc("session_changes_total", "Changes of the state of the session, by the new state and the reason.", "to", "diagnostic"),
		packets:  desc("packets_total", "BFD packets sent to the peer and accepted from the peer.", "direction"),
		alarms:   desc("false_alarms_total", "Times that the peer signaled Down while this process was late."),
		problems: desc("session_problem", "1 if the session has no sockets, else 0."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.interval, c.detection, c.changes, c.packets, c.alarms, c.problems} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	entries := c.monitor.status.Load()
	if entries == nil {
		return
	}
	peers := map[netip.Addr][]entry{}
	for _, e := range *entries {
		peers[e.Remote] = append(peers[e.Remote], e)
	}
	for _, peer := range slices.SortedFunc(maps.Keys(peers), netip.Addr.Compare) {
		c.collectPeer(to, peer.String(), peers[peer])
	}
}

// collectPeer collects the sessions with one remote address: the worst one counts, and counters are added up.
func (c *collector) collectPeer(to chan<- prometheus.Metric, peer string, sessions []entry) {
	gauge := func(d *prometheus.Desc, of func(entry) float64, worst func(float64, float64) float64) {
		v := of(sessions[0])
		for _, e := range sessions[1:] {
			v = worst(v, of(e))
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, peer)
	}
	least := func(a, b float64) float64 { return min(a, b) }
	most := func(a, b float64) float64 { return max(a, b) }
	gauge(c.up, func(e entry) float64 { return one(e.State == Up) }, least)
	gauge(c.interval, func(e entry) float64 { return e.TransmitInterval.Seconds() }, most)
	gauge(c.detection, func(e entry) float64 { return e.DetectionTime.Seconds() }, most)
	gauge(c.problems, func(e entry) float64 { return one(e.Problem != "") }, most)

	sum := func(of func(*counts) *atomic.Uint64) (n float64) {
		for _, e := range sessions {
			n += float64(of(e.counts).Load())
		}
		return n
	}
	counter := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, append([]string{peer}, labels...)...)
	}
	counter(c.packets, sum(func(k *counts) *atomic.Uint64 { return &k.sent }), "sent")
	counter(c.packets, sum(func(k *counts) *atomic.Uint64 { return &k.received }), "received")
	counter(c.alarms, sum(func(k *counts) *atomic.Uint64 { return &k.falseAlarms }))
	for state := range wire.StateCount {
		for why := range wire.DiagnosticCount + 1 {
			n := sum(func(k *counts) *atomic.Uint64 { return &k.changes[state][why] })
			// The usual changes have a series from the start, so that the first one counts as an increase.
			usual := State(state) == Up && why == 0 || State(state) == Down && why == 1
			if word := diagnosticLabel(why); n > 0 || usual {
				counter(c.changes, n, State(state).String(), word)
			}
		}
	}
}

func diagnosticLabel(why int) string {
	if why == wire.DiagnosticCount {
		return "Reserved"
	}
	return Diagnostic(why).String()
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
