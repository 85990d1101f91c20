package bgp

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// asDialError returns err as a *DialError, with the reason that the error of the kernel stands for.
func asDialError(err error) *DialError {
	return classify(err, Peer{}, None, false)
}

// classify returns the reason why an attempt to connect failed, and what to do. because is what the counters of the
// kernel say about passwords; shared is true when they say something of one of several attempts.
func classify(err error, p Peer, because Reason, shared bool) *DialError {
	if d, is := errors.AsType[*DialError](err); is {
		return d
	}
	d := &DialError{Reason: because, Err: err}
	switch because {
	case PasswordMissing:
		d.Message = "the router signs its segments with a TCP MD5 password and the peer has none: set password or " +
			"password-secret"
		return d
	case PasswordWrong:
		d.Message = "the router signs its segments with another TCP MD5 password: set the same password on both sides"
		return d
	case PasswordUnexpected:
		d.Message = "the router answers without a TCP MD5 password: configure the password for this node on the " +
			"router, and check that " +
			"BGP listens there"
		return d
	}
	d.Reason, d.Message = dialReason(err, p)
	if shared {
		d.Message += "; the kernel dropped segments because of a TCP MD5 password, of this peer or of another one " +
			"that was dialled at " +
			"the same time"
	}
	return d
}

// dialReason returns the reason and the message that the error of the kernel stands for.
func dialReason(err error, p Peer) (Reason, string) {
	is := func(errs ...error) bool {
		for _, e := range errs {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case is(unix.ECONNREFUSED):
		return Refused, fmt.Sprintf("the router refuses connections to port %d: check that BGP runs there and has "+
			"this node as a neighbor", p.Port)
	case is(unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED):
		return ConnectionLost, "the router reset the connection: check that it has this node as a neighbor"
	case is(unix.EADDRNOTAVAIL):
		return NoRoute, "this node does not have the source address: correct source-address or source-interface"
	case is(unix.EHOSTUNREACH, unix.EHOSTDOWN):
		return NoRoute, "no host answers at the router's address, or a router on the way rejects the packets: " +
			"check the address and the link"
	case is(unix.ENETUNREACH, unix.ENETDOWN, unix.ENODEV, unix.EINVAL, unix.ENXIO):
		return NoRoute, "this node has no route to the router: check the address, the interface and the routes of " +
			"the node"
	case is(unix.EACCES, unix.EPERM):
		return NoRoute, "this node does not permit the connection: check its firewall rules"
	case is(context.DeadlineExceeded, os.ErrDeadlineExceeded, unix.ETIMEDOUT):
		return Timeout, timeoutMessage(p)
	}
	return ConnectionLost, "the connection failed"
}

// timeoutMessage names the causes of a router that does not answer. Routers drop segments with a wrong TCP MD5 password
// silently.
func timeoutMessage(p Peer) string {
	if p.Password != "" {
		return "the router does not answer: check the address and firewalls, and that the router has the same " +
			"password for this node"
	}
	return "the router does not answer: check the address and firewalls, and that the router expects no password " +
		"from this node"
}

// lossReason returns the reason and the message of a connection that ended with an error.
func lossReason(err error) (Reason, string) {
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return ConnectionLost, "the router reset the connection"
	case errors.Is(err, unix.ETIMEDOUT):
		return HoldTimeExpired, "the router acknowledged nothing for the hold time"
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENETDOWN):
		return ConnectionLost, "this node has no way to the router any more"
	}
	return ConnectionLost, "the connection ended: " + err.Error()
}
