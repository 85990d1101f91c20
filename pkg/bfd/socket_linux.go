package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// portSingleHop and portMultihop are the destination ports (RFC 5881, section 4; RFC 5883, section 5).
	portSingleHop, portMultihop = 3784, 4784
	// portFirst and portLast are the range of source ports (RFC 5881, section 4).
	portFirst, portLast = 49152, 65535
	// portTries is the number of source ports that are tried before the session waits.
	portTries = 64
	// ttl is the TTL of each sent packet, and of each received single-hop packet (RFC 5881, section 5).
	ttl = 255
	// trafficClass is CS6, internetwork control (RFC 4594, section 3.1).
	trafficClass = 0xc0
	// receiveBuffer in bytes holds at most drainLimit packets: a packet takes at least 512 bytes in the kernel.
	receiveBuffer = 1 << 17
)

// port returns the destination port of the sessions.
func port(multihop bool) int {
	if multihop {
		return portMultihop
	}
	return portSingleHop
}

// interfaceIndex returns the index of the interface that k is bound to by its name or by a zone, 0 for any.
func interfaceIndex(k Key) (int, error) {
	name := k.Interface
	if zone := k.Local.Zone(); zone != "" {
		name = zone
	}
	if k.Multihop || name == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 {
		return n, nil
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// option is an integer option of a socket.
type option struct{ level, name, value int }

// receiverOptions are the options of a receiving socket: TTL, interface and time of arrival come with each packet.
func receiverOptions(local netip.Addr) []option {
	options := []option{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}, {unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer / 2}}
	if local.Is4() {
		return append(options, option{unix.SOL_IP, unix.IP_RECVTTL, 1}, option{unix.SOL_IP, unix.IP_PKTINFO, 1})
	}
	return append(options, option{unix.SOL_IPV6, unix.IPV6_V6ONLY, 1}, option{unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		option{unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1})
}

// senderOptions are the options of a sending socket.
func senderOptions(local netip.Addr) []option {
	if local.Is4() {
		return []option{{unix.SOL_IP, unix.IP_TTL, ttl}, {unix.SOL_IP, unix.IP_TOS, trafficClass}}
	}
	return []option{{unix.SOL_IPV6, unix.IPV6_V6ONLY, 1}, {unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, ttl},
		{unix.SOL_IPV6, unix.IPV6_TCLASS, trafficClass}}
}

func setOptions(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set option %d/%d: %w", o.level, o.name, err)
		}
	}
	return nil
}

// openSocket returns a UDP socket with options. The socket blocks: each call on it has MSG_DONTWAIT.
func openSocket(local netip.Addr, options []option) (int, error) {
	family := unix.AF_INET
	if !local.Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := setOptions(fd, options); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openReceiver returns a socket that receives the packets to local.
func openReceiver(local netip.Addr, index int, multihop bool) (int, error) {
	fd, err := openSocket(local, receiverOptions(local))
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, socketAddress(local, index, port(multihop))); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind %v: %w", netip.AddrPortFrom(local, uint16(port(multihop))), err)
	}
	return fd, nil
}

// openSender returns a socket with a source port of its own. Packets to that port are dropped: nothing reads them.
func openSender(k Key, index int) (int, error) {
	fd, err := openSocket(k.Local, senderOptions(k.Local))
	if err != nil {
		return -1, err
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	if err == nil && k.Interface != "" && !k.Multihop {
		err = unix.BindToDevice(fd, k.Interface)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("prepare sending socket: %w", err)
	}
	for range portTries {
		p := portFirst + rand.IntN(portLast-portFirst+1)
		if err = unix.Bind(fd, socketAddress(k.Local, index, p)); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind %v: %w", k.Local, err)
	}
	return fd, nil
}

func socketAddress(a netip.Addr, index, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	zone := 0
	if a.IsLinkLocalUnicast() {
		zone = index
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port, ZoneId: uint32(zone)}
}

// destination is a socket address in the kernel's form, for sending without an allocation.
type destination struct {
	four   unix.RawSockaddrInet4
	six    unix.RawSockaddrInet6
	family uint16
}

func newDestination(a netip.Addr, index, port int) destination {
	var p [2]byte
	binary.BigEndian.PutUint16(p[:], uint16(port))
	d := destination{family: unix.AF_INET}
	if a.Is4() {
		d.four = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: binary.NativeEndian.Uint16(p[:]), Addr: a.As4()}
		return d
	}
	d.family = unix.AF_INET6
	d.six = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: binary.NativeEndian.Uint16(p[:]), Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		d.six.Scope_id = uint32(index)
	}
	return d
}

// sendTo is sendto(2) without waiting. The call is so short that the scheduler of Go need not know about it.
func sendTo(fd int, b []byte, d *destination) unix.Errno {
	address, size := unsafe.Pointer(&d.four), unsafe.Sizeof(d.four)
	if d.family == unix.AF_INET6 {
		address, size = unsafe.Pointer(&d.six), unsafe.Sizeof(d.six)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(address), size)
	return errno
}

// adoptSocket returns a descriptor of the file of another process, after a check that the file is a UDP socket bound to
// local and one of the ports from first to last.
func adoptSocket(f *os.File, local netip.Addr, first, last int) (int, error) {
	connection, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	controlErr := connection.Control(func(original uintptr) {
		fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return -1, fmt.Errorf("duplicate %s: %w", f.Name(), err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("address of %s: %w", f.Name(), err)
	}
	var is netip.AddrPort
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		is = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		is = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_DGRAM || is.Addr() != local.WithZone("") || int(is.Port()) < first ||
		int(is.Port()) > last {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is bound to %v, not to %v with a port from %d to %d", f.Name(), is, local, first,
			last)
	}
	return fd, nil
}
