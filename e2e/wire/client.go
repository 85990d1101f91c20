package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// cachedEvery and emptyEvery are the times between two datagrams of the clients.
	cachedEvery = time.Millisecond
	emptyEvery  = 10 * time.Millisecond
	// lastAnswer is how long answers may come after the last datagram was sent.
	lastAnswer = 100 * time.Millisecond
)

// client is a host on the LAN that is no node.
type client struct {
	*namespace
	eth0 int
	// empties says that it forgets the address's neighbour before each datagram.
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

// stream is datagrams to an address at a fixed rate, and their answers. It is read after its end.
type stream struct {
	// sent are the times of sending, by number; came those of the answers, in the order of their coming.
	sent, came []time.Time
	// answered tells which were answered.
	answered []bool
}

// talk sends until ctx ends. first is called with the first answer.
func (c *client) talk(ctx context.Context, addr netip.Addr, first func()) (*stream, error) {
	var conn *net.UDPConn
	err := c.do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, echoPort)))
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &stream{}
	var numbers []uint64
	var reader sync.WaitGroup
	reader.Go(func() {
		b := make([]byte, 64)
		for {
			n, err := conn.Read(b)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return
			case err != nil || n != 8:
				continue // the kernel tells of a host out of reach
			}
			s.came = append(s.came, time.Now())
			numbers = append(numbers, binary.BigEndian.Uint64(b))
			if len(s.came) == 1 {
				first()
			}
		}
	})
	err = c.send(ctx, conn, addr, s)
	_ = conn.SetReadDeadline(time.Now().Add(lastAnswer)) // never fails on an open one
	reader.Wait()
	s.answered = make([]bool, len(s.sent))
	for _, n := range numbers {
		if n < uint64(len(s.answered)) {
			s.answered[n] = true
		}
	}
	return s, errors.Join(err, conn.Close())
}

// send sends by the schedule, without waiting for answers. What the kernel refuses to send counts as sent: nobody answers it.
func (c *client) send(ctx context.Context, conn *net.UDPConn, addr netip.Addr, s *stream) error {
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
		if c.empties {
			_ = c.link.NeighDel(neighbour) // there may be none
		}
		message := binary.BigEndian.AppendUint64(nil, uint64(len(s.sent)))
		s.sent = append(s.sent, time.Now())
		_, _ = conn.Write(message)
		// Counted from the start, so that lateness does not add up.
		timer.Reset(time.Until(start.Add(time.Duration(len(s.sent)) * c.every)))
	}
}

// gap returns the longest time without an answer that ended after a moment, the end of the stream included.
func (s *stream) gap(since time.Time) (longest time.Duration) {
	if len(s.sent) == 0 {
		return 0
	}
	last := s.sent[0]
	for _, t := range append(slices.Clone(s.came), s.sent[len(s.sent)-1]) {
		if t.After(since) {
			longest = max(longest, t.Sub(last))
		}
		if t.After(last) {
			last = t
		}
	}
	return longest
}

// lost counts the datagrams that were never answered.
func (s *stream) lost() (n int) {
	for _, ok := range s.answered {
		if !ok {
			n++
		}
	}
	return n
}
