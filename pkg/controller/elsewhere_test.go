package controller

import (
	"testing"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestElsewhere counts the free addresses that the Services of each pool can get from other pools.
func TestElsewhere(t *testing.T) {
	cfg, err := config.Parse([]byte(`address-pools:
- {name: open, protocol: layer2, addresses: [10.0.0.0/24]}
- {name: second, protocol: layer2, addresses: [10.0.1.0/24]}
- {name: named, protocol: layer2, addresses: [10.0.2.0/24], auto-assign: false}
- {name: team, protocol: layer2, addresses: [10.0.3.0/24], namespaces: [a]}
- {name: old, protocol: layer2, addresses: [10.0.4.0/24], disabled: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	usage := func(pool string, size float64, used int) allocator.Usage {
		return allocator.Usage{Pool: pool, Family: cluster.IPv4, Size: size, Used: used}
	}
	pools := []allocator.Usage{
		usage("open", 10, 10), usage("second", 10, 7), usage("named", 10, 10), usage("team", 10, 10), usage("old", 10, 10), usage("gone", 10, 10),
		{Pool: "six", Family: cluster.IPv6, Size: 50},
	}
	e := newElsewhere(cfg, pools)
	for pool, want := range map[string]float64{"open": 3, "second": 0, "named": 0, "team": 3, "old": 3, "gone": 0} {
		for _, u := range pools {
			if u.Pool == pool && e.of(u) != want {
				t.Errorf("the Services of the pool %s get %v addresses elsewhere, want %v", pool, e.of(u), want)
			}
		}
	}
	if n := newElsewhere(nil, pools).of(pools[0]); n != 0 {
		t.Errorf("without a configuration, %v addresses are elsewhere", n)
	}
}
