package bgp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// readSize is the size of the buffer of a connection: the router sends little but KEEPALIVE messages.
	readSize = 4096
	// farewell limits the end of a connection: the last messages are sent, and the router closes its end.
	farewell = time.Second
)

// transport is an open connection with a goroutine that reads and one that writes, so that a slow router delays nobody.
// The methods belong to the goroutine of the peer.
type transport struct {
	Connection
	// received carries data from the reader. The reader waits for next before it reuses the buffer.
	received chan chunk
	next     chan struct{}
	// written has the result of the write that is in progress.
	written chan writeResult
	// closed is closed when nobody listens to received.
	closed chan struct{}
	tasks  *sync.WaitGroup
	// unsent waits for the write in progress, which has inflight.
	unsent, inflight []byte
	// reading is true while the reader runs, paused between pause and unpause.
	reading, paused bool
}

// chunk holds the results of a read.
type chunk struct {
	data []byte
	err  error
}

// writeResult holds the results of a write.
type writeResult struct {
	n   int
	err error
}

// newTransport starts to read. The goroutines of the transport are counted in tasks.
func newTransport(c Connection, tasks *sync.WaitGroup) *transport {
	t := &transport{Connection: c, received: make(chan chunk), next: make(chan struct{}),
		written: make(chan writeResult, 1),
		closed:  make(chan struct{}), tasks: tasks}
	t.read()
	return t
}

// read starts the reader, which ends after the first error.
func (t *transport) read() {
	t.reading = true
	t.tasks.Go(func() {
		buffer := make([]byte, readSize)
		for {
			n, err := t.Read(buffer)
			select {
			case t.received <- chunk{data: buffer[:n], err: err}:
			case <-t.closed:
				return
			}
			if err != nil {
				return
			}
			select {
			case <-t.next:
			case <-t.closed:
				return
			}
		}
	})
}

// taken is called after the data of each chunk was used.
func (t *transport) taken(c chunk) {
	if c.err != nil {
		t.reading = false
		return
	}
	select {
	case t.next <- struct{}{}:
	case <-t.closed: // the data made the session close the connection
	}
}

// send queues data. The session waits for Written before it sends more updates, so that the queue stays short.
func (t *transport) send(data []byte) {
	t.unsent = append(t.unsent, data...)
	t.write()
}

// write starts the writer unless it runs or has nothing to do.
func (t *transport) write() {
	if t.paused || t.inflight != nil || len(t.unsent) == 0 {
		return
	}
	t.inflight, t.unsent = t.unsent, nil
	data := t.inflight
	t.tasks.Go(func() {
		n, err := t.Write(data)
		t.written <- writeResult{n: n, err: err}
	})
}

// wrote takes the result of the write in progress, and keeps the bytes that were not written. idle is true when nothing
// is left.
func (t *transport) wrote(r writeResult) (idle bool) {
	rest := t.inflight[r.n:]
	t.inflight = nil
	if len(rest) > 0 {
		t.unsent = append(rest, t.unsent...)
	}
	if r.err == nil {
		t.write()
	}
	return t.idle()
}

// idle reports whether the kernel has all that was queued.
func (t *transport) idle() bool { return t.inflight == nil && len(t.unsent) == 0 }

// pause stops the reader and the writer where they are. It calls take with what the reader still had. Nothing is sent
// or received until unpause.
func (t *transport) pause(take func([]byte)) error {
	if err := t.SetDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	t.paused = true
	for t.reading {
		var c chunk
		select {
		case c = <-t.received:
		case <-t.closed:
			return net.ErrClosed
		}
		if len(c.data) > 0 {
			take(c.data)
		}
		t.taken(c)
		if c.err != nil && !errors.Is(c.err, os.ErrDeadlineExceeded) {
			return c.err
		}
	}
	if t.inflight != nil {
		r := <-t.written
		t.wrote(r)
		if r.err != nil && !errors.Is(r.err, os.ErrDeadlineExceeded) {
			return r.err
		}
	}
	return nil
}

// unpause goes on after pause. Another process that had a copy of the file descriptor may have made it blocking.
func (t *transport) unpause() error {
	if err := setNonblock(t.Conn); err != nil {
		return err
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return err
	}
	t.paused = false
	if !t.reading {
		t.read()
	}
	t.write()
	return nil
}

// drop closes a connection that is lost.
func (t *transport) drop() { t.abandon() }

// abandon closes this process's copy of a paused connection. Nothing is sent as long as another process has a copy.
func (t *transport) abandon() {
	close(t.closed)
	_ = t.Close()
}

// finish closes the connection after the queued bytes were sent, without waiting for that, and returns a channel that
// is closed then. The transport must not be used after finish.
func (t *transport) finish() <-chan struct{} {
	close(t.closed)
	ended := make(chan struct{})
	_ = t.SetDeadline(time.Now().Add(farewell))
	t.tasks.Go(func() {
		defer close(ended)
		defer t.Close()
		if t.inflight != nil {
			if r := <-t.written; r.err != nil {
				return
			}
		}
		if _, err := t.Write(t.unsent); err != nil {
			return
		}
		// A close with unread data makes the kernel send RST, and the router may drop what it has not read: so the end
		// is announced first, and the router's own end read.
		if half, can := t.Conn.(interface{ CloseWrite() error }); can && half.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, t.Conn)
		}
	})
	return ended
}

// file returns a copy of the connection's file descriptor for another process.
func (t *transport) file() (*os.File, error) {
	f, can := t.Conn.(interface{ File() (*os.File, error) })
	if !can {
		return nil, &net.OpError{Op: "copy", Net: "tcp", Err: errors.ErrUnsupported}
	}
	return f.File()
}
