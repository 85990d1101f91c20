package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/allocator"
)

// The gauges, all computed from the last plan when they are read.
var (
	poolSize = prometheus.NewDesc("lanlord_pool_addresses",
		"Addresses that a pool has.", []string{"pool", "family"}, nil)
	poolUsed = prometheus.NewDesc("lanlord_pool_addresses_used",
		"Addresses of a pool that Services hold.", []string{"pool", "family"}, nil)
	poolResting = prometheus.NewDesc("lanlord_pool_addresses_resting",
		"Addresses of a pool that were released a short while ago and that rest.", []string{"pool", "family"}, nil)
	services = prometheus.NewDesc("lanlord_services",
		"Services that Lanlord manages, by how they stand: Assigned, or the reason why they are not.", []string{"state"}, nil)
	conflicts = prometheus.NewDesc("lanlord_services_in_conflict",
		"Services with an address that a host which is no node answers for too.", nil, nil)
)

// collector reads the gauges.
type collector struct{ *Controller }

var _ prometheus.Collector = collector{}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{poolSize, poolUsed, poolResting, services, conflicts} {
		to <- d
	}
}

// Collect implements prometheus.Collector. Before the first plan there is nothing to tell.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.summary.Load()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, u := range s.Pools {
		gauge(poolSize, u.Size, u.Pool, u.Family.String())
		gauge(poolUsed, float64(u.Used), u.Pool, u.Family.String())
		gauge(poolResting, float64(u.Resting), u.Pool, u.Family.String())
	}
	gauge(conflicts, float64(s.Conflicts))
	for reason, count := range s.Services {
		gauge(services, float64(count), allocator.Reason(reason).String())
	}
}
