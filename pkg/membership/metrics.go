package membership

import "github.com/prometheus/client_golang/prometheus"

// membersCollector counts the members by state at each scrape.
type membersCollector struct {
	m    *Membership
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c membersCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c membersCollector) Collect(ch chan<- prometheus.Metric) {
	var count [len(states)]int
	for _, member := range c.m.Members() {
		count[member.State]++
	}
	for _, state := range states {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(count[state]), state.String())
	}
}

// registerMetrics creates and registers the metrics.
func (m *Membership) registerMetrics(registerer prometheus.Registerer) error {
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_membership_events_total",
		Help: "What happened to other members: joined, updated (its state or addresses), left (or found dead), " +
			"conflict (two claim one name).",
	}, []string{"event"})
	for _, e := range events {
		m.events.WithLabelValues(e.String())
	}
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanlord_membership_refused_total",
		Help: "Gossip that was not listened to: key (encrypted with none of this member's keys), malformed, " +
			"overflow (too much at once).",
	}, []string{"reason"})
	for _, r := range refusals {
		m.refused.WithLabelValues(r.String())
	}
	for _, c := range []prometheus.Collector{m.events, m.refused} {
		if err := registerer.Register(c); err != nil {
			return err
		}
	}
	return registerer.Register(membersCollector{m, prometheus.NewDesc("lanlord_membership_members",
		"Living members by the state they announce, this one included.", []string{"state"}, nil)})
}

// count counts an event.
func (m *Membership) count(e event) { m.events.WithLabelValues(e.String()).Inc() }

// refuse counts a rejected packet or stream.
func (m *Membership) refuse(r refusal) { m.refused.WithLabelValues(r.String()).Inc() }
