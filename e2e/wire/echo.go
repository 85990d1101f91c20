package wire

import (
	"errors"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// echoPort is where every node answers datagrams with what they hold.
const echoPort = 7

// echo answers until it is closed, from whichever address was asked.
type echo struct {
	four *net.UDPConn
	six  *net.UDPConn
}

// newEcho starts one in a namespace.
func newEcho(n *namespace) (e *echo, err error) {
	e = &echo{}
	err = n.do(func() error {
		if e.four, err = net.ListenUDP("udp4", &net.UDPAddr{Port: echoPort}); err == nil {
			e.six, err = net.ListenUDP("udp6", &net.UDPAddr{Port: echoPort})
		}
		return err
	})
	if err == nil {
		four, six := ipv4.NewPacketConn(e.four), ipv6.NewPacketConn(e.six)
		err = errors.Join(four.SetControlMessage(ipv4.FlagDst, true), six.SetControlMessage(ipv6.FlagDst, true))
		if err == nil {
			go answer4(four)
			go answer6(six)
		}
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *echo) close() {
	for _, c := range []*net.UDPConn{e.four, e.six} {
		if c != nil {
			_ = c.Close() // ends the goroutine that reads
		}
	}
}

// answer4 passes over errors that are one datagram's: a client may be out of reach.
func answer4(c *ipv4.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, message, from, err := c.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && message != nil:
			_, _ = c.WriteTo(b[:n], &ipv4.ControlMessage{Src: message.Dst}, from)
		}
	}
}

func answer6(c *ipv6.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, message, from, err := c.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && message != nil:
			_, _ = c.WriteTo(b[:n], &ipv6.ControlMessage{Src: message.Dst}, from)
		}
	}
}
