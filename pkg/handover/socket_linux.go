package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSocket is the greatest length of an abstract name in bytes: sun_path without its leading zero byte (unix(7)).
const maxSocket = 107

// socketAddr returns the abstract address of a name.
func socketAddr(name string) (*net.UnixAddr, error) {
	if name == "" || len(name) > maxSocket || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("the name of a place %q has %d bytes, must have 1 to %d and none of them zero", name, len(name), maxSocket)
	}
	return &net.UnixAddr{Name: "@" + name, Net: "unix"}, nil
}

// listen takes the name, or returns ErrTaken.
func listen(name string) (*net.UnixListener, error) {
	addr, err := socketAddr(name)
	if err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s", ErrTaken, name)
	}
	return listener, err
}

// dial connects to the process that has the name, or returns ErrNobody.
func dial(ctx context.Context, name string) (*net.UnixConn, error) {
	addr, err := socketAddr(name)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, addr.Net, addr.Name)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %s", ErrNobody, name)
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// sameUser returns nil if the process at the other end of conn has the same user as this process. The kernel records
// the user when the other process connects or begins to listen (SO_PEERCRED, unix(7)).
func sameUser(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("credentials of the other process: %w", failed)
	}
	return allowed(peer, os.Geteuid())
}

// allowed returns ErrForeign if the peer has another user than self.
func allowed(peer *unix.Ucred, self int) error {
	if int(peer.Uid) != self {
		return fmt.Errorf("%w: process %d runs as user %d, this one as %d", ErrForeign, peer.Pid, peer.Uid, self)
	}
	return nil
}
