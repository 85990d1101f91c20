package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseRange parses an address, a CIDR or a range with a dash. The warning is not empty if parseRange accepts the text
// with another meaning than written.
func parseRange(text string) (r Range, warning string, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Range{}, "", errors.New("is empty; write an address, a range like 192.0.2.10-192.0.2.20, or a CIDR like 192.0.2.0/28")
	}
	if from, to, ok := strings.Cut(text, "-"); ok {
		r, err = parseDashed(text, strings.TrimSpace(from), strings.TrimSpace(to))
		return r, "", err
	}
	if address, length, ok := strings.Cut(text, "/"); ok {
		return parseCIDR(text, address, length)
	}
	if from, to, ok := strings.Cut(text, "–"); ok { // an en dash, inserted by word processors
		return Range{}, "", fmt.Errorf("%q has a long dash; write %s-%s", text, strings.TrimSpace(from), strings.TrimSpace(to))
	}
	a, err := parseAddr(text)
	return Range{a, a}, "", err
}

func parseDashed(text, from, to string) (Range, error) {
	if mend := completed(from, to); mend != "" {
		return Range{}, fmt.Errorf("%q: the end must be a whole address; write %s-%s", text, from, mend)
	}
	first, err := parseAddr(from)
	if err != nil {
		return Range{}, fmt.Errorf("the start of the range %q: %w", text, err)
	}
	last, err := parseAddr(to)
	if err != nil {
		return Range{}, fmt.Errorf("the end of the range %q: %w", text, err)
	}
	if first.BitLen() != last.BitLen() {
		return Range{}, fmt.Errorf("%s-%s begins in one address family and ends in the other; write one range for each", first, last)
	}
	if last.Less(first) {
		return Range{}, fmt.Errorf("%s-%s is reversed; write %s-%s", first, last, last, first)
	}
	return Range{first, last}, nil
}

// completed returns the whole end address of an IPv4 range if to is only the last number of the end, as in
// 192.0.2.10-20; else "".
func completed(from, to string) string {
	if n, err := strconv.ParseUint(to, 10, 8); err == nil {
		if a, err := netip.ParseAddr(from); err == nil && a.Is4() {
			octets := a.As4()
			octets[3] = byte(n)
			return netip.AddrFrom4(octets).String()
		}
	}
	return ""
}

func parseCIDR(text, address, length string) (r Range, warning string, err error) {
	a, err := netip.ParseAddr(address)
	if err == nil && a.Is4In6() && a.Zone() == "" {
		if bits, err := strconv.Atoi(length); err == nil && bits >= 96 && bits <= 128 {
			return Range{}, "", fmt.Errorf("%q is IPv4 in IPv6 form; write %s/%d", text, a.Unmap(), bits-96)
		}
	} else if _, err := parseAddr(address); err != nil {
		return Range{}, "", fmt.Errorf("the address of %q: %w", text, err)
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return Range{}, "", fmt.Errorf("%q: after the slash must stand a number from 0 to %d", text, a.BitLen())
	}
	masked := prefix.Masked()
	if masked != prefix {
		warning = fmt.Sprintf("%s has host bits set; it is taken as %s", prefix, masked)
	}
	return rangeOf(masked), warning, nil
}

// parseAddr parses an address that has the form of an address on a LAN. A zone and the 4-in-6 form are errors.
func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		if mend := withoutLeadingZeros(text); mend != "" {
			return netip.Addr{}, fmt.Errorf("%s has numbers with leading zeros; write %s", text, mend)
		}
		return netip.Addr{}, fmt.Errorf("%q is no address; write one like 192.0.2.10 or 2001:db8::10", text)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%s has a zone; write %s, and name the interface under interfaces", text, a.WithZone(""))
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%s is IPv4 in IPv6 form; write %s", text, a.Unmap())
	}
	return a, nil
}

func withoutLeadingZeros(text string) string {
	parts := strings.Split(text, ".")
	for i, part := range parts {
		if n, err := strconv.ParseUint(part, 10, 8); err == nil {
			parts[i] = strconv.FormatUint(n, 10)
		}
	}
	if a, err := netip.ParseAddr(strings.Join(parts, ".")); err == nil && a.Is4() {
		return a.String()
	}
	return ""
}

// reserved is a block of addresses that no host on a LAN can have.
type reserved struct {
	Range
	name string
}

func block(prefix, what string) reserved {
	return reserved{rangeOf(netip.MustParsePrefix(prefix)), fmt.Sprintf("%s (%s)", prefix, what)}
}

// reservedBlocks lists blocks of the IANA special-purpose registries (RFC 6890) and of RFC 4291, section 2.
var reservedBlocks = []reserved{
	block("0.0.0.0/8", "this network"),
	block("127.0.0.0/8", "loopback"),
	block("169.254.0.0/16", "link-local"),
	block("224.0.0.0/4", "multicast"),
	block("240.0.0.0/4", "class E and limited broadcast"),
	block("::/128", "unspecified"),
	block("::1/128", "loopback"),
	block("::ffff:0.0.0.0/96", "IPv4 in IPv6 form"),
	block("fe80::/10", "link-local"),
	block("ff00::/8", "multicast"),
}

// checkHosts returns an error if r contains addresses that no host on a LAN can have.
func checkHosts(text string, r Range) error {
	var found []string
	for _, block := range reservedBlocks {
		if r.overlaps(block.Range) {
			found = append(found, block.name)
		}
	}
	if found == nil {
		return nil
	}
	return fmt.Errorf("%s holds addresses that no host on a LAN can have: %s; leave them out", text, strings.Join(found, ", "))
}
