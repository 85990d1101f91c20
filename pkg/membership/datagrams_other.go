//go:build !linux

package membership

import (
	"net"
	"net/netip"
)

// datagrams reads and writes the datagrams of a socket. Only the kubectl plugin is built for systems other than Linux.
type datagrams struct {
	udp  *net.UDPConn
	ipv4 bool
}

func newDatagrams(udp *net.UDPConn) (datagrams, error) {
	return datagrams{udp: udp, ipv4: udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().Is4()}, nil
}

func (d datagrams) read(b []byte) (n int, from netip.AddrPort, err error) {
	return d.udp.ReadFromUDPAddrPort(b)
}

func (d datagrams) write(b []byte, to netip.AddrPort) error {
	_, err := d.udp.WriteToUDPAddrPort(b, to)
	return err
}
