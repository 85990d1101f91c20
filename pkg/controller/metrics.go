package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// The gauges. The collector computes all gauges but serviceAddress from the last plan at each scrape, and
// serviceAddress from the current snapshot.
var (
	poolSize = prometheus.NewDesc("lanlord_pool_addresses",
		"Addresses that a pool has; above 2^53, as in most pools of IPv6, it is rounded.", []string{"pool", "family"}, nil)
	poolUsed = prometheus.NewDesc("lanlord_pool_addresses_used",
		"Addresses of a pool that Services hold.", []string{"pool", "family"}, nil)
	poolResting = prometheus.NewDesc("lanlord_pool_addresses_resting",
		"Addresses of a pool that were released a short while ago and that rest.", []string{"pool", "family"}, nil)
	poolKept = prometheus.NewDesc("lanlord_pool_addresses_kept",
		"Addresses of a pool that nobody holds and not everybody gets: quarantined (a stranger answers for it), withheld (of a Node or a "+
			"gateway, or the end of a subnet) or reserved (for certain Services).", []string{"pool", "family", "why"}, nil)
	poolFree = prometheus.NewDesc("lanlord_pool_addresses_free",
		"Addresses of a pool that nobody holds and everybody gets who may use the pool, resting ones included; above 2^53 it is rounded.",
		[]string{"pool", "family"}, nil)
	poolElsewhere = prometheus.NewDesc("lanlord_pool_addresses_elsewhere",
		"Free addresses of other pools for a Service that any pool may serve; 0 for a pool that only serves Services which name it. "+
			"Counted are pools with auto-assign that are open to all Services.", []string{"pool", "family"}, nil)
	services = prometheus.NewDesc("lanlord_services",
		"Services that Lanlord manages, by state (assigned; partial, which lacks an address; waiting, which has none) and by reason, the word "+
			"of the Service's condition.", []string{"state", "reason"}, nil)
	serviceAddress = prometheus.NewDesc("lanlord_service_address",
		"1 for each address of each Service; only with --address-metrics.", []string{"service", "ip", "pool"}, nil)
	conflicts = prometheus.NewDesc("lanlord_services_in_conflict",
		"Services with an address that a host which is no node answers for too.", nil, nil)
)

// metrics holds the histogram, which the loop updates. The collector computes the gauges.
type metrics struct{ assignment prometheus.Histogram }

// newMetrics registers the metrics with r unless r is nil.
func newMetrics(r prometheus.Registerer, c *Controller) *metrics {
	m := &metrics{assignment: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "lanlord_service_assignment_seconds",
		Help: "Time from the creation of a Service until its addresses are in its status. One that is refused first, and has to wait, does " +
			"not count; see lanlord_services.",
		Buckets: []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
	})}
	if r != nil {
		r.MustRegister(m.assignment, collector{c})
	}
	return m
}

// collector computes the gauges at each scrape.
type collector struct{ *Controller }

var _ prometheus.Collector = collector{}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{poolSize, poolUsed, poolResting, poolKept, poolFree, poolElsewhere, services, conflicts} {
		to <- d
	}
	if c.AddressMetrics {
		to <- serviceAddress
	}
}

// Collect implements prometheus.Collector. Before the first plan, Collect sends nothing.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.summary.Load()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	elsewhere := newElsewhere(c.Source.Snapshot().Config, s.Pools)
	for _, u := range s.Pools {
		family := u.Family.String()
		gauge(poolSize, u.Size, u.Pool, family)
		gauge(poolUsed, float64(u.Used), u.Pool, family)
		gauge(poolResting, float64(u.Resting), u.Pool, family)
		gauge(poolKept, float64(u.Quarantined), u.Pool, family, "quarantined")
		gauge(poolKept, float64(u.Withheld), u.Pool, family, "withheld")
		gauge(poolKept, float64(u.Reserved), u.Pool, family, "reserved")
		gauge(poolFree, u.Free(), u.Pool, family)
		gauge(poolElsewhere, elsewhere.of(u), u.Pool, family)
	}
	gauge(conflicts, float64(s.Conflicts))
	for i, count := range s.Services {
		why := reason.Assignment(i)
		if why == reason.Assigned {
			gauge(services, float64(count), "assigned", why.String())
			continue
		}
		gauge(services, float64(s.Partial[i]), "partial", why.String())
		gauge(services, float64(count-s.Partial[i]), "waiting", why.String())
	}
	if c.AddressMetrics {
		c.collectAddresses(gauge)
	}
}

// elsewhere counts the free addresses of the pools that serve every Service.
type elsewhere struct {
	pools map[string]*config.Pool
	free  map[cluster.Family]float64
}

func newElsewhere(cfg *config.Config, usage []allocator.Usage) elsewhere {
	e := elsewhere{pools: map[string]*config.Pool{}, free: map[cluster.Family]float64{}}
	if cfg == nil {
		return e
	}
	for i := range cfg.Pools {
		e.pools[cfg.Pools[i].Name] = &cfg.Pools[i]
	}
	for _, u := range usage {
		if e.open(u.Pool) {
			e.free[u.Family] += u.Free()
		}
	}
	return e
}

// open reports whether a pool serves every Service that names no pool.
func (e elsewhere) open(pool string) bool {
	p := e.pools[pool]
	return p != nil && p.AutoAssign && !p.Disabled && len(p.Namespaces)+len(p.NamespaceSelectors)+len(p.ServiceSelectors) == 0
}

// of returns the number of free addresses in other pools for the Services of a pool.
func (e elsewhere) of(u allocator.Usage) float64 {
	switch p := e.pools[u.Pool]; {
	case p == nil || !p.AutoAssign && !p.Disabled:
		return 0 // the Services name the pool
	case e.open(u.Pool):
		return max(0, e.free[u.Family]-u.Free())
	}
	return e.free[u.Family]
}

// collectAddresses sends a gauge for each address that Lanlord has assigned to a Service.
func (c collector) collectAddresses(gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	snapshot := c.Source.Snapshot()
	for _, svc := range snapshot.Services {
		if !svc.Managed || svc.AllocatedFrom == "" {
			continue
		}
		for _, addr := range svc.Ingress {
			name := ""
			if snapshot.Config != nil {
				if pool := snapshot.Config.PoolOf(addr); pool != nil {
					name = pool.Name
				}
			}
			gauge(serviceAddress, 1, svc.Key.String(), addr.String(), name)
		}
	}
}
