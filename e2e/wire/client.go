package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// cachedEvery and emptyEvery are the times between two pings of the clients.
	cachedEvery = time.Millisecond
	emptyEvery  = 10 * time.Millisecond
	// mostPings is how many can be told apart.
	mostPings = 1 << 20
	// lastAnswer is how long answers may come after the last ping was sent.
	lastAnswer = 100 * time.Millisecond
)

// client is a host on the LAN that is no node.
type client struct {
	*namespace
	eth0 int
	// empties says that it forgets the address's neighbour before each ping.
	empties bool
	every   time.Duration
}

func newClient(h *hub, empties bool, addresses ...netip.Prefix) (*client, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	c := &client{namespace: n, empties: empties, every: cachedEvery}
	if empties {
		c.every = emptyEvery
	}
	if _, err = h.plug(n, LAN, addresses...); err == nil {
		var link netlink.Link
		if link, err = n.link.LinkByName(interfaces[LAN]); err == nil {
			c.eth0 = link.Attrs().Index
		}
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return c, nil
}

// talk pings until ctx ends. first is called with the first answer.
func (c *client) talk(ctx context.Context, addr netip.Addr, first func()) (*stream, error) {
	conn, err := c.dial(addr)
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", addr, err)
	}
	s := &stream{}
	answered := make(map[uint32]bool)
	var reader sync.WaitGroup
	reader.Go(func() {
		b, control := make([]byte, 1500), make([]byte, 256)
		for {
			n, rest, _, _, err := conn.ReadMsgIP(b, control)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return
			case err != nil:
				continue // the kernel tells of a host out of reach
			}
			number, ok := ether.ParseReply(b[:n], addr.Is4())
			if !ok {
				continue
			}
			s.came = append(s.came, ether.Arrival(control[:rest]))
			answered[number] = true
			if len(s.came) == 1 {
				first()
			}
		}
	})
	err = c.send(ctx, conn, addr, s)
	_ = conn.SetReadDeadline(time.Now().Add(lastAnswer)) // never fails on an open one
	reader.Wait()
	s.answered = make([]bool, len(s.sent))
	for i := range s.answered {
		s.answered[i] = answered[uint32(i)]
	}
	return s, errors.Join(err, conn.Close())
}

// dial opens a raw socket to an address, with the kernel's times of arrival.
func (c *client) dial(addr netip.Addr) (conn *net.IPConn, err error) {
	network := "ip4:icmp"
	if addr.Is6() {
		network = "ip6:ipv6-icmp"
	}
	err = c.do(func() (err error) {
		conn, err = net.DialIP(network, nil, &net.IPAddr{IP: addr.AsSlice()})
		return err
	})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
		})
		err = errors.Join(err, failed)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// send sends by the schedule, without waiting for answers. What the kernel refuses to send counts as sent: nobody answers it.
func (c *client) send(ctx context.Context, conn *net.IPConn, addr netip.Addr, s *stream) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	neighbour := &netlink.Neigh{LinkIndex: c.eth0, IP: addr.AsSlice(), Family: netlink.FAMILY_V4}
	if addr.Is6() {
		neighbour.Family = netlink.FAMILY_V6
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if len(s.sent) > mostPings {
			return errors.New("more pings than have numbers")
		}
		if c.empties {
			_ = c.link.NeighDel(neighbour) // there may be none
		}
		message := ether.Ping(uint32(len(s.sent)), addr.Is4())
		s.sent = append(s.sent, time.Now())
		_, _ = conn.Write(message)
		// Counted from the start, so that lateness does not add up.
		timer.Reset(time.Until(start.Add(time.Duration(len(s.sent)) * c.every)))
	}
}
