package layer2

import (
	"slices"

	"github.com/vishvananda/netlink"
)

// moves counts the events after which the switches must learn the port of a link anew, although the link may be up: the
// link was down for a moment, a bond moved to another slave, or a port of a bridge has a carrier again. The zero value
// is not ready; newMoves makes one.
type moves struct {
	count map[int]uint64
	// active is the active slave, by index of the bond. running is true for a port of a bridge that had a carrier at the
	// last look, by index of the port.
	active  map[int]int
	running map[int]bool
}

func newMoves() moves {
	return moves{count: map[int]uint64{}, active: map[int]int{}, running: map[int]bool{}}
}

// flapped counts a link that was down.
func (m *moves) flapped(index int) { m.count[index]++ }

// isPort reports whether the link was a port of a bridge at the last look.
func (m *moves) isPort(index int) bool {
	_, is := m.running[index]
	return is
}

// note compares the bonds and the ports of bridges with the state at the last look. The ends of virtual cables do not
// count as ports: with each start of a virtual machine a new one comes up.
func (m *moves) note(set *linkSet) {
	ports := map[int]bool{}
	for _, l := range set.links {
		attrs := l.Attrs()
		if bond, ok := l.(*netlink.Bond); ok {
			if before, known := m.active[attrs.Index]; known && before != bond.ActiveSlave {
				m.count[attrs.Index]++
			}
			m.active[attrs.Index] = bond.ActiveSlave
		}
		if set.kind(attrs.MasterIndex) != "bridge" || isCable(l) {
			continue
		}
		is := running(attrs.RawFlags)
		if was, known := m.running[attrs.Index]; known && is && !was {
			m.count[attrs.Index]++
		}
		ports[attrs.Index] = is
	}
	m.running = ports
}

// of returns the count for a link: the events of the link and of the links below.
func (m *moves) of(set *linkSet, index int) (sum uint64) {
	for _, i := range set.below(index) {
		sum += m.count[i]
	}
	return sum
}

// below returns the index of a link and the indexes of the links whose moves are moves of the link too: the parent of a
// VLAN, macvlan or ipvlan, and the ports of a bridge other than virtual cables. The slaves of a bond do not count, since
// the bond itself moves from one to another.
func (s *linkSet) below(index int) []int {
	list := []int{index}
	for at := 0; at < len(list); at++ {
		l := s.byIndex[list[at]]
		if l == nil {
			continue
		}
		var next []int
		switch attrs := l.Attrs(); l.Type() {
		case "vlan", "macvlan", "ipvlan":
			// A link moved here from another network namespace has a parent outside the list.
			if attrs.NetNsID < 0 {
				next = []int{attrs.ParentIndex}
			}
		case "bridge":
			for _, port := range s.links {
				if port.Attrs().MasterIndex == attrs.Index && !isCable(port) {
					next = append(next, port.Attrs().Index)
				}
			}
		}
		for _, i := range next {
			// A list read during a change may contain a loop.
			if i != 0 && !slices.Contains(list, i) {
				list = append(list, i)
			}
		}
	}
	return list
}
