package layer2

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/pathprobe"
)

// metrics holds resolved counters, so that counting a frame needs no lookup by label. received resolves the remaining
// counters.
type metrics struct {
	requests      *prometheus.CounterVec
	peerFrames    *prometheus.CounterVec
	reopened      [protocols]prometheus.Counter
	announcements [protocols][rounds]prometheus.Counter
	heldBack      [protocols][rounds]prometheus.Counter
	claims        [protocols]prometheus.Counter
	probes        [protocols][outcomes]prometheus.Counter
	socketErrors  [protocols]prometheus.Counter
	lost          [protocols]prometheus.Counter
	standstills   prometheus.Counter
	paths         [pathprobe.Outcomes]prometheus.Counter
}

// newMetrics registers the counters, and gauges computed at each scrape from the published state of a. r may be nil.
func newMetrics(r prometheus.Registerer, a *Announcer) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_requests_total",
		Help: "ARP packets, NDP messages and echo requests received on an interface in use, by what became of them. Frames of other speakers are in lanlord_layer2_peer_frames_total.",
	}, []string{"interface", "protocol", "verdict"})
	peerFrames := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_peer_frames_total",
		Help: "ARP packets and NDP messages of other nodes: answered questions of their speakers, answers, and announcements of their addresses.",
	}, []string{"protocol", "frame"})
	announcements := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_announcements_total",
		Help: "Frames sent unasked to announce an address: the first, a repeat, or a refresh.",
	}, []string{"protocol", "round"})
	heldBack := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_announcements_held_back_total",
		Help: "Announcements of an address that had to wait because the rate was used up: the first, a repeat, or a refresh.",
	}, []string{"protocol", "round"})
	claims := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_claims_total",
		Help: "Frames by which another station claimed an address that this node answers for.",
	}, []string{"protocol"})
	probes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_probes_total",
		Help: "Addresses that were probed, by what came of it.",
	}, []string{"protocol", "outcome"})
	socketErrors := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_socket_errors_total",
		Help: "Failures to open a socket, to read from it or to write to it.",
	}, []string{"protocol"})
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_frames_lost_total",
		Help: "Frames that came when the buffer of a socket was full. Their hosts ask again.",
	}, []string{"protocol"})
	reopened := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_layer2_sockets_reopened_total",
		Help: "Sockets that were opened again after they had failed.",
	}, []string{"protocol"})

	paths := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_path_probes_total",
		Help: "Probes of the path through a node to a port of a Service, by what came back.",
	}, []string{"result"})

	m := &metrics{requests: requests, peerFrames: peerFrames, standstills: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lanlord_layer2_standstills_total",
		Help: "Times that this process was found to have stood still for so long that other nodes may have taken over.",
	})}
	for p := range protocols {
		m.reopened[p] = reopened.WithLabelValues(p.String())
		m.socketErrors[p] = socketErrors.WithLabelValues(p.String())
		m.lost[p] = lost.WithLabelValues(p.String())
		if !p.resolves() {
			continue
		}
		for o := range rounds {
			m.announcements[p][o] = announcements.WithLabelValues(p.String(), o.String())
			m.heldBack[p][o] = heldBack.WithLabelValues(p.String(), o.String())
		}
		for o := range outcomes {
			m.probes[p][o] = probes.WithLabelValues(p.String(), o.String())
		}
		m.claims[p] = claims.WithLabelValues(p.String())
	}
	for o := range m.paths {
		m.paths[o] = paths.WithLabelValues(pathprobe.Outcome(o).String())
	}
	if r != nil {
		r.MustRegister(paths, requests, peerFrames, announcements, heldBack, claims, probes, socketErrors, lost, reopened, m.standstills, newStateCollector(a))
	}
	return m
}

// received returns the counters for the frames received by one socket, by verdict.
func (m *metrics) received(iface string, p Protocol) (counters [verdicts]prometheus.Counter) {
	for v := range verdicts {
		switch frame, ofPeer := peerFrame(v); {
		case !ofPeer:
			counters[v] = m.requests.WithLabelValues(iface, p.String(), v.String())
		case p.resolves():
			counters[v] = m.peerFrames.WithLabelValues(p.String(), frame)
		}
	}
	return counters
}

// peerFrame returns the kind of a peer's frame with the verdict v; ofPeer is false for the verdicts on other frames.
func peerFrame(v Verdict) (frame string, ofPeer bool) {
	switch v {
	case PeerQuestion:
		return "question", true
	case PeerAnswer:
		return "answer", true
	case PeerAnnouncement:
		return "announcement", true
	}
	return "", false
}

// forget drops the series of a removed interface.
func (m *metrics) forget(iface string) {
	m.requests.DeletePartialMatch(prometheus.Labels{"interface": iface})
}

// stateCollector computes gauges from the published state of the announcer.
type stateCollector struct {
	a         *Announcer
	up        *prometheus.Desc
	addresses *prometheus.Desc
	sockets   *prometheus.Desc
}

func newStateCollector(a *Announcer) *stateCollector {
	return &stateCollector{
		a: a,
		up: prometheus.NewDesc("lanlord_layer2_interface_up",
			"1 for an interface in use that is up and has a carrier, 0 for one that is not.", []string{"interface"}, nil),
		addresses: prometheus.NewDesc("lanlord_layer2_addresses",
			"Addresses that this process answers for; while one process of a node follows another, both do.", nil, nil),
		sockets: prometheus.NewDesc("lanlord_layer2_sockets_open",
			"Sockets that are open, one for each interface and protocol.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.up
	ch <- c.addresses
	ch <- c.sockets
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	for _, i := range c.a.Interfaces() {
		up := 0.0
		if i.Up {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, i.Name)
	}
	ch <- prometheus.MustNewConstMetric(c.addresses, prometheus.GaugeValue, float64(c.a.held()))
	ch <- prometheus.MustNewConstMetric(c.sockets, prometheus.GaugeValue, float64(c.a.sockets.Load()))
}
