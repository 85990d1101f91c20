package layer2

import (
	"fmt"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestLinksBelow reads from the kernel's messages which links move others.
func TestLinksBelow(t *testing.T) {
	set := newLinkSet(linksOf(t, bondHost), nil)
	for name, want := range map[string]string{
		"eno1": "[2]", "bond0": "[4]", "bond0.7": "[5 4]", "vmbr0": "[6 7]", "docker0": "[10]",
		"veth12": "[9]", // the parent is the other end
	} {
		at := slices.IndexFunc(bondHost, func(m message) bool { return m.name == name })
		if got := fmt.Sprint(set.below(int(bondHost[at].index))); got != want {
			t.Errorf("%s moves with %s, want %s", name, got, want)
		}
	}
	if got := fmt.Sprint(set.below(99)); got != "[99]" {
		t.Errorf("no interface moves with %s", got)
	}
}

// TestMovesOfStacks moves a bond under a VLAN and under a bridge, and takes the carrier of a port of the bridge away for
// some time: each is a move of the interfaces above, and of no others.
func TestMovesOfStacks(t *testing.T) {
	const bond, vlan, bridge, port, cable, other = 4, 5, 6, 7, 8, 9
	attrs := func(index, master, parent int) netlink.LinkAttrs {
		return netlink.LinkAttrs{Index: index, MasterIndex: master, ParentIndex: parent, RawFlags: unix.IFF_UP | unix.IFF_RUNNING, NetNsID: -1}
	}
	m := newMoves()
	look := func(active int, carrier bool) []uint64 {
		down := attrs(port, bridge, 0)
		if !carrier {
			down.RawFlags = unix.IFF_UP
		}
		set := newLinkSet([]netlink.Link{
			&netlink.Bond{LinkAttrs: attrs(bond, bridge, 0), ActiveSlave: active}, &netlink.Vlan{LinkAttrs: attrs(vlan, 0, bond)},
			&netlink.Bridge{LinkAttrs: attrs(bridge, 0, 0)}, &netlink.Device{LinkAttrs: down},
			&netlink.Veth{LinkAttrs: attrs(cable, bridge, 0)}, &netlink.Device{LinkAttrs: attrs(other, 0, 0)},
		}, nil)
		m.note(set)
		return []uint64{m.of(set, vlan), m.of(set, bridge), m.of(set, other)}
	}
	for _, step := range []struct {
		name    string
		active  int
		carrier bool
		want    []uint64
	}{
		{"at first", 2, true, []uint64{0, 0, 0}},
		{"nothing new", 2, true, []uint64{0, 0, 0}},
		{"the bond moves", 3, true, []uint64{1, 1, 0}},
		{"a port of the bridge is down", 3, false, []uint64{1, 1, 0}},
		{"and up again", 3, true, []uint64{1, 2, 0}},
	} {
		if got := look(step.active, step.carrier); !slices.Equal(got, step.want) {
			t.Errorf("%s: VLAN, bridge and another interface have moved %v times, want %v", step.name, got, step.want)
		}
	}
	if !m.isPort(port) || m.isPort(cable) || m.isPort(other) {
		t.Error("the ports of the bridge are wrong")
	}
}
