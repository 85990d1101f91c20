package daemon

import (
	"errors"
	"syscall"
)

// sharePort refuses: only the kubectl plugin, which listens on no port, is built for Windows.
func sharePort(string, string, syscall.RawConn) error { return errors.ErrUnsupported }
