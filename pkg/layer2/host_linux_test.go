package layer2

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestBondFailover requires that each move of a bond to another slave counts as a flap, and nothing else does: the
// switches must learn the new port.
func TestBondFailover(t *testing.T) {
	m := newMoves()
	bond := netlink.NewLinkBond(netlink.LinkAttrs{Index: 7})
	for _, step := range []struct {
		slave int
		want  uint64
	}{{2, 0}, {2, 0}, {3, 1}, {3, 1}, {-1, 2}, {3, 3}} {
		bond.ActiveSlave = step.slave
		m.note(newLinkSet([]netlink.Link{bond}, nil))
		if got := m.count[7]; got != step.want {
			t.Errorf("%d moves counted with slave %d, want %d", got, step.slave, step.want)
		}
	}
	m.note(newLinkSet([]netlink.Link{bond, &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 8}}}, nil))
	if len(m.count) != 1 {
		t.Errorf("moves counted of what is no bond: %v", m.count)
	}
}

func TestLocalAddrs(t *testing.T) {
	var addrs []netlink.Addr
	for _, text := range []string{"192.0.2.7/24", "2001:db8::7/64", "fe80::7/64", "10.96.0.1/32", "192.0.2.7/32"} {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, *a)
	}
	want := []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	if got := localAddrs(addrs); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
