package session

import (
	"net/netip"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Route is a prefix to announce.
type Route = wire.Route

// Event is an input of Step.
type Event interface{ event() }

// Start begins to dial. Start after Stop begins anew.
type Start struct{}

// Connected reports the connection that Dial asked for.
type Connected struct {
	// NextHop4 and NextHop6 are the next hops of IPv4 and IPv6 routes: the local address of the connection, and an
	// address of the same interface in the other family. They are not valid when there is none. Zones are ignored.
	NextHop4, NextHop6 netip.Addr
	// Family is the family of the connection's addresses.
	Family wire.Family
}

// DialFailed reports the failure of a Dial.
type DialFailed struct {
	Reason  Reason
	Message string
}

// Received holds bytes from the router, in pieces of any size. Step does not keep Data.
type Received struct{ Data []byte }

// Written reports the end of the last Send: the kernel has all of its bytes.
type Written struct{}

// Closed reports the loss of the connection.
type Closed struct {
	Reason  Reason
	Message string
}

// Timer reports the time of Next. An early or late Timer is harmless.
type Timer struct{}

// SetRoutes replaces the routes to announce.
type SetRoutes struct {
	// Routes are all routes, sorted by Prefix, each once. Step keeps parts of them: the caller must not change them.
	Routes []Route
	// Ready false holds back the first End-of-RIB and the withdrawal of routes that Restore brought and that were never
	// in Routes.
	Ready bool
}

// BFDDown reports the loss of the BFD session.
type BFDDown struct{}

// Reconnect dials at once when no connection is up, and resets the backoff.
type Reconnect struct{}

// Stop ends the session until the next Start.
type Stop struct{ Reason StopReason }

// StopReason is the NOTIFICATION with which a session is stopped.
type StopReason uint8

const (
	// Shutdown is Cease 6/2. A router with graceful restart and the N bit (RFC 8538) keeps the routes for a while.
	Shutdown StopReason = iota
	// Deconfigured is Cease 6/3, as a Hard Reset where the N bit was negotiated.
	Deconfigured
	// HardReset is Cease 6/9 where the N bit was negotiated, else 6/2. The router removes the routes at once.
	HardReset
)

func (Start) event()      {}
func (Connected) event()  {}
func (DialFailed) event() {}
func (Received) event()   {}
func (Written) event()    {}
func (Closed) event()     {}
func (Timer) event()      {}
func (SetRoutes) event()  {}
func (BFDDown) event()    {}
func (Reconnect) event()  {}
func (Stop) event()       {}

// Action is an output of Step.
type Action interface{ action() }

// Dial asks for a connection to the router.
type Dial struct{}

// Send asks for bytes to be written. Data is the caller's; Step never touches it again.
type Send struct{ Data []byte }

// Close asks for the end of the connection, or of the dial in progress. The bytes of earlier Sends are offered to the
// kernel once before, without waiting for the router.
type Close struct{}

func (Dial) action()  {}
func (Send) action()  {}
func (Close) action() {}

// SendSize is the largest size of a Send in bytes.
const SendSize = 32 << 10
