package daemon

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxConnections is the greatest number of open connections of one listener. maxHostConnections is the greatest
	// number from one address. A connection takes some 20 kB. A kubelet and a few scrapers need fewer connections.
	maxConnections     = 64
	maxHostConnections = 16
	// maxScrapes is the greatest number of answers to /metrics that the server computes at the same time.
	maxScrapes = 4
)

// connections limits the open connections of one listener. A new connection over a limit replaces the connection that
// has been idle longest: among the connections of the same address if that address has too many, else among all
// connections. Therefore many idle connections keep no client out. The server calls connections from several
// goroutines.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]*connection
}

type connection struct {
	host netip.Addr
	// idle is the time since which the connection has had no request. idle is zero during a request.
	idle time.Time
}

// note is a [http.Server.ConnState].
func (c *connections) note(conn net.Conn, state http.ConnState) {
	if victim := c.update(conn, state, time.Now()); victim != nil {
		_ = victim.Close() // a client that is still there connects again
	}
}

// update records the state of a connection and returns the connection to close, or nil.
func (c *connections) update(conn net.Conn, state http.ConnState, now time.Time) (victim net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
		return nil
	case http.StateActive:
		if known := c.open[conn]; known != nil {
			known.idle = time.Time{}
		}
		return nil
	case http.StateIdle:
		if known := c.open[conn]; known != nil {
			known.idle = now
		}
		return nil
	}
	added := &connection{host: hostOf(conn), idle: now}
	if c.open == nil {
		c.open = map[net.Conn]*connection{}
	}
	c.open[conn] = added
	if added.host.IsValid() && c.count(added.host) > maxHostConnections {
		victim = c.oldest(added.host)
	} else if len(c.open) > maxConnections {
		victim = c.oldest(netip.Addr{})
	}
	delete(c.open, victim)
	return victim
}

func (c *connections) count(host netip.Addr) (n int) {
	for _, x := range c.open {
		if x.host == host {
			n++
		}
	}
	return n
}

// oldest returns the connection that has been idle longest, among the connections of host if host is valid. The newest
// connection is idle, so oldest always finds a connection.
func (c *connections) oldest(host netip.Addr) (found net.Conn) {
	var since time.Time
	for conn, x := range c.open {
		if x.idle.IsZero() || host.IsValid() && x.host != host {
			continue
		}
		if found == nil || x.idle.Before(since) {
			found, since = conn, x.idle
		}
	}
	return found
}

// hostOf returns the address of the client. For a Unix socket, the address is not valid.
func hostOf(conn net.Conn) netip.Addr {
	if tcp, is := conn.RemoteAddr().(*net.TCPAddr); is {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
