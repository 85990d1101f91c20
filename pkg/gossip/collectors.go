package gossip

import "github.com/prometheus/client_golang/prometheus"

// collectors remembers the registered metrics of a membership, to remove them before the next membership registers its
// own. The counters of the next membership begin at zero again.
type collectors struct {
	prometheus.Registerer
	registered []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (c *collectors) Register(collector prometheus.Collector) error {
	if err := c.Registerer.Register(collector); err != nil {
		return err
	}
	c.registered = append(c.registered, collector)
	return nil
}

func (c *collectors) unregister() {
	for _, collector := range c.registered {
		c.Unregister(collector)
	}
}
