package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// Network opens connections to routers. The zero Options use the kernel's network; tests replace it.
type Network interface {
	// Dial opens a connection to the router of p, within the time of ctx. An error that wraps a *DialError says the
	// reason.
	Dial(ctx context.Context, p Peer) (Connection, error)
	// Adopt returns the connection that file holds, with the password and the TTL security of p, and does not close
	// file.
	Adopt(p Peer, file *os.File) (Connection, error)
}

// Connection is a connection to a router, with what the kernel knows of the way there.
type Connection struct {
	net.Conn
	// Local and Remote are the addresses of the connection, IPv4 addresses not mapped to IPv6.
	Local, Remote netip.AddrPort
	// NextHop4 and NextHop6 are the addresses of this node at the interface of Local. That of the family of Local is
	// Local itself. The other one is not valid when the interface has no address of that family.
	NextHop4, NextHop6 netip.Addr
	// OnLink is true when the router is in a subnet of that interface, so that no router is in between.
	OnLink bool
}

// DialError is the failure of an attempt to connect.
type DialError struct {
	Reason Reason
	// Message is a sentence that says what to do. It does not name the router.
	Message string
	// Err is the error of the kernel; nil when the kernel returned none.
	Err error
}

// Error returns the error of the kernel, or Message without one.
func (e *DialError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

// Unwrap returns the error of the kernel.
func (e *DialError) Unwrap() error { return e.Err }
