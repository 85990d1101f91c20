package bgp

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/bgp/session"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// handover is the result of a handover for one session, in one word for a metric.
type handover string

const (
	handoverDetached handover = "detached"
	handoverAdopted  handover = "adopted"
	handoverResumed  handover = "resumed"
	handoverFailed   handover = "failed"
)

// The label direction of messages and notifications.
const (
	directionSent     = "sent"
	directionReceived = "received"
)

// metrics holds the counters of events. The gauges of the sessions are read from the snapshots of the sessions at each
// scrape.
type metrics struct {
	changes       *prometheus.CounterVec
	failures      *prometheus.CounterVec
	notifications *prometheus.CounterVec
	handovers     *prometheus.CounterVec
}

// newMetrics registers the counters, and what snapshots returns at each scrape. r may be nil.
func newMetrics(r prometheus.Registerer, snapshots func() []*snapshot) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lanlord_bgp_" + name, Help: help}, labels)
	}
	m := &metrics{
		changes: counter("session_changes_total",
			"Changes of BGP sessions to up or down, by the reason of the loss; None for up.", "peer", "to", "reason"),
		failures: counter("connect_failures_total", "Failed attempts to connect to a router, by reason.", "peer",
			"reason"),
		notifications: counter("notifications_total",
			"BGP NOTIFICATION messages, by direction and by code and subcode (RFC 4271, section "+
				"4.5).", "peer", "direction", "code"),
		handovers: counter("handovers_total",
			"BGP sessions passed on to the next process of the node (detached), taken over from the previous one "+
				"(adopted), "+
				"taken back after a failed handover (resumed), or not passed on (failed).", "result"),
	}
	for _, result := range []handover{handoverDetached, handoverAdopted, handoverResumed, handoverFailed} {
		m.handovers.WithLabelValues(string(result))
	}
	if r != nil {
		r.MustRegister(m.changes, m.failures, m.notifications, m.handovers, newSessions(snapshots))
	}
	return m
}

// changed counts a session that came up or went down.
func (m *metrics) changed(peer string, up bool, reason Reason) {
	to := "down"
	if up {
		to = "up"
	}
	m.changes.WithLabelValues(peer, to, reason.String()).Inc()
}

// failed counts a failed attempt to connect.
func (m *metrics) failed(peer string, reason Reason) {
	m.failures.WithLabelValues(peer, reason.String()).Inc()
}

func (m *metrics) handedOver(result handover) { m.handovers.WithLabelValues(string(result)).Inc() }

// notified counts the notifications between two states of the counters of a session.
func (m *metrics) notified(peer string, last, next session.Counters) {
	const message = wire.TypeNotification
	code := notificationCode(next.Notification)
	if n := next.Sent[message] - last.Sent[message]; n > 0 {
		m.notifications.WithLabelValues(peer, directionSent, code).Add(float64(n))
	}
	if n := next.Received[message] - last.Received[message]; n > 0 {
		m.notifications.WithLabelValues(peer, directionReceived, code).Add(float64(n))
	}
}

// The greatest numbers in use (IANA, BGP Error Codes). A router chooses the numbers, and must not choose how many
// series there are.
const (
	maxCode    = 8
	maxSubcode = 13
)

// notificationCode returns the label code, like "6/2".
func notificationCode(n wire.Notification) string {
	if n.Code > maxCode || n.Subcode > maxSubcode {
		return "other"
	}
	return fmt.Sprintf("%d/%d", n.Code, n.Subcode)
}

// forget deletes the series of a peer that is gone.
func (m *metrics) forget(peer string) {
	for _, c := range []*prometheus.CounterVec{m.changes, m.failures, m.notifications} {
		c.DeletePartialMatch(prometheus.Labels{"peer": peer})
	}
}

// sessions is the collector of what sessions show of themselves.
type sessions struct {
	snapshots                       func() []*snapshot
	up, announced, wanted, messages *prometheus.Desc
}

func newSessions(snapshots func() []*snapshot) *sessions {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lanlord_bgp_"+name, help, labels, nil)
	}
	return &sessions{
		snapshots: snapshots,
		up:        describe("session_up", "Whether the BGP session with a peer is established.", "peer"),
		announced: describe("prefixes_announced", "Prefixes that the router was told on the current session.", "peer",
			"family"),
		wanted:   describe("prefixes_wanted", "Prefixes to announce to the peer.", "peer", "family"),
		messages: describe("messages_total", "BGP messages by type and direction.", "peer", "type", "direction"),
	}
}

// Describe implements prometheus.Collector.
func (s *sessions) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.up, s.announced, s.wanted, s.messages} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *sessions) Collect(to chan<- prometheus.Metric) {
	for _, shown := range s.snapshots() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, kind, value, append([]string{shown.status.Name}, labels...)...)
		}
		up := 0.0
		if shown.status.State == Established {
			up = 1
		}
		send(s.up, prometheus.GaugeValue, up)
		send(s.announced, prometheus.GaugeValue, float64(shown.status.Announced4), wire.IPv4.String())
		send(s.announced, prometheus.GaugeValue, float64(shown.status.Announced6), wire.IPv6.String())
		send(s.wanted, prometheus.GaugeValue, float64(shown.status.Wanted4), wire.IPv4.String())
		send(s.wanted, prometheus.GaugeValue, float64(shown.status.Wanted6), wire.IPv6.String())
		for t := wire.TypeOpen; int(t) < wire.TypeCount; t++ {
			send(s.messages, prometheus.CounterValue, float64(shown.counters.Sent[t]), t.String(), directionSent)
			send(s.messages, prometheus.CounterValue, float64(shown.counters.Received[t]), t.String(),
				directionReceived)
		}
	}
}
