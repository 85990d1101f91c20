package bgp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxDumps limits the attempts to read a list that changes while the kernel sends it.
const maxDumps = 5

// readAddresses returns the addresses of all interfaces, in the order of the kernel.
func readAddresses() ([]nodeAddress, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	for n := 1; errors.Is(err, netlink.ErrDumpInterrupted) && n < maxDumps; n++ {
		list, err = netlink.AddrList(nil, netlink.FAMILY_ALL)
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	addrs := make([]nodeAddress, 0, len(list))
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		bits, _ := a.Mask.Size()
		subnet := netip.PrefixFrom(addr, bits).Masked()
		if a.Peer != nil {
			if other, ok := netip.AddrFromSlice(a.Peer.IP); ok {
				bits, _ = a.Peer.Mask.Size()
				subnet = netip.PrefixFrom(other.Unmap(), bits).Masked()
			}
		}
		passing := unix.IFA_F_DEPRECATED
		if addr.Is6() {
			passing |= unix.IFA_F_TEMPORARY // the same bit means a secondary address in IPv4
		}
		addrs = append(addrs, nodeAddress{
			addr:   addr,
			subnet: subnet,
			index:  a.LinkIndex,
			unusable: a.Flags&unix.IFA_F_DADFAILED != 0 || a.Flags&unix.IFA_F_TENTATIVE != 0 &&
				a.Flags&unix.IFA_F_OPTIMISTIC == 0,
			passing: a.Flags&passing != 0,
		})
	}
	return addrs, nil
}

// vrfOf returns the name of the VRF that the interface is, or belongs to; empty for none.
func vrfOf(link netlink.Link) (string, error) {
	if link.Type() == "vrf" {
		return link.Attrs().Name, nil
	}
	if link.Attrs().MasterIndex == 0 {
		return "", nil
	}
	master, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil {
		return "", fmt.Errorf("find the master of %s: %w", link.Attrs().Name, err)
	}
	if master.Type() != "vrf" {
		return "", nil
	}
	return master.Attrs().Name, nil
}
