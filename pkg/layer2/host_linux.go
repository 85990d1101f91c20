package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settle is the minimum time between two reads of the interfaces, so that a burst of events, such as the start of
// hundreds of pods, costs little. The first event after a quiet time causes a read at once.
const settle = 50 * time.Millisecond

// host is the Network of this machine, or of the network namespace of the process.
type host struct {
	log     *slog.Logger
	exclude []string // the patterns of the user, empty for the default
	node    atomic.Pointer[[]netip.Addr]
	renewed bell // wakes Watch after a change of node
}

var (
	_ Network     = (*host)(nil)
	_ nodeNetwork = (*host)(nil)
)

func newHost(log *slog.Logger, exclude []string) *host {
	h := &host{log: log, exclude: exclude, renewed: newBell()}
	h.node.Store(new([]netip.Addr))
	return h
}

// setNodeAddrs implements nodeNetwork.
func (h *host) setNodeAddrs(addrs []netip.Addr) {
	h.node.Store(&addrs)
	h.renewed.ring()
}

// exclusion returns the current rule for the names of interfaces.
func (h *host) exclusion() exclusion {
	if len(h.exclude) > 0 {
		return exclusion{patterns: h.exclude}
	}
	return exclusion{patterns: DefaultExclude(), node: *h.node.Load()}
}

// Watch implements Network. A netlink event only triggers a new read of the state. Watch always passes the whole state,
// so a lost or reordered event does no lasting harm.
func (h *host) Watch(ctx context.Context, tell func(HostState)) error {
	links, addrs := make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	done, failed := make(chan struct{}), make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: fail}); err != nil {
		return fmt.Errorf("subscribe to link changes: %w", err)
	}
	defer drain(links)
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: fail}); err != nil {
		close(done)
		return fmt.Errorf("subscribe to address changes: %w", err)
	}
	defer drain(addrs)
	defer close(done)

	routes := newBell()
	var follower sync.WaitGroup
	defer follower.Wait()
	following, stop := context.WithCancel(ctx)
	defer stop()
	follower.Go(func() { followRoutes(following, h.log, routes) })

	v := view{host: h, tell: tell, moves: newMoves(), rerouted: true}
	if err := v.look(); err != nil {
		return err
	}
	var due <-chan time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("follow interfaces: %w", err)
		case u, ok := <-links:
			if !ok {
				return errors.New("follow interfaces: the kernel closed the subscription to links")
			}
			if !v.concerns(u) {
				continue
			}
			v.rerouted = true // routes over a link that goes down disappear without an event
		case <-routes:
			v.rerouted = true
		case <-h.renewed:
		case _, ok := <-addrs:
			if !ok {
				return errors.New("follow interfaces: the kernel closed the subscription to addresses")
			}
		case <-due:
			due = nil
			if err := v.look(); err != nil {
				return err
			}
			looked = time.Now()
			continue
		}
		if due == nil {
			timer.Reset(max(0, settle-time.Since(looked)))
			due = timer.C
		}
	}
}

// drain reads until the goroutine of the subscription has closed the channel. The goroutine ends after sending the
// events it still holds.
func drain[T any](ch <-chan T) {
	for range ch {
	}
}

// view is the state of one call of Watch.
type view struct {
	host  *host
	tell  func(HostState)
	told  *HostState
	moves moves
	// routing holds what the routing table says. rerouted is true when that may have changed. Only then look reads the
	// routing table, because the table of a router may be long.
	routing  routing
	rerouted bool
}

// concerns reports whether an event may have changed the state of the host. concerns also counts a flap for a link that
// was down, even for a moment, because the next look may find the link up again.
func (v *view) concerns(u netlink.LinkUpdate) bool {
	attrs := u.Link.Attrs()
	used := slices.ContainsFunc(v.told.Interfaces, func(i Interface) bool { return i.Index == attrs.Index })
	if u.IfInfomsg.Family == unix.AF_BRIDGE {
		return used // the link joined or left a bridge
	}
	gone := u.Header.Type == unix.RTM_DELLINK
	if (used || v.moves.isPort(attrs.Index)) && (gone || !running(attrs.RawFlags)) {
		v.moves.flapped(attrs.Index)
	}
	if used || !excluded(attrs.Name, v.host.exclusion().patterns) {
		return true
	}
	// Only the hardware address of an excluded link matters. The start of a pod must not cost a look.
	mac, ok := macOf(attrs.HardwareAddr)
	return ok && !isCable(u.Link) && (gone || !slices.Contains(v.told.MACs, mac))
}

// look reads the links and addresses, and passes the state to tell if the state has changed.
func (v *view) look() error {
	links, err := retryDump(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	addrs, err := retryDump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	if v.rerouted {
		// The host answers for addresses even without the routes: the known routes stay, and the next look tries again.
		if known, err := readRouting(); err != nil {
			v.host.log.Warn("default routes are not known", "err", err)
		} else {
			v.routing, v.rerouted = known, false
		}
	}
	set, exclude := newLinkSet(links, addrs), v.host.exclusion()
	v.moves.note(set)
	next, local := HostState{Addrs: set.kernelAddrs(), MACs: set.macs(exclude)}, localAddrs(addrs)
	for _, l := range links {
		attrs := l.Attrs()
		if reason := set.unfit(attrs, exclude); reason != fit {
			v.host.log.Debug("interface not used", "interface", attrs.Name, "reason", reason)
			continue
		}
		i := Interface{Index: attrs.Index, Name: attrs.Name, MAC: MAC(attrs.HardwareAddr), MACs: set.senders(attrs.Index),
			BondMode: set.bondMode(attrs.Index), Up: running(attrs.RawFlags), VRF: set.vrf(attrs), Flaps: v.moves.of(set, attrs.Index), Local: local,
			Gateways: v.routing.gateways[attrs.Index]}
		i.Prefixes, i.LinkLocal = subnets(set.addrs[attrs.Index])
		i.OnLink = v.routing.beyond(attrs.Index, i.Prefixes)
		next.Interfaces = append(next.Interfaces, i)
	}
	if next = next.normalized(); v.told == nil || !v.told.equal(next) {
		v.told = &next
		v.tell(next)
	}
	return nil
}

// retryDump calls list again when the kernel reports a change during the listing.
func retryDump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil // the change has its own event, and the event causes the next look
	}
	return all, err
}

// localAddrs returns all addresses except link-local addresses, sorted.
func localAddrs(addrs []netlink.Addr) []netip.Addr {
	list := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && !addr.IsLinkLocalUnicast() {
			list = append(list, addr.Unmap())
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// subnets returns the addresses with their subnets, and the link-local address if a socket can be bound to that
// address.
func subnets(addrs []netlink.Addr) (prefixes []netip.Prefix, linkLocal netip.Addr) {
	for _, a := range addrs {
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		addr = addr.Unmap()
		ones, _ := a.Mask.Size()
		if !addr.Is6() || !addr.IsLinkLocalUnicast() {
			prefixes = append(prefixes, netip.PrefixFrom(addr, ones))
			continue
		}
		usable := a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 || a.Flags&unix.IFA_F_OPTIMISTIC != 0
		if usable && (!linkLocal.IsValid() || addr.Less(linkLocal)) {
			linkLocal = addr
		}
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return slices.Compact(prefixes), linkLocal
}
