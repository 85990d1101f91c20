package routertest

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// Link is the router's end of a connection, for a router that is not driven by Receive.
type Link struct {
	router *Router
	conn   io.ReadWriter
	// mu keeps the bytes of an answer together.
	mu sync.Mutex
}

// Link begins a connection over conn. Serve must be called on the result.
func (r *Router) Link(conn io.ReadWriter) *Link {
	r.Connect()
	return &Link{router: r, conn: conn}
}

// Serve answers the speaker until the connection ends. The router answers each KEEPALIVE with one of its own. Serve
// closes a conn that is an io.Closer, and returns nil at the end of the connection.
func (l *Link) Serve() error {
	defer func() {
		if c, ok := l.conn.(io.Closer); ok {
			c.Close()
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := l.conn.Read(buf)
		if err != nil {
			l.router.Disconnect()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return nil
			}
			return fmt.Errorf("read: %w", err)
		}
		answer, open := l.router.Receive(buf[:n])
		if err := l.write(answer); err != nil {
			l.router.Disconnect()
			return err
		}
		if !open {
			return nil
		}
	}
}

func (l *Link) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.conn.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Refresh asks for all routes of a family.
func (l *Link) Refresh(f wire.Family) error { return l.write(l.router.Refresh(f)) }

// Notify ends the session with a NOTIFICATION.
func (l *Link) Notify(n wire.Notification) error { return l.write(l.router.Notify(n)) }
