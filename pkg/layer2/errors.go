package layer2

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// socketError names the failed socket and operation, and adds the remedy if the remedy is known.
type socketError struct {
	operation string
	protocol  Protocol
	name      string // the name of the interface
	err       error
}

func (e socketError) Error() string {
	cause := e.err.Error()
	// The libraries name the operation and the hardware address in their own words, so only the errno is used.
	if errno, ok := errors.AsType[syscall.Errno](e.err); ok {
		cause = errno.Error()
	}
	text := fmt.Sprintf("%s %s socket on %s: %s", e.operation, e.protocol, e.name, cause)
	if errors.Is(e.err, fs.ErrPermission) {
		text += ": the container needs the capability NET_RAW"
	}
	return text
}

func (e socketError) Unwrap() error { return e.err }

// frameText returns the beginning of a frame in hexadecimal digits, for logs.
func frameText(b []byte) string {
	return hex.EncodeToString(b[:min(len(b), ndpOptions+8)])
}
