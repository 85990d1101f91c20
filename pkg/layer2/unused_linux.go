package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Unused is a network interface of the host that the announcer does not use.
type Unused struct {
	Name string
	// MAC is empty when the interface has no hardware address of 48 bits.
	MAC string
	// Up is true when the interface is switched on and has a carrier.
	Up bool
	// Why is the reason in one word, such as "excludedByName".
	Why string
}

// unused lists the unused interfaces of the host, by name. unused asks the kernel, independently of Watch.
func (h *host) unused() ([]Unused, error) {
	links, err := retryDump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := retryDump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	set, exclude := newLinkSet(links, addrs), h.exclusion()
	list := []Unused{}
	for _, l := range links {
		attrs := l.Attrs()
		reason := set.unfit(attrs, exclude)
		if reason == fit {
			continue
		}
		u := Unused{Name: attrs.Name, Up: running(attrs.RawFlags), Why: reason.String()}
		if mac, ok := macOf(attrs.HardwareAddr); ok {
			u.MAC = mac.String()
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Unused) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Unused returns the interfaces of the host that the announcer does not use now, by name. With Options.Network set, the
// list is empty.
func (a *Announcer) Unused() ([]Unused, error) {
	if h, ok := a.network.(*host); ok {
		return h.unused()
	}
	return nil, nil
}

// Answering returns the names of the interfaces on which the announcer answers for addr now, sorted.
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
