package layer2

// outbox collects the answers to frames that the socket gave at once, so that one call sends all of them. An answer
// never waits for a frame that has not arrived. An outbox belongs to the goroutine that reads from the socket.
type outbox struct {
	conn      Conn
	gathering Gathering // the same as conn, or nil if conn gives and takes one frame at a time
	frames    [][]byte  // beyond its length, frames holds buffers for reuse
	toPeers   int       // the number of frames that answer other speakers
}

func newOutbox(conn Conn) *outbox {
	gathering, _ := conn.(Gathering)
	return &outbox{conn: conn, gathering: gathering}
}

// add copies a frame into the outbox. add allocates only until the outbox has enough buffers.
func (o *outbox) add(frame []byte) {
	n := len(o.frames)
	if n == cap(o.frames) {
		o.frames = append(o.frames, nil)
	}
	o.frames = o.frames[:n+1]
	o.frames[n] = append(o.frames[n][:0], frame...)
}

// due reports whether the outbox must be sent now: the outbox holds frames, and the next Read would have to wait or to
// ask the kernel.
func (o *outbox) due() bool {
	return len(o.frames) > 0 && (o.gathering == nil || !o.gathering.Gathered())
}

// send sends the frames. send returns the number of frames that were not sent, and the reason for the last of them.
func (o *outbox) send() (unsent int, err error) {
	if o.gathering != nil {
		return o.gathering.WriteAll(o.frames)
	}
	for _, frame := range o.frames {
		if _, failed := o.conn.Write(frame); failed != nil {
			unsent, err = unsent+1, failed
		}
	}
	return unsent, err
}

func (o *outbox) clear() { o.frames, o.toPeers = o.frames[:0], 0 }
