package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Observer is at a host that somebody else has made, as a container is. It asks the host's network and hears it, and opens connections.
type Observer struct {
	namespace *namespace
	sniffer   *sniffer
}

// Observe becomes one in the network namespace of a process, at an interface. It hears claims of the addresses that are wanted, and asks
// from the interface's own addresses, one of either family that is not link-local.
func Observe(process int, link string, wanted func(netip.Addr) bool) (*Observer, error) {
	n, err := joinNamespace(process)
	if err != nil {
		return nil, err
	}
	o := &Observer{namespace: n}
	sender, err := n.addresses(link)
	if err == nil {
		o.sniffer, err = newSniffer(n, link, sender, wanted)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return o, nil
}

// joinNamespace makes a thread in the network namespace of a process.
func joinNamespace(process int) (*namespace, error) {
	n := &namespace{work: make(chan func())}
	made := make(chan error, 1)
	go n.run(made, func() (err error) {
		if n.fd, err = netns.GetFromPid(process); err != nil {
			return err
		}
		if err = netns.Set(n.fd); err != nil {
			_ = n.fd.Close() // that it cannot be entered is worse
		}
		return err
	})
	err := <-made
	if err == nil {
		if n.link, err = netlink.NewHandleAt(n.fd); err != nil {
			n.close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("join the network namespace of process %d: %w", process, err)
	}
	return n, nil
}

// addresses returns one of either family of an interface.
func (n *namespace) addresses(name string) (found [2]netip.Addr, err error) {
	link, err := n.link.LinkByName(name)
	if err != nil {
		return found, fmt.Errorf("find %s: %w", name, err)
	}
	for i, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := n.link.AddrList(link, family)
		if err != nil {
			return found, fmt.Errorf("addresses of %s: %w", name, err)
		}
		for _, a := range list {
			if addr, ok := netip.AddrFromSlice(a.IP); ok && !addr.Unmap().IsLinkLocalUnicast() {
				found[i] = addr.Unmap()
			}
		}
		if !found[i].IsValid() {
			return found, fmt.Errorf("%s has no address of each family", name)
		}
	}
	return found, nil
}

// Ask asks once for each of the addresses. It may be called beside all other methods.
func (o *Observer) Ask(addrs []netip.Addr) error { return o.sniffer.ask(addrs) }

// Claims returns the claims that came since the last call, in the order of their coming.
func (o *Observer) Claims() []Claim { return o.sniffer.claims.Take() }

// Tap has f called with each frame that is ARP or IPv6, from several goroutines. f keeps no part of the frame.
func (o *Observer) Tap(f func(at time.Time, frame []byte)) { o.sniffer.tap.Store(&f) }

// Dial opens a connection from the host, as [net.Dialer.DialContext] does. It may be called beside all other methods.
func (o *Observer) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	return dialFrom(ctx, o.namespace.fd, network, address)
}

// dialFrom opens a connection from a namespace, on a thread of its own: others are not kept waiting by an address that does not answer.
func dialFrom(ctx context.Context, fd netns.NsHandle, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that nobody gets this thread after
		if err := netns.Set(fd); err != nil {
			done <- result{err: os.NewSyscallError("setns", err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// Close ends it. The host goes on.
func (o *Observer) Close() {
	o.sniffer.close()
	o.namespace.close()
}
