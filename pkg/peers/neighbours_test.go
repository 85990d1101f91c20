package peers

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// TestNeighbours shows the members that "e" probes in clusters of several sizes, some with unreachable members.
func TestNeighbours(t *testing.T) {
	for _, c := range []struct {
		name, ready, unreachable string
		want                     string
	}{
		{"alone", "e", "", ""},
		{"not ready itself", "d f", "", ""},
		{"two", "e f", "", "f"},
		{"three", "d e f", "", "d f"},
		{"the circle is closed", "a b c d e", "", "d a"},
		{"one is unreachable", "a b c d e f g", "f", "d f g"},
		{"both are unreachable", "a b c d e f g", "d f", "d c f g"},
		{"two in a row are unreachable", "a b c d e f g h", "f g", "d f g h a"},
		{"an unreachable neighbour stays one", "a b c d e f", "d c f a", "d c b a f"},
		{"all are unreachable", "c d e f g", "c d f g", "d c g f"},
		{"eight on each side at most", "e f g h i j k l m n o p q r s t u v w x y z",
			"f g h i j k l m n z y x w v u t s r", "z y x w v u t s f g h i j k l m"},
	} {
		var members []membership.Member
		for name := range strings.FieldsSeq(c.ready) {
			members = append(members, membership.Member{Name: name, State: membership.Ready})
		}
		members = append(members, membership.Member{Name: "ee", State: membership.Leaving})
		unreachable := strings.Fields(c.unreachable)
		got := neighbours("e", members, func(name string) bool { return slices.Contains(unreachable, name) })
		if want := strings.Fields(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: %q ready, %q unreachable: probes %q, want %q", c.name, c.ready, c.unreachable, got, want)
		}
	}
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestProbeAddress(t *testing.T) {
	interfaces := []layer2.Interface{
		{Name: "eth0", Up: true, Prefixes: prefixes("10.0.0.1/24", "fd00::1/64")},
		{Name: "eth1", Prefixes: prefixes("10.1.0.1/24")},
	}
	link := func(last byte, addr string, subnets ...string) membership.Link {
		l := membership.Link{MAC: membership.MAC{2, last}, Subnets: prefixes(subnets...)}
		if addr != "" {
			l.Beacon = netip.MustParseAddr(addr)
		}
		return l
	}
	right, wrong := link(2, "10.0.0.9", "10.0.0.0/24"), link(1, "10.0.0.9", "10.2.0.0/24")
	for _, c := range []struct {
		name  string
		links []membership.Link
		mac   byte // of the probed link, 0 for none
	}{
		{"no links", nil, 0},
		{"a link without a probe address", []membership.Link{link(1, "", "10.0.0.0/24")}, 0},
		{"an address in a subnet of its link", []membership.Link{link(1, "10.0.0.9", "10.0.0.0/24")}, 1},
		{"an IPv6 address in the second subnet", []membership.Link{link(1, "fd00::9", "10.0.0.0/24", "fd00::/64")}, 1},
		{"a link without a subnet", []membership.Link{link(1, "10.0.0.9")}, 1},
		{"a network that this node is not on", []membership.Link{link(1, "10.2.0.9", "10.2.0.0/24")}, 0},
		{"a network whose interface is down", []membership.Link{link(1, "10.1.0.9", "10.1.0.0/24")}, 0},
		{"the second link is on a shared network", []membership.Link{link(1, "10.2.0.9", "10.2.0.0/24"), right}, 2},
		{"an address of another interface of the neighbour", []membership.Link{wrong}, 0},
		{"the same address at the right link too", []membership.Link{wrong, right}, 2},
	} {
		mac, addr := probeAddress(membership.Member{Links: c.links}, interfaces)
		if addr.IsValid() != (c.mac != 0) || c.mac != 0 && mac != (layer2.MAC{2, c.mac}) {
			t.Errorf("%s: probes %s at %s", c.name, addr, mac)
		}
	}
}
