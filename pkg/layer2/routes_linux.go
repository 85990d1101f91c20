package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// followRoutes rings when a default route, or a route without a router, may have changed, until ctx is done. If a routing daemon changes too many
// routes at once, the kernel drops events, and followRoutes misses changes. Links are followed through another socket
// and lose no events.
func followRoutes(ctx context.Context, log *slog.Logger, changed bell) {
	for {
		err := routeEvents(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		log.Debug("changes of routes were missed", "err", err, "retry", watchRetry)
		sleep(ctx, watchRetry)
		changed.ring()
	}
}

// routeEvents rings for each event about a default route or a route without a router, until ctx is done or events were lost.
func routeEvents(ctx context.Context, changed bell) error {
	updates, done, failed := make(chan netlink.RouteUpdate), make(chan struct{}), make(chan error, 1)
	options := netlink.RouteSubscribeOptions{ErrorCallback: func(err error) {
		select {
		case failed <- err:
		default:
		}
	}}
	if err := netlink.RouteSubscribeWithOptions(updates, done, options); err != nil {
		return fmt.Errorf("subscribe to route changes: %w", err)
	}
	defer drain(updates)
	defer close(done)
	changed.ring() // for changes before the subscription
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("follow routes: %w", err)
		case u, ok := <-updates:
			if !ok {
				return errors.New("follow routes: the kernel closed the subscription")
			}
			if _, is := onLinkOf(u.Route); is || isDefault(u.Route) {
				changed.ring()
			}
		}
	}
}

// routing holds routes of the main table, by the index of the interface. Each list is sorted.
type routing struct {
	// gateways holds the next hops of the default routes.
	gateways map[int][]netip.Addr
	// onLink holds the destinations that are on the link.
	onLink map[int][]netip.Prefix
}

// readRouting reads the routes of both families.
func readRouting() (routing, error) {
	found := routing{map[int][]netip.Addr{}, map[int][]netip.Prefix{}}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		main := &netlink.Route{Table: unix.RT_TABLE_MAIN}
		// The table of a router may hold very many routes: only these are kept.
		err := netlink.RouteListFilteredIter(family, main, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			if prefix, is := onLinkOf(r); is {
				found.onLink[r.LinkIndex] = append(found.onLink[r.LinkIndex], prefix)
			}
			if isDefault(r) {
				for _, hop := range nextHops(r) {
					found.gateways[hop.link] = append(found.gateways[hop.link], hop.addr)
				}
			}
			return true
		})
		// A change during the listing has its own event, and the event causes the next look.
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return routing{}, fmt.Errorf("list routes: %w", err)
		}
	}
	for index, list := range found.gateways {
		slices.SortFunc(list, netip.Addr.Compare)
		found.gateways[index] = slices.Compact(list)
	}
	for index, list := range found.onLink {
		slices.SortFunc(list, netip.Prefix.Compare)
		found.onLink[index] = slices.Compact(list)
	}
	return found, nil
}

// beyond returns the destinations on a link other than the subnets of the link's addresses, for which the kernel has made
// routes.
func (r routing) beyond(index int, subnets []netip.Prefix) (list []netip.Prefix) {
	for _, p := range r.onLink[index] {
		if !slices.ContainsFunc(subnets, func(o netip.Prefix) bool { return o.Masked() == p }) {
			list = append(list, p)
		}
	}
	return list
}

// onLinkOf returns the destination of a route of the main table without a router: its hosts are on the link. ok is false
// for other routes, and for destinations that are no subnet of a LAN: everything, one address, link-local addresses and
// groups.
func onLinkOf(r netlink.Route) (prefix netip.Prefix, ok bool) {
	if r.Table != unix.RT_TABLE_MAIN || r.Type != unix.RTN_UNICAST || r.Dst == nil || len(r.MultiPath) > 0 || len(nextHops(r)) > 0 {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(r.Dst.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	ones, _ := r.Dst.Mask.Size()
	prefix = netip.PrefixFrom(addr, ones).Masked()
	return prefix, ones > 0 && prefix.IsValid() && !prefix.IsSingleIP() && addr.IsGlobalUnicast()
}

// isDefault reports whether a route of the main table is for every destination.
func isDefault(r netlink.Route) bool {
	if r.Table != unix.RT_TABLE_MAIN || r.Type != unix.RTN_UNICAST {
		return false
	}
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0 && r.Dst.IP.IsUnspecified()
}

// nextHop is a gateway and the link to the gateway.
type nextHop struct {
	link int
	addr netip.Addr
}

// nextHops returns the gateways of a route, none if all destinations are on the link.
func nextHops(r netlink.Route) (hops []nextHop) {
	add := func(link int, gw net.IP, via netlink.Destination) {
		// A route for IPv4 may have an IPv6 gateway (RFC 8950).
		if v, ok := via.(*netlink.Via); ok && gw == nil {
			gw = v.Addr
		}
		if addr, ok := netip.AddrFromSlice(gw); ok && !addr.IsUnspecified() {
			hops = append(hops, nextHop{link, addr.Unmap()})
		}
	}
	add(r.LinkIndex, r.Gw, r.Via)
	for _, m := range r.MultiPath {
		add(m.LinkIndex, m.Gw, m.Via)
	}
	return hops
}
