package layer2

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestOnLinkRoutes tells routes that say which hosts are on a link from all others.
func TestOnLinkRoutes(t *testing.T) {
	route := func(dst string, change func(*netlink.Route)) netlink.Route {
		r := netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, LinkIndex: 2}
		if dst != "" {
			p := netip.MustParsePrefix(dst)
			r.Dst = &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	for _, c := range []struct {
		name  string
		route netlink.Route
		want  bool
	}{
		{"a LAN", route("192.0.2.0/24", nil), true},
		{"a LAN of IPv6", route("2001:db8::/64", nil), true},
		{"the default route", route("0.0.0.0/0", nil), false},
		{"the default route without a destination", route("", nil), false},
		{"one host", route("192.0.2.1/32", nil), false},
		{"link-local addresses", route("fe80::/64", nil), false},
		{"groups", route("ff00::/8", nil), false},
		{"behind a router", route("198.51.100.0/24", func(r *netlink.Route) { r.Gw = net.IPv4(192, 0, 2, 1) }), false},
		{"behind a router of IPv6", route("198.51.100.0/24", func(r *netlink.Route) {
			r.Via = &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("fe80::1")}
		}), false},
		{"over several links", route("198.51.100.0/24", func(r *netlink.Route) { r.MultiPath = []*netlink.NexthopInfo{{LinkIndex: 2}} }), false},
		{"another table", route("192.0.2.0/24", func(r *netlink.Route) { r.Table = 10 }), false},
		{"a black hole", route("192.0.2.0/24", func(r *netlink.Route) { r.Type = unix.RTN_BLACKHOLE }), false},
	} {
		if prefix, got := onLinkOf(c.route); got != c.want || got && prefix.String() != c.route.Dst.String() {
			t.Errorf("%s: %v %s, want %v", c.name, got, prefix, c.want)
		}
	}
}

// TestOnLinkBeyondSubnets leaves out the routes that the kernel makes for the addresses of a link.
func TestOnLinkBeyondSubnets(t *testing.T) {
	prefix := netip.MustParsePrefix
	r := routing{onLink: map[int][]netip.Prefix{2: {prefix("192.0.2.0/24"), prefix("198.51.100.0/24")}}}
	got := r.beyond(2, []netip.Prefix{prefix("192.0.2.7/24"), prefix("198.51.100.7/32")})
	if len(got) != 1 || got[0] != prefix("198.51.100.0/24") || r.beyond(3, nil) != nil {
		t.Errorf("the routes beyond the subnets are %v", got)
	}
}
