package membership

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the address in the usual format, 02:00:00:00:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// problem returns the reason why m cannot be the address of an interface, or nil.
func (m MAC) problem() error {
	switch {
	case m == MAC{}:
		return errors.New("MAC address is all zero")
	case m[0]&1 != 0:
		return fmt.Errorf("MAC address %s is a group address", m)
	}
	return nil
}

// Link is an interface from which a member announces addresses.
type Link struct {
	// Name is the name of the interface, 1 to 15 bytes.
	Name string
	// MAC is the MAC address from which the member announces.
	MAC MAC
	// Subnets holds the subnets of the node's addresses on the link: masked, sorted, without duplicates. The slice is
	// immutable.
	Subnets []netip.Prefix
	// Beacon is the probe address, for which the member answers ARP or NDP on the link, so that neighbours can probe
	// the member on the wire. Beacon has no zone, and is invalid when the member has no probe address.
	Beacon netip.Addr
}

// Equal reports whether l and o are the same.
func (l Link) Equal(o Link) bool {
	return l.Name == o.Name && l.MAC == o.MAC && l.Beacon == o.Beacon && slices.Equal(l.Subnets, o.Subnets)
}

const (
	// maxLinkName is the maximum length of the name of a link in bytes, as in Linux.
	maxLinkName = 15
	// subnetIPv6 is added to the prefix length of an IPv6 subnet, to distinguish IPv6 subnets from IPv4 subnets.
	subnetIPv6 = 64
)

// problem returns the reason why l cannot be announced, or nil. problem does not check the subnets.
func (l Link) problem() error {
	bad := func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }
	if l.Name == "" || len(l.Name) > maxLinkName || strings.ContainsFunc(l.Name, bad) {
		return fmt.Errorf("%q is not the name of a link", l.Name)
	}
	if err := l.MAC.problem(); err != nil {
		return err
	}
	if l.Beacon.IsValid() && (l.Beacon.IsUnspecified() || l.Beacon.IsMulticast()) {
		return fmt.Errorf("beacon %s of link %s is not the address of a host", l.Beacon, l.Name)
	}
	return nil
}

// canonical returns a copy of l in the announced form: with subnets that are masked, sorted and without duplicates.
// canonical returns an error when l cannot be announced.
func (l Link) canonical() (Link, error) {
	l.Beacon = l.Beacon.Unmap().WithZone("")
	if err := l.problem(); err != nil {
		return l, err
	}
	subnets := slices.Clone(l.Subnets)
	for i, p := range subnets {
		if !p.IsValid() {
			return l, errors.New("a subnet is invalid")
		}
		subnets[i] = canonicalSubnet(p)
	}
	slices.SortFunc(subnets, netip.Prefix.Compare)
	l.Subnets = slices.Compact(subnets)
	return l, nil
}

// canonicalSubnet masks p, and converts an IPv4-mapped IPv6 subnet to an IPv4 subnet.
func canonicalSubnet(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// subnetSize returns the number of bytes for p: one byte for length and family, and the bytes covered by the length.
func subnetSize(p netip.Prefix) int { return 1 + (p.Bits()+7)/8 }

// size returns the number of bytes that append appends.
func (l Link) size() int {
	size := 1 + len(l.Name) + len(l.MAC) + 1 + l.Beacon.BitLen()/8
	for _, p := range l.Subnets {
		size += subnetSize(p)
	}
	return size
}

// append appends the value of a link section to b: the length of the name, the name, the MAC address, the length of the
// probe address (0, 4 or 16), the probe address, and the subnets up to the end. l must be a result of canonical.
func (l Link) append(b []byte) []byte {
	b = append(append(b, byte(len(l.Name))), l.Name...)
	b = append(append(b, l.MAC[:]...), byte(l.Beacon.BitLen()/8))
	b = append(b, l.Beacon.AsSlice()...)
	for _, p := range l.Subnets {
		family := 0
		if p.Addr().Is6() {
			family = subnetIPv6
		}
		b = append(b, byte(p.Bits()+family))
		b = append(b, p.Addr().AsSlice()[:subnetSize(p)-1]...)
	}
	return b
}

// parseLink parses the output of append, and rejects everything else.
func parseLink(value []byte) (Link, error) {
	var l Link
	short := fmt.Errorf("link in %d bytes", len(value))
	take := func(n int) []byte {
		if n > len(value) {
			return nil
		}
		taken := value[:n]
		value = value[n:]
		return taken
	}
	lengths := func() (int, bool) {
		b := take(1)
		if b == nil {
			return 0, false
		}
		return int(b[0]), int(b[0]) <= len(value)
	}
	n, fits := lengths()
	if !fits {
		return Link{}, short
	}
	l.Name = string(take(n))
	if n = copy(l.MAC[:], take(len(l.MAC))); n < len(l.MAC) {
		return Link{}, short
	}
	if n, fits = lengths(); !fits {
		return Link{}, short
	}
	if n > 0 {
		beacon, ok := netip.AddrFromSlice(take(n))
		if !ok || beacon.Is4In6() {
			return Link{}, fmt.Errorf("link %q with a malformed beacon", l.Name)
		}
		l.Beacon = beacon
	}
	if err := l.problem(); err != nil {
		return Link{}, err
	}
	var err error
	if l.Subnets, err = parseSubnets(value); err != nil {
		return Link{}, fmt.Errorf("link %s: %w", l.Name, err)
	}
	return l, nil
}

// parseSubnets parses subnets up to the end of b.
func parseSubnets(b []byte) ([]netip.Prefix, error) {
	var subnets []netip.Prefix
	for len(b) > 0 {
		bits, addr := int(b[0]), make([]byte, 4)
		if bits >= subnetIPv6 {
			bits, addr = bits-subnetIPv6, make([]byte, 16)
		}
		n := (bits + 7) / 8
		if n > len(addr) || n > len(b)-1 {
			return nil, errors.New("malformed subnet")
		}
		copy(addr, b[1:1+n])
		ip, _ := netip.AddrFromSlice(addr)
		p := netip.PrefixFrom(ip, bits)
		if !p.IsValid() || p != canonicalSubnet(p) {
			return nil, errors.New("malformed subnet")
		}
		if len(subnets) > 0 && subnets[len(subnets)-1].Compare(p) >= 0 {
			return nil, errors.New("subnets out of order")
		}
		subnets = append(subnets, p)
		b = b[1+n:]
	}
	return subnets, nil
}
