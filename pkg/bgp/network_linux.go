package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelNetwork is the Network of the network namespace of the process.
type kernelNetwork struct {
	md5 md5Watch
	// The mutex guards routers: the routers found on interfaces of unnumbered sessions. The attempts of several peers,
	// each in its own goroutine, use the map.
	mu      sync.Mutex
	routers map[string]netip.Addr
}

var _ Network = (*kernelNetwork)(nil)

func newKernelNetwork() *kernelNetwork {
	return &kernelNetwork{md5: md5Watch{read: readMD5Counters}, routers: map[string]netip.Addr{}}
}

// Dial implements Network.
func (k *kernelNetwork) Dial(ctx context.Context, p Peer) (Connection, error) {
	router, err := k.router(ctx, p)
	if err != nil {
		return Connection{}, err
	}
	conn, err := k.connect(ctx, p, router)
	if err != nil {
		k.forget(p.Interface)
		return Connection{}, err
	}
	return describe(conn)
}

// router returns the address of the router: the configured address, or the source of router advertisements.
func (k *kernelNetwork) router(ctx context.Context, p Peer) (netip.Addr, error) {
	if p.Interface == "" {
		return p.Address.Unmap(), nil
	}
	socket, err := openRouterSocket(p.Interface)
	if err != nil {
		return netip.Addr{}, err
	}
	defer socket.close()
	k.mu.Lock()
	router, known := k.routers[p.Interface]
	k.mu.Unlock()
	if !known {
		if router, err = socket.find(ctx); err != nil {
			return netip.Addr{}, asDialError(err)
		}
		k.mu.Lock()
		k.routers[p.Interface] = router
		k.mu.Unlock()
	}
	if err := socket.advertise(router); err != nil {
		k.forget(p.Interface)
		return netip.Addr{}, asDialError(err)
	}
	return router, nil
}

// forget has the next attempt look for the router of an interface again.
func (k *kernelNetwork) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.routers, name)
}

// connect connects to the router, and finds out whether a failure is due to the password.
func (k *kernelNetwork) connect(ctx context.Context, p Peer, router netip.Addr) (*net.TCPConn, error) {
	source, device, err := source(p, router)
	if err != nil {
		return nil, err
	}
	options := socketOptions{remote: router, password: p.Password, hops: p.TTLSecurity, userTimeout: p.HoldTime,
		device: device}
	first, cancel := ctx, context.CancelFunc(func() {})
	if deadline, has := ctx.Deadline(); has && p.Password != "" {
		first, cancel = context.WithDeadline(ctx, deadline.Add(-plainTimeout))
	}
	defer cancel()
	attempt := k.md5.begin(p.Password != "")
	conn, err := connectOnce(first, options, source, p.Port)
	because, shared := k.md5.end(attempt)
	if err == nil {
		return conn, nil
	}
	failure := classify(err, p, because, shared)
	if p.Password != "" && (failure.Reason == Timeout || failure.Reason == PasswordUnexpected) {
		failure = tryPlain(ctx, options, source, p, failure)
	}
	return nil, failure
}

// plainTimeout limits the attempt to connect without a password.
const plainTimeout = 2 * time.Second

// tryPlain finds out why a router does not answer segments with a password. Most routers drop such segments when they
// have no password or another password for this node, and a refusal without a password does not reach this node's
// socket. Only a router without a password answers a connection without a password.
func tryPlain(ctx context.Context, o socketOptions, source netip.Addr, p Peer, failure *DialError) *DialError {
	o.password = ""
	ctx, cancel := context.WithTimeout(ctx, plainTimeout)
	defer cancel()
	conn, err := connectOnce(ctx, o, source, p.Port)
	switch {
	case err == nil:
		conn.Close()
		failure.Reason = PasswordUnexpected
		failure.Message = "the router accepts connections of this node without a TCP MD5 password: configure the " +
			"same password there, " +
			"or remove password or password-secret"
	case errors.Is(err, unix.ECONNREFUSED):
		return classify(err, p, None, false)
	}
	return failure
}

// connectOnce opens a connection.
func connectOnce(ctx context.Context, o socketOptions, source netip.Addr, port uint16) (*net.TCPConn, error) {
	dialer := net.Dialer{
		KeepAlive: -1, // BGP has its own
		ControlContext: func(_ context.Context, _, _ string, raw syscall.RawConn) error {
			if err := o.set(raw); err != nil {
				return &DialError{Reason: ConnectionLost, Err: err,
					Message: "the kernel of this node cannot prepare the connection: " + err.Error()}
			}
			return nil
		},
	}
	dialer.SetMultipathTCP(false) // which knows no password
	network := "tcp4"
	if o.remote.Is6() {
		network = "tcp6"
	}
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := dialer.DialContext(ctx, network, netip.AddrPortFrom(o.remote, port).String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// source returns the local address to bind to, not valid for the kernel's choice, and the VRF to connect in.
func source(p Peer, router netip.Addr) (addr netip.Addr, device string, err error) {
	if p.SourceInterface == "" || p.Interface != "" {
		addr = p.SourceAddress.Unmap()
		if addr.IsLinkLocalUnicast() && addr.Zone() == "" {
			addr = addr.WithZone(router.Zone())
		}
		return addr, "", nil
	}
	link, err := netlink.LinkByName(p.SourceInterface)
	if err != nil {
		return netip.Addr{}, "", &DialError{Reason: NoRoute, Err: err,
			Message: fmt.Sprintf("this node has no interface %s: correct source-interface", p.SourceInterface)}
	}
	if device, err = vrfOf(link); err != nil {
		return netip.Addr{}, "", asDialError(err)
	}
	if p.SourceAddress.IsValid() {
		return p.SourceAddress.Unmap(), device, nil
	}
	addrs, err := readAddresses()
	if err != nil {
		return netip.Addr{}, "", asDialError(err)
	}
	addr, ok := chooseSource(addrs, link.Attrs().Index, router)
	if !ok {
		return netip.Addr{}, "", &DialError{Reason: NoRoute,
			Message: fmt.Sprintf("the interface %s has no address of the family of the router: add one, or change "+
				"source-interface", p.SourceInterface)}
	}
	if addr.IsLinkLocalUnicast() && addr.Is6() {
		addr = addr.WithZone(p.SourceInterface)
	}
	return addr, device, nil
}

// describe adds to a connection the addresses at both ends and the next hops.
func describe(conn *net.TCPConn) (Connection, error) {
	local, remote := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	addrs, err := readAddresses()
	if err != nil {
		conn.Close()
		return Connection{}, asDialError(err)
	}
	return Connection{
		Conn: conn, Local: local, Remote: remote,
		NextHop4: chooseNextHop(addrs, local.Addr(), true),
		NextHop6: chooseNextHop(addrs, local.Addr(), false),
		OnLink:   onLink(addrs, local.Addr().WithZone(""), remote.Addr()),
	}, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	t := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(t.Addr().Unmap(), t.Port())
}

// Adopt implements Network.
func (k *kernelNetwork) Adopt(p Peer, file *os.File) (Connection, error) {
	raw, err := net.FileConn(file)
	if err != nil {
		return Connection{}, fmt.Errorf("adopt the connection: %w", err)
	}
	conn, is := raw.(*net.TCPConn)
	if !is {
		raw.Close()
		return Connection{}, errors.New("adopt the connection: the file is no TCP socket")
	}
	if err := conn.SetKeepAlive(false); err != nil {
		conn.Close()
		return Connection{}, fmt.Errorf("adopt the connection: %w", err)
	}
	remote := addrPort(conn.RemoteAddr()).Addr()
	// With other parameters the session is about to end, and ends with the options that it began with.
	if p.PasswordProblem == "" && (p.Interface != "" || p.Address.Unmap() == remote) {
		control, err := conn.SyscallConn()
		if err == nil {
			err = socketOptions{remote: remote, password: p.Password, hops: p.TTLSecurity}.renew(control)
		}
		if err != nil {
			conn.Close()
			return Connection{}, fmt.Errorf("adopt the connection: %w", err)
		}
	}
	return describe(conn)
}
