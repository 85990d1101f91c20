package handover

import (
	"fmt"
	"os"
)

// Session is a connection of the node to another host, such as a BGP session with a router. A Session includes the open
// sockets.
type Session struct {
	// State describes the session in the encoding of its package. State has at most [MaxState] bytes.
	State []byte
	// Files are the sockets, in an order that State determines. There are at most [MaxFiles]. Both processes have
	// descriptors of the same sockets, and the kernel closes a socket with its last descriptor.
	Files []*os.File
}

const (
	// MaxState and MaxFiles limit one session, and MaxSessions limits a handover. The state of a session that
	// announces 10,000 prefixes takes about 0.5 MB.
	MaxState    = 2 << 20
	MaxFiles    = 8
	MaxSessions = 256
)

// Close closes the descriptors of this process.
func (s Session) Close() { closeFiles(s.Files) }

// handed describes a session in a message. The bytes of State follow the message, because the JSON encoding would make
// them longer.
type handed struct {
	// Size is the number of bytes of State.
	Size int `json:"size"`
	// Files is the number of files that come with the message.
	Files int `json:"files"`
}

// check returns an error if h does not describe a valid session.
func (h handed) check() error {
	switch {
	case h.Size < 0 || h.Size > MaxState:
		return fmt.Errorf("state of a session with %d bytes, may have %d", h.Size, MaxState)
	case h.Files < 0 || h.Files > MaxFiles:
		return fmt.Errorf("session with %d files, may have %d", h.Files, MaxFiles)
	}
	return nil
}
