//go:build unix

package daemon

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sharePort lets other processes of the same user listen on the port of a socket.
func sharePort(_, _ string, socket syscall.RawConn) error {
	var failed error
	if err := socket.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); err != nil {
		return err
	}
	return failed
}
