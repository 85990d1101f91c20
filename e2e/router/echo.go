package router

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/wire"
)

// EchoPort is the port of the echo service (RFC 862).
const EchoPort = 7

// Echo answers datagrams on a node.
type Echo struct{ conns []*net.UDPConn }

// NewEcho answers datagrams to addresses on a node of the laboratory with the same bytes and the name of the node.
func NewEcho(lab *wire.Lab, number int, addrs ...netip.Addr) (*Echo, error) {
	e := &Echo{}
	name := lab.Nodes()[number]
	for _, a := range addrs {
		err := lab.Do(number, func() error {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, EchoPort)))
			if err != nil {
				return err
			}
			e.conns = append(e.conns, conn)
			return roomy(conn)
		})
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("answer datagrams to %s on %s: %w", a, name, err)
		}
		go answer(e.conns[len(e.conns)-1], name)
	}
	return e, nil
}

// roomy enlarges the receive buffer, for the time in which this process waits for a CPU.
func roomy(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(
		func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) },
	)
	return errors.Join(err, failed)
}

// answer sends back until the socket is closed.
func answer(conn *net.UDPConn, name string) {
	b := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b[:1000])
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDPAddrPort(append(b[:n], name...), from) // the client counts a lost answer
	}
}

// Close ends the answers.
func (e *Echo) Close() {
	for _, c := range e.conns {
		_ = c.Close() // ends the reading, whatever it says
	}
}
