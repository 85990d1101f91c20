package speaker

import (
	"hash/fnv"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// change says what became of an address on this node.
type change uint8

const (
	// gained: this node answers for it now.
	gained change = iota
	// yielded: another node is to answer now.
	yielded
	// withdrawn: nobody is to answer any more, or the address is gone.
	withdrawn

	changes
)

// String returns the change as it stands in metrics and logs.
func (c change) String() string { return [...]string{"gained", "yielded", "withdrawn"}[c] }

// cause says why an address changed hands.
type cause uint8

const (
	// causeNew: nobody had it before.
	causeNew cause = iota
	// causeCrash: whoever had it is gone without a word, or silent.
	causeCrash
	// causeSilent: whoever had it lives, and does not answer for it.
	causeSilent
	// causeLeft: whoever had it was told to stop.
	causeLeft
	// causeIneligible: whoever had it may not have it any more.
	causeIneligible
	// causeStandIn: whom the election names does not answer for it, nor does anybody else.
	causeStandIn
	// causeFailback: the election names another node, and the delay has passed.
	causeFailback
	// causeWish: a Service asks for another node.
	causeWish
	// causeOutranked: a peer with more right to it has announced it.
	causeOutranked
	// causeStandstill: this process has stood still, and another host answered for it after that.
	causeStandstill
	// causeGone: no Service has it any more, or nobody may answer for it.
	causeGone

	causes
)

// String returns the cause as it stands in metrics and logs.
func (c cause) String() string {
	return [...]string{"new", "crash", "silent", "left", "ineligible", "stand-in", "failback", "wish", "outranked", "standstill", "gone"}[c]
}

// conflict says who claims an address that this node has, or is to have.
type conflict uint8

const (
	conflictPeer conflict = iota
	conflictStranger

	conflicts
)

// String returns the conflict as the metrics label it.
func (c conflict) String() string { return [...]string{"peer", "stranger"}[c] }

var (
	announcedDesc = prometheus.NewDesc("lanlord_speaker_announced",
		"1 for each address that this node answers for; only with --address-metrics.", []string{"ip"}, nil)
	countDesc = prometheus.NewDesc("lanlord_speaker_announced_addresses",
		"Addresses that this node answers for.", nil, nil)
	announcedSumDesc = prometheus.NewDesc("lanlord_speaker_announced_checksum",
		"Sum of a 32-bit hash of each address that this node answers for.", nil, nil)
	expectedSumDesc = prometheus.NewDesc("lanlord_speaker_expected_checksum",
		"Sum of a 32-bit hash of each address that some node is to answer for: lanlord_speaker_announced_checksum of all nodes "+
			"adds up to it when each address has one owner.", nil, nil)
	addressesDesc = prometheus.NewDesc("lanlord_speaker_addresses",
		"Addresses of Services that this node knows of, by why they are announced by some node, or by none.", []string{"reason"}, nil)
)

// metrics holds the counters, and collects the rest from the last decisions, so that a series is gone with what it tells of.
type metrics struct {
	speaker    *Speaker
	changes    [changes][causes]prometheus.Counter
	conflicts  [conflicts]prometheus.Counter
	defences   prometheus.Counter
	suspicions prometheus.Counter
	refuted    prometheus.Counter
	late       prometheus.Counter
	failover   prometheus.Histogram
	lateness   prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, s *Speaker) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "lanlord_speaker_" + name, Help: help})
	}
	ownership := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_speaker_ownership_changes_total",
		Help: "Addresses that this node has begun or ceased to answer for, by change and reason.",
	}, []string{"change", "reason"})
	disputes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_speaker_conflicts_total",
		Help: "Claims of another host that were heard for addresses that this node has, or is to have, by the kind of host.",
	}, []string{"kind"})
	m := &metrics{
		speaker:    s,
		defences:   counter("defences_total", "Announcements of an address that this node has and a stranger has claimed."),
		suspicions: counter("suspicions_total", "Times that a neighbour was silent and all members were told."),
		refuted:    counter("suspicions_refuted_total", "Times that a suspected member answered before anything was taken from it."),
		late:       counter("late_looks_total", "Looks at a neighbour that were not judged, since this node was late itself."),
		failover: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanlord_speaker_failover_seconds",
			Help:    "Time from the last sign of a node that has crashed to this node's announcement of an address that it had.",
			Buckets: []float64{.1, .2, .3, .4, .5, .6, .7, .8, 1, 1.5, 2, 3, 5, 10},
		}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "lanlord_speaker_lateness_seconds",
			Help:    "How late this process runs what is due ten times a second.",
			Buckets: []float64{.001, .005, .01, .03, .06, .1, .2, .4, 1},
		}),
	}
	for c := range changes {
		for why := range causes {
			m.changes[c][why] = ownership.WithLabelValues(c.String(), why.String())
		}
	}
	for c := range conflicts {
		m.conflicts[c] = disputes.WithLabelValues(c.String())
	}
	if r != nil {
		r.MustRegister(m, ownership, disputes, m.defences, m.suspicions, m.refuted, m.late, m.failover, m.lateness)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{addressesDesc, countDesc, announcedSumDesc, expectedSumDesc} {
		ch <- d
	}
	if m.speaker.AddressMetrics {
		ch <- announcedDesc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var byReason [len(reasonNames)]int
	var expected, announced float64
	status := m.speaker.Status()
	for i := range status.Decisions {
		d := &status.Decisions[i]
		byReason[d.Reason]++
		if d.Reason == Announced {
			expected += checksum(d.Addr)
		}
	}
	for r, n := range byReason {
		gauge(addressesDesc, float64(n), Reason(r).String())
	}
	for _, a := range status.Held {
		announced += checksum(a)
		if m.speaker.AddressMetrics {
			gauge(announcedDesc, 1, a.String())
		}
	}
	gauge(countDesc, float64(len(status.Held)))
	gauge(announcedSumDesc, announced)
	gauge(expectedSumDesc, expected)
}

// checksum returns the 32-bit FNV-1a hash of an address. The sum of two million of them is exact in a float64, in any order.
func checksum(a netip.Addr) float64 {
	b := a.As16()
	h := fnv.New32a()
	h.Write(b[:])
	return float64(h.Sum32())
}
