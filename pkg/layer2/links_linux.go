package layer2

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// exclusion is the rule for leaving interfaces unused by name.
type exclusion struct {
	patterns []string
	// node lists addresses of the Node. The patterns do not apply to an interface with such an address.
	node []netip.Addr
}

// linkSet lists all links of a host with their addresses, as read from the kernel. The methods make no requests to the
// kernel.
type linkSet struct {
	links   []netlink.Link
	byIndex map[int]netlink.Link
	addrs   map[int][]netlink.Addr // by index of the link
}

func newLinkSet(links []netlink.Link, addrs []netlink.Addr) *linkSet {
	s := &linkSet{links: links, byIndex: map[int]netlink.Link{}, addrs: map[int][]netlink.Addr{}}
	for _, l := range links {
		s.byIndex[l.Attrs().Index] = l
	}
	for _, a := range addrs {
		s.addrs[a.LinkIndex] = append(s.addrs[a.LinkIndex], a)
	}
	return s
}

// unfit returns the reason why a link is not used, or fit.
func (s *linkSet) unfit(attrs *netlink.LinkAttrs, exclude exclusion) unfitness {
	patterns := exclude.patterns
	if slices.ContainsFunc(s.addrs[attrs.Index], func(a netlink.Addr) bool {
		addr, ok := netip.AddrFromSlice(a.IP)
		return ok && slices.Contains(exclude.node, addr.Unmap())
	}) {
		patterns = nil
	}
	return station{name: attrs.Name, flags: attrs.RawFlags, encapsulation: attrs.EncapType, mac: attrs.HardwareAddr,
		master: s.kind(attrs.MasterIndex)}.unfit(patterns)
}

// kind returns the kind of the link with this index, such as "bond", or an empty string if no such link exists.
func (s *linkSet) kind(index int) string {
	if l := s.byIndex[index]; l != nil {
		return l.Type()
	}
	return ""
}

// vrf returns the index of the routing domain of a link, 0 for the main domain.
func (s *linkSet) vrf(attrs *netlink.LinkAttrs) int {
	if s.kind(attrs.MasterIndex) == "vrf" {
		return attrs.MasterIndex
	}
	return 0
}

// bondMode returns the mode of the bond that a link is, or that is below the link, empty without a bond.
func (s *linkSet) bondMode(index int) string {
	for _, i := range s.below(index) {
		if bond, ok := s.byIndex[i].(*netlink.Bond); ok && bond.Mode >= 0 && bond.Mode < netlink.BOND_MODE_UNKNOWN {
			return bond.Mode.String()
		}
	}
	return ""
}

// senders returns the hardware addresses, other than its own, that frames on a link may carry: the addresses of all
// slaves of a bond or team, also when the link is a VLAN on the bond, or a bridge with the bond in it.
func (s *linkSet) senders(index int) []MAC {
	var macs []MAC
	s.collect(index, map[int]bool{}, &macs)
	if l := s.byIndex[index]; l != nil {
		if own, ok := macOf(l.Attrs().HardwareAddr); ok {
			macs = slices.DeleteFunc(macs, func(m MAC) bool { return m == own })
		}
	}
	return stationMACs(macs)
}

// collect adds the hardware addresses of slaves below a link. seen ends the search in a loop of links; a list read
// during a change may contain a loop.
func (s *linkSet) collect(index int, seen map[int]bool, macs *[]MAC) {
	if seen[index] {
		return
	}
	seen[index] = true
	kind := s.kind(index)
	switch kind {
	case "vlan", "macvlan":
		// A link moved here from another network namespace has a parent outside the list.
		if attrs := s.byIndex[index].Attrs(); attrs.NetNsID < 0 {
			s.collect(attrs.ParentIndex, seen, macs)
		}
	case "bond", "team", "bridge":
		for _, l := range s.links {
			if l.Attrs().MasterIndex != index {
				continue
			}
			if kind != "bridge" {
				*macs = append(*macs, hardwareMACs(l)...)
			}
			s.collect(l.Attrs().Index, seen, macs)
		}
	}
}

// macs returns the hardware addresses of all links, in no order. macs leaves out the ends of virtual cables that the
// patterns exclude: each pod has such an end, the ends send nothing themselves, and Calico gives the same address to
// all of them, on every node.
func (s *linkSet) macs(exclude exclusion) []MAC {
	var macs []MAC
	for _, l := range s.links {
		if attrs := l.Attrs(); !isCable(l) || s.unfit(attrs, exclude) != excludedByName {
			macs = append(macs, hardwareMACs(l)...)
		}
	}
	return macs
}

// kernelAddrs returns the addresses at which other stations may reach the kernel, in no order.
func (s *linkSet) kernelAddrs() []netip.Addr {
	var list []netip.Addr
	for index, addrs := range s.addrs {
		if l := s.byIndex[index]; l != nil && isProxys(l.Attrs().Name) {
			continue
		}
		for _, a := range addrs {
			if addr, ok := netip.AddrFromSlice(a.IP); ok && addr.Unmap().IsGlobalUnicast() {
				list = append(list, addr.Unmap())
			}
		}
	}
	return list
}

// isProxys reports whether a service proxy (kube-proxy in IPVS mode, kube-router) puts the addresses of Services on the
// link.
func isProxys(name string) bool { return name == "kube-ipvs0" || name == "kube-dummy-if" }

// isCable reports whether a link is one end of a virtual cable to a container or virtual machine.
func isCable(l netlink.Link) bool {
	switch l.Type() {
	case "veth", "netkit", "tuntap", "macvtap", "ipvtap":
		return true
	}
	return false
}

// hardwareMACs returns the current hardware address of a link and the permanent address, if the link has them.
func hardwareMACs(l netlink.Link) []MAC {
	attrs := l.Attrs()
	list := []net.HardwareAddr{attrs.HardwareAddr, attrs.PermHWAddr}
	if slave, ok := attrs.Slave.(*netlink.BondSlave); ok {
		list = append(list, slave.PermHardwareAddr)
	}
	var macs []MAC
	for _, b := range list {
		if mac, ok := macOf(b); ok {
			macs = append(macs, mac)
		}
	}
	return macs
}

// macOf converts a hardware address from the kernel. ok is false if the address does not have 48 bits or is all zero.
func macOf(b net.HardwareAddr) (mac MAC, ok bool) {
	if len(b) != len(MAC{}) {
		return MAC{}, false
	}
	mac = MAC(b)
	return mac, mac != MAC{}
}
