package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Unused is a network interface of the host that nothing is announced on.
type Unused struct {
	Name string
	// MAC is empty when the interface has none of 48 bits.
	MAC string
	// Up is true when it is switched on and has a carrier.
	Up bool
	// Why is one word, like "excludedByName".
	Why string
}

// unused lists the host's interfaces that are not used, by name. It asks the kernel, and leaves what Watch follows alone.
func (h *host) unused() ([]Unused, error) {
	links, err := retryDump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	kinds := map[int]string{}
	for _, l := range links {
		kinds[l.Attrs().Index] = l.Type()
	}
	list := []Unused{}
	for _, l := range links {
		attrs := l.Attrs()
		reason := stationOf(attrs, kinds).unfit(h.exclude)
		if reason == fit {
			continue
		}
		u := Unused{Name: attrs.Name, Up: running(attrs.RawFlags), Why: reason.String()}
		if len(attrs.HardwareAddr) == len(MAC{}) {
			u.MAC = MAC(attrs.HardwareAddr).String()
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Unused) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// stationOf returns what of a link decides whether it is used. kinds are the kinds of all links by index.
func stationOf(attrs *netlink.LinkAttrs, kinds map[int]string) station {
	return station{name: attrs.Name, flags: attrs.RawFlags, encapsulation: attrs.EncapType, mac: attrs.HardwareAddr,
		master: kinds[attrs.MasterIndex]}
}

// Unused returns the host's interfaces that are not used, by name, as they are now. With a Network of the caller's there are none.
func (a *Announcer) Unused() ([]Unused, error) {
	if h, ok := a.network.(*host); ok {
		return h.unused()
	}
	return nil, nil
}

// Answering returns the names of the interfaces that addr is answered on now, sorted.
func (a *Announcer) Answering(addr netip.Addr) []string {
	var names []string
	for _, p := range *a.ports.Load() {
		if t := p.table.Load(); t.Up && t.holds(addr) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}
