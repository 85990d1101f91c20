package membership

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams reads and writes the datagrams of a socket. One goroutine reads; several goroutines may write.
//
// The methods of net.UDPConn tell the scheduler of the runtime about each call of the kernel, because a call may block.
// On an idle machine that wakes the monitor of the runtime, which then sleeps several times for 20 microseconds. These
// sockets never block.
type datagrams struct {
	raw  syscall.RawConn
	ipv4 bool
}

func newDatagrams(udp *net.UDPConn) (datagrams, error) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return datagrams{}, err
	}
	return datagrams{raw: raw, ipv4: udp.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().Is4()}, nil
}

// read reads one datagram into b, and cuts off the bytes that b has no room for.
func (d datagrams) read(b []byte) (n int, from netip.AddrPort, err error) {
	var call error
	err = d.raw.Read(func(fd uintptr) bool {
		n, from, call = receiveFrom(fd, b)
		return !errors.Is(call, unix.EAGAIN)
	})
	if err == nil {
		err = os.NewSyscallError("recvfrom", call)
	}
	return n, from, err
}

// write sends one datagram. The error of a failed call has the form that net.UDPConn uses, because memberlist looks
// into the error.
func (d datagrams) write(b []byte, to netip.AddrPort) error {
	var call error
	err := d.raw.Write(func(fd uintptr) bool {
		call = sendTo(fd, b, to, d.ipv4)
		return !errors.Is(call, unix.EAGAIN)
	})
	if err == nil {
		err = os.NewSyscallError("sendto", call)
	}
	if err != nil {
		return &net.OpError{Op: "write", Net: "udp", Addr: net.UDPAddrFromAddrPort(to), Err: err}
	}
	return nil
}

func receiveFrom(fd uintptr, b []byte) (int, netip.AddrPort, error) {
	var from unix.RawSockaddrAny
	for {
		size := uint32(unsafe.Sizeof(from))
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			return int(n), sender(&from), nil
		case unix.EINTR:
		default:
			return 0, netip.AddrPort{}, errno
		}
	}
}

// sender returns the address in the form of the kernel as an AddrPort.
func sender(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		addr := netip.AddrFrom16(in.Addr)
		if in.Scope_id != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return netip.AddrPortFrom(addr, port(&in.Port))
	}
	return netip.AddrPort{}
}

// port reads a port in network byte order.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

func sendTo(fd uintptr, b []byte, to netip.AddrPort, ipv4 bool) error {
	var in4 unix.RawSockaddrInet4
	var in6 unix.RawSockaddrInet6
	at, size := unsafe.Pointer(&in6), unsafe.Sizeof(in6)
	addr, number := to.Addr().Unmap(), &in6.Port
	switch {
	case addr.Is4() != ipv4:
		return unix.EAFNOSUPPORT
	case ipv4:
		in4.Family, in4.Addr = unix.AF_INET, addr.As4()
		at, size, number = unsafe.Pointer(&in4), unsafe.Sizeof(in4), &in4.Port
	default:
		in6.Family, in6.Addr = unix.AF_INET6, addr.As16()
		if zone, err := strconv.ParseUint(addr.Zone(), 10, 32); err == nil {
			in6.Scope_id = uint32(zone)
		}
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(number))[:], to.Port())
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT, uintptr(at), size)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
