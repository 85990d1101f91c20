package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

const (
	// protocol is the version in every message. The version changes if an older process cannot work with a newer
	// process. An optional field needs no new version.
	protocol = 1
	// maxLine is the greatest length of a message in bytes, with the newline. 10,000 addresses and 5,000 members take
	// 1.1 MB. A configuration takes up to 1 MiB, unless JSON escapes make the text longer.
	maxLine = 4 << 20
	// readSize is the size of a reader's buffer in bytes: more than the default buffer of a Unix socket, and a fraction
	// of maxLine.
	readSize = maxLine / 16
)

// kind is the kind of a message.
type kind string

// The kinds, each with its sender.
const (
	kindHello     kind = "hello"     // both, first
	kindPlace     kind = "place"     // the holder: its newest place
	kindGo        kind = "go"        // the holder: its final place; the follower is to take over
	kindSession   kind = "session"   // the holder, before go: a session with its files, if the follower adopts
	kindReplaced  kind = "replaced"  // the holder: another follower has connected
	kindRefused   kind = "refused"   // the holder: no follower is accepted, for a reason
	kindAnswering kind = "answering" // the follower: it answers for the place with that number
)

// message holds one line.
type message struct {
	Version int  `json:"version"`
	Kind    kind `json:"kind"`
	// Seq is the number of a place, from 1, in place, go and answering; else 0.
	Seq uint64 `json:"seq,omitempty"`
	// Place is present in place and go.
	Place *Place `json:"place,omitempty"`
	// Reason is present in refused.
	Reason string `json:"reason,omitempty"`
	// Adopts is true in the hello of a follower that takes sessions with their files.
	Adopts bool `json:"adopts,omitempty"`
	// Session is present in session.
	Session *handed `json:"session,omitempty"`
}

// encode returns m as a line, without the configuration if the line would be too long. encode returns an error if
// decode would not accept m.
func encode(m message) ([]byte, error) {
	m.Version = protocol
	if err := m.check(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(line)+1 > maxLine && m.Place != nil && m.Place.Config != (Config{}) {
		// A text of control characters, or of <, > and &, takes six times the space in JSON. The follower can work
		// without the configuration.
		place := *m.Place
		place.Config = Config{}
		m.Place = &place
		return encode(m)
	}
	if len(line)+1 > maxLine {
		return nil, fmt.Errorf("%s has %d bytes, may have %d", m.Kind, len(line)+1, maxLine)
	}
	return append(line, '\n'), nil
}

// decode returns the message in line. The line has no newline. For a message of another version, decode reads only the
// version and returns ErrVersion.
func decode(line []byte) (message, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(line, &version); err != nil {
		return message{}, fmt.Errorf("%q is no message: %w", excerpt(line), err)
	}
	if version.Version != protocol {
		return message{}, fmt.Errorf("%w: %d, this is %d", ErrVersion, version.Version, protocol)
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("%q is no message: %w", excerpt(line), err)
	}
	if m.Place != nil {
		m.Place.Config = m.Place.Config.bounded()
	}
	return m, m.check()
}

// check returns an error if m is not a valid message.
func (m message) check() error {
	var numbered, placed, session bool
	switch m.Kind {
	case kindHello, kindReplaced, kindRefused:
	case kindPlace, kindGo:
		numbered, placed = true, true
	case kindAnswering:
		numbered = true
	case kindSession:
		session = true
	default:
		return fmt.Errorf("kind %q is unknown", excerpt([]byte(m.Kind)))
	}
	switch {
	case numbered != (m.Seq != 0):
		return fmt.Errorf("%s with number %d", m.Kind, m.Seq)
	case placed != (m.Place != nil):
		return fmt.Errorf("%s with a place: %t, must be %t", m.Kind, m.Place != nil, placed)
	case session != (m.Session != nil):
		return fmt.Errorf("%s with a session: %t, must be %t", m.Kind, m.Session != nil, session)
	case m.Adopts && m.Kind != kindHello:
		return fmt.Errorf("%s that adopts", m.Kind)
	case placed:
		if err := m.Place.check(); err != nil {
			return fmt.Errorf("%s: %w", m.Kind, err)
		}
	case session:
		return m.Session.check()
	}
	return nil
}

// excerpt returns the beginning of text, for an error.
func excerpt(text []byte) []byte { return text[:min(len(text), 60)] }

// reader reads messages from one connection.
type reader struct {
	buffer *bufio.Reader
	long   []byte // a line longer than the buffer
}

func newReader(r io.Reader) *reader { return &reader{buffer: bufio.NewReaderSize(r, readSize)} }

// next returns the next message. next returns io.EOF if the other process has closed the connection or died, also
// within a message; net.ErrClosed if this process has closed the connection; else an error about invalid input.
func (r *reader) next() (message, error) {
	line, err := r.line()
	if err != nil {
		return message{}, err
	}
	return decode(line)
}

// line returns the next line without its newline. The line is valid until the next call.
func (r *reader) line() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.buffer.ReadSlice('\n')
		switch {
		case err == nil && len(r.long) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			r.long = append(r.long, part...)
			return r.long[:len(r.long)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, readError(err)
		}
		if r.long = append(r.long, part...); len(r.long) >= maxLine {
			return nil, fmt.Errorf("a message has more than %d bytes", maxLine)
		}
	}
}

// bytes returns the n bytes after a message.
func (r *reader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r.buffer, b); err != nil {
		return nil, readError(err)
	}
	return b, nil
}

// readError converts an error of the connection to an error of next.
func readError(err error) error {
	switch {
	// The kernel resets the connection of a process that dies with unread bytes.
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return io.EOF
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	default:
		return fmt.Errorf("read: %w", err)
	}
}
