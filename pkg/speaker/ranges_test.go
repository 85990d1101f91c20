package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestLayer2Ranges has pools of each protocol: the sockets and the links of this node heed those with layer2.
func TestLayer2Ranges(t *testing.T) {
	cfg, err := config.Parse([]byte(`
address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.0/24]}
- {name: b, protocol: bgp, addresses: [10.1.0.0/24]}
- {name: c, protocols: [bgp, layer2], addresses: [10.2.0.0/24]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(layer2Ranges(cfg)); got != "[10.0.0.0-10.0.0.255 10.2.0.0-10.2.0.255]" {
		t.Errorf("got %s", got)
	}
	smaller, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/25]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	delayed := smaller.WithPast([]config.Past{{Config: cfg}})
	if got := fmt.Sprint(layer2Ranges(delayed)); got != "[10.0.0.0-10.0.0.127 10.0.0.128-10.0.0.255 10.2.0.0-10.2.0.255]" {
		t.Errorf("within a withdraw-delay: %s", got)
	}
	for subnet, want := range map[string]int{"10.0.0.0/16": 1, "10.1.0.0/24": 0, "10.2.0.128/25": 1} {
		if got := importance(cfg, membership.Link{Subnets: []netip.Prefix{netip.MustParsePrefix(subnet)}}); got != want {
			t.Errorf("the importance of %s is %d", subnet, got)
		}
	}
}
