package bfd

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetrics scrapes two sessions with one peer and a session with another peer.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(Options{Registerer: registry})
	near, far := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("fd00::2")
	status := func(remote netip.Addr, multihop bool, state State, interval time.Duration) entry {
		return entry{Status: Status{Key: Key{Remote: remote, Multihop: multihop}, State: state,
			TransmitInterval: interval,
			DetectionTime:    3 * interval}, counts: &counts{}}
	}
	list := []entry{status(far, false, Up, 50*time.Millisecond), status(near, false, Up, 100*time.Millisecond),
		status(near, true, Down, time.Second)}
	list[2].Problem = "bind: address already in use"
	list[1].counts.change(Up, 0)
	list[2].counts.change(Up, 0)
	list[2].counts.change(Down, 1)
	list[2].counts.change(Down, 31)
	list[2].counts.falseAlarms.Add(1)
	list[1].counts.sent.Add(5)
	list[2].counts.sent.Add(2)
	list[0].counts.received.Add(7)
	m.status.Store(&list)
	m.metrics.lateness.Observe(0.02)
	const want = `
# HELP lanlord_bfd_detection_time_seconds Time without packets of the peer after which the session goes down.
# TYPE lanlord_bfd_detection_time_seconds gauge
lanlord_bfd_detection_time_seconds{peer="192.0.2.2"} 3
lanlord_bfd_detection_time_seconds{peer="fd00::2"} 0.15
# HELP lanlord_bfd_false_alarms_total Times that the peer signaled Down while this process was late.
# TYPE lanlord_bfd_false_alarms_total counter
lanlord_bfd_false_alarms_total{peer="192.0.2.2"} 1
lanlord_bfd_false_alarms_total{peer="fd00::2"} 0
# HELP lanlord_bfd_interval_seconds Transmit interval in use. It is larger than configured while this process is late.
# TYPE lanlord_bfd_interval_seconds gauge
lanlord_bfd_interval_seconds{peer="192.0.2.2"} 1
lanlord_bfd_interval_seconds{peer="fd00::2"} 0.05
# HELP lanlord_bfd_packets_total BFD packets sent to the peer and accepted from the peer.
# TYPE lanlord_bfd_packets_total counter
lanlord_bfd_packets_total{direction="received",peer="192.0.2.2"} 0
lanlord_bfd_packets_total{direction="received",peer="fd00::2"} 7
lanlord_bfd_packets_total{direction="sent",peer="192.0.2.2"} 7
lanlord_bfd_packets_total{direction="sent",peer="fd00::2"} 0
# HELP lanlord_bfd_session_changes_total Changes of the state of the session, by the new state and the reason.
# TYPE lanlord_bfd_session_changes_total counter
lanlord_bfd_session_changes_total{diagnostic="DetectionTimeExpired",peer="192.0.2.2",to="Down"} 1
lanlord_bfd_session_changes_total{diagnostic="DetectionTimeExpired",peer="fd00::2",to="Down"} 0
lanlord_bfd_session_changes_total{diagnostic="None",peer="192.0.2.2",to="Up"} 2
lanlord_bfd_session_changes_total{diagnostic="None",peer="fd00::2",to="Up"} 0
lanlord_bfd_session_changes_total{diagnostic="Reserved",peer="192.0.2.2",to="Down"} 1
# HELP lanlord_bfd_session_problem 1 if the session has no sockets, else 0.
# TYPE lanlord_bfd_session_problem gauge
lanlord_bfd_session_problem{peer="192.0.2.2"} 1
lanlord_bfd_session_problem{peer="fd00::2"} 0
# HELP lanlord_bfd_session_up 1 if the BFD session with the peer is up, else 0.
# TYPE lanlord_bfd_session_up gauge
lanlord_bfd_session_up{peer="192.0.2.2"} 0
lanlord_bfd_session_up{peer="fd00::2"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "lanlord_bfd_detection_time_seconds",
		"lanlord_bfd_false_alarms_total", "lanlord_bfd_interval_seconds", "lanlord_bfd_packets_total", "lanlord_bfd_session_changes_total",
		"lanlord_bfd_session_problem", "lanlord_bfd_session_up"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
