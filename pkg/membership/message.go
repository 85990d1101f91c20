package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// messageSuspicion is the first byte of a message that says of whom nothing is heard, and messageKnown that of one that says
	// how new is what its sender knows of the cluster. Messages of other kinds are malformed.
	messageSuspicion = 1
	messageKnown     = 2
	// suspicionHeader and knownHeader are the length of what precedes the name: the kind, and milliseconds in four bytes or four numbers
	// in eight each.
	suspicionHeader = 5
	knownHeader     = 1 + 4*8
	// maxMessageName is the greatest length of a name in a message in bytes, which that of a Kubernetes node is.
	maxMessageName = 253
)

// errNotRunning is returned for what needs the sockets that Run opens and closes.
var errNotRunning = errors.New("gossip is not running")

// Ping asks the member of this name itself, over UDP, whether it is there, and waits 80 ms at most. Question and answer are
// encrypted and authenticated. It returns an error when there is no such member, when no answer came, and
// before Run has opened its sockets and after its context has ended.
func (m *Membership) Ping(name string) error {
	list := m.list.Load()
	if list == nil {
		return fmt.Errorf("ping member %s: %w", name, errNotRunning)
	}
	v := m.published.Load()
	i, found := v.find(name)
	if !found {
		return fmt.Errorf("ping member %s: it is no member", name)
	}
	if _, err := list.Ping(name, net.UDPAddrFromAddrPort(v.members[i].Addr)); err != nil {
		return fmt.Errorf("ping member %s: %w", name, err)
	}
	return nil
}

// Suspect tells every other member that this one has heard nothing from the node of this name for silent, which is rounded down to
// milliseconds and counts as 49 days at most, or, when silent is 0, that it hears it again. That node need not be a member any
// more. Suspect waits for nobody, and what is lost on the way is not repeated. It does nothing when name is this member's, and
// while Run does not run.
func (m *Membership) Suspect(name string, silent time.Duration) {
	list, v := m.list.Load(), m.published.Load()
	if list == nil || name == "" || name == m.options.Name || len(name) > maxMessageName {
		return
	}
	message := encodeSuspicion(name, silent)
	for _, member := range v.members {
		if member.Name != m.options.Name {
			m.send(list, member, message)
		}
	}
}

// Tell tells the member of this name how new is what this one knows of the cluster, in four numbers. Tell waits for nobody, and what is lost on the way is
// not repeated. It does nothing when there is no such member, or it is this one, and while Run does not run.
func (m *Membership) Tell(name string, known [4]uint64) {
	list, v := m.list.Load(), m.published.Load()
	if i, found := v.find(name); list != nil && found && name != m.options.Name {
		m.send(list, v.members[i], encodeKnown(m.options.Name, known))
	}
}

// send sends a message, which may be lost.
func (m *Membership) send(list *memberlist.Memberlist, to Member, message []byte) {
	// memberlist changes the nodes that it hands out, so this is one of our own.
	node := &memberlist.Node{Name: to.Name, Addr: to.Addr.Addr().AsSlice(), Port: to.Addr.Port()}
	if err := list.SendBestEffort(node, message); err != nil {
		m.options.Log.Debug("member cannot be told", "node", to.Name, "err", err)
	}
}

// hear acts on a message of another member, which is memberlist's and not valid for longer.
func (m *Membership) hear(message []byte) {
	if len(message) > 0 && message[0] == messageKnown {
		name, known, err := parseKnown(message)
		switch {
		case err != nil:
			m.malformed(err)
		case name != m.options.Name && m.options.Told != nil && !m.frozen.Load():
			m.options.Told(name, known)
		}
		return
	}
	name, silent, err := parseSuspicion(message)
	switch {
	case err != nil:
		m.malformed(err)
	case name != m.options.Name && m.options.Suspected != nil && !m.frozen.Load():
		m.options.Suspected(name, silent)
	}
}

func (m *Membership) malformed(err error) {
	m.refuse(refusedMalformed)
	m.options.Log.Debug("malformed message of a member", "err", err)
}

// encodeSuspicion returns the message for Suspect.
func encodeSuspicion(name string, silent time.Duration) []byte {
	ms := uint32(min(max(silent.Milliseconds(), 0), math.MaxUint32))
	return append(binary.BigEndian.AppendUint32([]byte{messageSuspicion}, ms), name...)
}

// parseSuspicion reads a message of any origin. It accepts exactly what encodeSuspicion writes.
func parseSuspicion(message []byte) (name string, silent time.Duration, err error) {
	switch {
	case len(message) == 0 || message[0] != messageSuspicion:
		return "", 0, errors.New("message of unknown kind")
	case len(message) <= suspicionHeader || len(message) > suspicionHeader+maxMessageName:
		return "", 0, fmt.Errorf("suspicion in %d bytes", len(message))
	}
	ms := binary.BigEndian.Uint32(message[1:suspicionHeader])
	return string(message[suspicionHeader:]), time.Duration(ms) * time.Millisecond, nil
}

// encodeKnown returns the message for Tell.
func encodeKnown(name string, known [4]uint64) []byte {
	message := []byte{messageKnown}
	for _, n := range known {
		message = binary.BigEndian.AppendUint64(message, n)
	}
	return append(message, name...)
}

// parseKnown reads a message of any origin. It accepts exactly what encodeKnown writes.
func parseKnown(message []byte) (name string, known [4]uint64, err error) {
	switch {
	case len(message) == 0 || message[0] != messageKnown:
		return "", known, errors.New("message of unknown kind")
	case len(message) <= knownHeader || len(message) > knownHeader+maxMessageName:
		return "", known, fmt.Errorf("what a member knows in %d bytes", len(message))
	}
	for i := range known {
		known[i] = binary.BigEndian.Uint64(message[1+8*i:])
	}
	return string(message[knownHeader:]), known, nil
}
