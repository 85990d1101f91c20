package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settle is the least time from one look at the interfaces to the next, so that a storm of events, as when hundreds of pods
// start, costs little. The first event after a quiet time is followed at once.
const settle = 50 * time.Millisecond

// host is the Network of this machine, or of the network namespace that the process runs in.
type host struct {
	log     *slog.Logger
	exclude []string
}

var _ Network = (*host)(nil)

func newHost(log *slog.Logger, exclude []string) *host {
	if len(exclude) == 0 {
		exclude = DefaultExclude()
	}
	return &host{log: log, exclude: exclude}
}

// Watch implements Network. Netlink events say when to look; what is told is always a full list, so that an event that was
// lost or overtaken by another can leave nothing wrong behind.
func (h *host) Watch(ctx context.Context, tell func([]Interface)) error {
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

	v := view{host: h, tell: tell, flaps: map[int]uint64{}, active: map[int]int{}, rerouted: true}
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
			v.rerouted = true // routes over a link that goes down vanish without an event
		case <-routes:
			v.rerouted = true
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

// drain reads until the subscription's goroutine has closed the channel, which ends after it could send what it holds.
func drain[T any](ch <-chan T) {
	for range ch {
	}
}

// view is what one Watch has seen.
type view struct {
	host   *host
	tell   func([]Interface)
	told   []Interface
	flaps  map[int]uint64
	active map[int]int // the slave in use, by index of the bond
	// gateways are by the index of the interface. rerouted is true when they may be others by now: a router's table may be
	// long, so it is not read with every look.
	gateways map[int][]netip.Addr
	rerouted bool
}

// concerns reports whether an event can have changed an interface in use, and notes a link that was down, if only for a
// moment: the next look may find it up again.
func (v *view) concerns(u netlink.LinkUpdate) bool {
	attrs := u.Link.Attrs()
	used := slices.ContainsFunc(v.told, func(i Interface) bool { return i.Index == attrs.Index })
	if u.IfInfomsg.Family == unix.AF_BRIDGE {
		return used // it joined or left a bridge
	}
	if used && (u.Header.Type == unix.RTM_DELLINK || !running(attrs.RawFlags)) {
		v.flaps[attrs.Index]++
	}
	return used || !excluded(attrs.Name, v.host.exclude)
}

// look lists the interfaces and tells them if they changed.
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
		// Addresses are answered for without them: those known stay, and the next look tries again.
		if list, err := gateways(); err != nil {
			v.host.log.Warn("default routes are not known", "err", err)
		} else {
			v.gateways, v.rerouted = list, false
		}
	}
	byIndex := map[int][]netlink.Addr{}
	for _, a := range addrs {
		byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], a)
	}
	kinds := map[int]string{}
	for _, l := range links {
		kinds[l.Attrs().Index] = l.Type()
	}
	list, local := []Interface{}, localAddrs(addrs)
	for _, l := range links {
		attrs := l.Attrs()
		if reason := stationOf(attrs, kinds).unfit(v.host.exclude); reason != fit {
			v.host.log.Debug("interface not used", "interface", attrs.Name, "reason", reason)
			continue
		}
		v.noteActive(l)
		i := Interface{Index: attrs.Index, Name: attrs.Name, MAC: MAC(attrs.HardwareAddr), Up: running(attrs.RawFlags),
			Flaps: v.flaps[attrs.Index], Local: local, Gateways: v.gateways[attrs.Index]}
		i.Prefixes, i.LinkLocal = subnets(byIndex[attrs.Index])
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Interface) int { return a.Index - b.Index })
	if v.told == nil || !slices.EqualFunc(v.told, list, Interface.equal) {
		v.told = list
		v.tell(list)
	}
	return nil
}

// noteActive counts a bond's move to another slave: the switches must learn that the addresses are behind another port.
func (v *view) noteActive(l netlink.Link) {
	bond, ok := l.(*netlink.Bond)
	if !ok {
		return
	}
	if before, known := v.active[bond.Index]; known && before != bond.ActiveSlave {
		v.flaps[bond.Index]++
	}
	v.active[bond.Index] = bond.ActiveSlave
}

// retryDump lists again when the kernel says that the list changed while it was read.
func retryDump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil // what changed has an event of its own, which brings the next look
	}
	return all, err
}

// localAddrs returns all addresses but link-local ones, sorted.
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

// subnets returns the addresses with their subnets, and the link-local address if sockets may be bound to it.
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
