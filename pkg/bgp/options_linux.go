package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// controlClass is class selector 6 as the type of service, for routing protocols (RFC 4594, section 3.2).
	controlClass = 0xc0
	// ownTTL is the TTL of each packet sent, so that a router with TTL security accepts the session (RFC 5082, section
	// 3).
	ownTTL = 255
	// maxPassword is the greatest length of a TCP MD5 password in bytes (TCP_MD5SIG_MAXKEYLEN, tcp(7)).
	maxPassword = 80
)

// socketOptions are the options of a connection to a router.
type socketOptions struct {
	remote   netip.Addr
	password string
	// hops is the greatest number of hops to the router, 0 for no check (RFC 5082).
	hops int
	// userTimeout limits the time without an acknowledgement of sent data, 0 for the kernel's default.
	userTimeout time.Duration
	// device is the VRF to bind to; empty for none.
	device string
}

// set sets the options before the socket connects.
func (o socketOptions) set(raw syscall.RawConn) error {
	return control(raw, func(fd int) error {
		if o.device != "" {
			if err := unix.BindToDevice(fd, o.device); err != nil {
				return fmt.Errorf("bind to VRF %s: %w", o.device, err)
			}
		}
		level, ttl, class := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
		if o.remote.Is6() {
			level, ttl, class = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
		}
		if err := unix.SetsockoptInt(fd, level, ttl, ownTTL); err != nil {
			return fmt.Errorf("set the TTL: %w", err)
		}
		if err := unix.SetsockoptInt(fd, level, class, controlClass); err != nil {
			return fmt.Errorf("set the traffic class: %w", err)
		}
		if err := o.setHops(fd); err != nil {
			return err
		}
		if err := setUserTimeout(fd, o.userTimeout); err != nil {
			return err
		}
		return o.setPassword(fd)
	})
}

// renew sets the options that a change of the peer may have changed, on a connection that the previous process opened.
func (o socketOptions) renew(raw syscall.RawConn) error {
	return control(raw, func(fd int) error { return errors.Join(o.setHops(fd), o.setPassword(fd)) })
}

// setHops sets the least TTL of received packets, or removes the limit.
func (o socketOptions) setHops(fd int) error {
	least := 0
	if o.hops > 0 {
		least = 256 - o.hops
	}
	level, option := unix.IPPROTO_IP, unix.IP_MINTTL
	if o.remote.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT
	}
	if err := unix.SetsockoptInt(fd, level, option, least); err != nil {
		return fmt.Errorf("set the least TTL: %w", err)
	}
	return nil
}

// setPassword sets or removes the password for the router (RFC 2385). Errors do not contain the password.
func (o socketOptions) setPassword(fd int) error {
	if len(o.password) > maxPassword {
		return fmt.Errorf("the password has %d bytes, more than %d", len(o.password), maxPassword)
	}
	key := &unix.TCPMD5Sig{Keylen: uint16(len(o.password))}
	copy(key.Key[:], o.password)
	// The kernel reads a sockaddr_in or sockaddr_in6: the address follows the port, and in IPv6 the flow label.
	if o.remote.Is4() {
		key.Addr.Family = unix.AF_INET
		a := o.remote.As4()
		copy(key.Addr.Data[2:], a[:])
	} else {
		key.Addr.Family = unix.AF_INET6
		a := o.remote.As16()
		copy(key.Addr.Data[6:], a[:])
	}
	err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, key)
	switch {
	case err == nil, o.password == "" && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT)):
		return nil // there was no password to remove
	case errors.Is(err, unix.ENOPROTOOPT):
		return fmt.Errorf("set the password: the kernel lacks CONFIG_TCP_MD5SIG: %w", err)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("set the password: no room for TCP MD5 keys, or the kernel forbids MD5 (FIPS): %w", err)
	}
	return fmt.Errorf("set the password: %w", err)
}

// setUserTimeout limits how long sent data may stay without an acknowledgement (RFC 5482), 0 for the kernel's default.
func setUserTimeout(fd int, d time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())); err != nil {
		return fmt.Errorf("set the user timeout: %w", err)
	}
	return nil
}

// control calls f with the file descriptor, and returns its error.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// setNonblock makes a connection of the kernel return instead of wait, as the runtime of Go expects. Others are left
// alone.
func setNonblock(conn net.Conn) error {
	c, is := conn.(syscall.Conn)
	if !is {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd int) error { return unix.SetNonblock(fd, true) })
}

// copyFile returns a file with a copy of the file descriptor.
func copyFile(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var copied int
	if err := control(raw, func(fd int) (err error) {
		copied, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	}); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), f.Name()), nil
}
