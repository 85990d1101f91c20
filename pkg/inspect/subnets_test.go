package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestSubnetsAndProtocols examines pools inside and outside the subnets of the nodes, with each protocol.
func TestSubnetsAndProtocols(t *testing.T) {
	for pool, want := range map[string]string{
		"{name: p, protocol: layer2, addresses: [10.0.0.8/29, fd00::8/125]}":            "",
		"{name: p, protocol: layer2, addresses: [192.0.2.0/24]}":                        "in no subnet of any node, so they are announced on all interfaces: 192.0.2.0-192.0.2.255",
		"{name: p, protocols: [layer2, bgp], addresses: [192.0.2.0/24, 10.0.0.9]}":      "",
		"{name: p, protocol: bgp, addresses: [192.0.2.0/24, fd01::/64]}":                "",
		"{name: p, protocol: bgp, addresses: [10.0.0.250-10.0.1.9]}":                    "in the subnet 10.0.0.0/24, whose hosts get no answer to ARP and NDP: 10.0.0.250-10.0.0.255",
		"{name: p, protocol: bgp, addresses: [fd00::ffff:ffff:ffff:fffe-fd00:0:0:1::]}": "in the subnet fd00::/64, whose hosts get no answer to ARP and NDP: fd00::ffff:ffff:ffff:fffe-fd00::ffff:ffff:ffff:ffff",
	} {
		cfg, err := config.Parse([]byte("address-pools: [" + pool + "]"))
		if err != nil {
			t.Fatal(err)
		}
		c := &Cluster{Config: Config{Config: cfg}, Speakers: []Speaker{{Networks: cluster.Networks{
			Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")},
		}}}}
		var found findings
		checkSubnets(c, &found)
		if want == "" && len(found) == 0 {
			continue
		}
		if len(found) != 1 || want == "" || !strings.HasSuffix(found[0].Message, want) || found[0].Verdict != Remark {
			t.Errorf("%s: found %+v, want %q", pool, found, want)
		}
	}
}

func TestRoutedAddressesNeedNoOwner(t *testing.T) {
	cfg, err := config.Parse([]byte(`
address-pools:
- {name: routed, protocol: bgp, addresses: [10.0.0.1]}
- {name: both, protocols: [layer2, bgp], addresses: [10.0.0.2]}
`))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Config: Config{Config: cfg}}
	for text, want := range map[string]bool{"10.0.0.1": true, "10.0.0.2": false, "10.0.0.3": false} {
		if c.routed(netip.MustParseAddr(text)) != want {
			t.Errorf("%s is routed: %t", text, !want)
		}
	}
	if (&Cluster{}).routed(netip.MustParseAddr("10.0.0.1")) {
		t.Error("without a configuration the pools are not known")
	}
}
