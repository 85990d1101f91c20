package speaker

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
)

// TestNetworks collects the networks of all interfaces, also of an interface without a carrier: its gateway still
// belongs to a host.
func TestNetworks(t *testing.T) {
	got := networksOf([]layer2.Interface{
		{Name: "eth0", MAC: layer2.MAC{2, 5: 7}, Up: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::7/64")},
			Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")}},
		{Name: "eth1", MAC: layer2.MAC{2, 5: 8}, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.7/25")},
			Gateways: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
	})
	want := cluster.Networks{
		Subnets: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("198.51.100.0/25"),
		},
		Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("198.51.100.1")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
