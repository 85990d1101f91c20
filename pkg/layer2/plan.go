package layer2

import (
	"maps"
	"net/netip"
	"path"
	"slices"
)

// table is what a port and its packet readers know. It is never changed after it was published.
type table struct {
	Interface
	// addrs are the addresses to answer for on the interface.
	addrs map[netip.Addr]struct{}
	// announced are those of addrs that another process of this host had announced here when they came.
	announced map[netip.Addr]struct{}
	// known are the addrs, and the ones that are watched on the interface.
	known map[netip.Addr]Mode
	// kernel are those of addrs that the kernel of this host has as well. There should be none.
	kernel map[netip.Addr]struct{}
	// asked are the addresses that are being probed.
	asked *inquiries
	// macs are the hardware addresses of all interfaces of this host.
	macs map[MAC]struct{}
	// scope holds all addresses that frames may concern this host with, those in addrs among them.
	scope *scope
}

func (t *table) equal(o *table) bool {
	return t.Interface.equal(o.Interface) && maps.Equal(t.known, o.known) && maps.Equal(t.announced, o.announced) &&
		maps.Equal(t.kernel, o.kernel) && maps.Equal(t.macs, o.macs) && t.scope == o.scope
}

func (t Target) equal(o Target) bool {
	return t.Addr == o.Addr && t.Mode == o.Mode && t.Announced == o.Announced && slices.Equal(t.Interfaces, o.Interfaces)
}

// normalize returns the targets sorted by address, each address once, without those that are no addresses. Of an address
// that is named twice, the interfaces are united, one entry without interfaces leaves the choice open for all, one entry
// to answer for it decides, and of those one that was not announced.
func normalize(targets []Target) []Target {
	list := make([]Target, 0, len(targets))
	for _, t := range targets {
		if addr := t.Addr.Unmap().WithZone(""); addr.IsValid() {
			names := slices.Clone(t.Interfaces)
			slices.Sort(names)
			list = append(list, Target{
				Addr: addr, Interfaces: slices.Compact(names), Mode: t.Mode, Announced: t.Announced && t.Mode == Answer,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b Target) int { return a.Addr.Compare(b.Addr) })
	out := list[:0]
	for _, t := range list {
		if len(out) == 0 || out[len(out)-1].Addr != t.Addr {
			out = append(out, t)
			continue
		}
		last := &out[len(out)-1]
		if last.Mode == t.Mode {
			last.Announced = last.Announced && t.Announced
		} else if t.Mode == Answer {
			last.Mode, last.Announced = t.Mode, t.Announced
		}
		if len(last.Interfaces) == 0 || len(t.Interfaces) == 0 {
			last.Interfaces = nil
			continue
		}
		last.Interfaces = slices.Concat(last.Interfaces, t.Interfaces)
		slices.Sort(last.Interfaces)
		last.Interfaces = slices.Compact(last.Interfaces)
	}
	return out
}

// plan decides which addresses belong on which interface, by interface index. Interfaces that are down take part: an
// address whose subnet is on an interface without carrier must not turn up in another network.
func plan(targets []Target, interfaces []Interface) map[int]map[netip.Addr]Mode {
	assigned := make(map[int]map[netip.Addr]Mode, len(interfaces))
	for _, i := range interfaces {
		assigned[i.Index] = make(map[netip.Addr]Mode)
	}
	for _, t := range targets {
		subnet := slices.ContainsFunc(interfaces, func(i Interface) bool { return i.Holds(t.Addr) })
		for _, i := range interfaces {
			if t.Wants(i, subnet) {
				assigned[i.Index][t.Addr] = t.Mode
			}
		}
	}
	return assigned
}

// answered returns those addresses that are to be answered for.
func answered(known map[netip.Addr]Mode) map[netip.Addr]struct{} {
	addrs := make(map[netip.Addr]struct{})
	for addr, mode := range known {
		if mode == Answer {
			addrs[addr] = struct{}{}
		}
	}
	return addrs
}

// inherited returns those of the targets that were announced already and were not in the old set in Mode Answer.
func inherited(old, next []Target) map[netip.Addr]struct{} {
	var found map[netip.Addr]struct{}
	for _, t := range next {
		if t.Announced && !answers(old, t.Addr) {
			if found == nil {
				found = make(map[netip.Addr]struct{})
			}
			found[t.Addr] = struct{}{}
		}
	}
	return found
}

// answers reports whether addr is in the sorted targets in Mode Answer.
func answers(targets []Target, addr netip.Addr) bool {
	i, found := slices.BinarySearchFunc(targets, addr, func(t Target, addr netip.Addr) int { return t.Addr.Compare(addr) })
	return found && targets[i].Mode == Answer
}

// keepAnnounced notes which of the table's addresses need no first announcement: those that old, the table before it, noted,
// as the port may not have come to them yet, and those that are inherited.
func (t *table) keepAnnounced(old *table, inherited map[netip.Addr]struct{}) {
	for addr := range t.addrs {
		_, fresh := inherited[addr]
		if !fresh && old != nil {
			_, fresh = old.announced[addr]
		}
		if fresh {
			if t.announced == nil {
				t.announced = make(map[netip.Addr]struct{})
			}
			t.announced[addr] = struct{}{}
		}
	}
}

// common returns those of addrs that are in the sorted list too.
func common(addrs map[netip.Addr]struct{}, list []netip.Addr) map[netip.Addr]struct{} {
	var both map[netip.Addr]struct{}
	for addr := range addrs {
		if _, found := slices.BinarySearchFunc(list, addr, netip.Addr.Compare); found {
			if both == nil {
				both = make(map[netip.Addr]struct{})
			}
			both[addr] = struct{}{}
		}
	}
	return both
}

// Wants reports whether the target belongs on i. subnet tells that some interface has a subnet that holds it.
func (t Target) Wants(i Interface, subnet bool) bool {
	if len(t.Interfaces) == 0 {
		return !subnet || i.Holds(t.Addr)
	}
	return slices.ContainsFunc(t.Interfaces, func(pattern string) bool { return matches(pattern, i.Name) })
}

// matches reports whether name is, or matches, the pattern. A pattern that is none matches nothing but itself.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return pattern == name || err == nil && ok
}

// diff tells which addresses are only in the new set and which only in the old, each in ascending order.
func diff(old, next map[netip.Addr]struct{}) (start, stop []netip.Addr) {
	for addr := range next {
		if _, ok := old[addr]; !ok {
			start = append(start, addr)
		}
	}
	for addr := range old {
		if _, ok := next[addr]; !ok {
			stop = append(stop, addr)
		}
	}
	slices.SortFunc(start, netip.Addr.Compare)
	slices.SortFunc(stop, netip.Addr.Compare)
	return start, stop
}
