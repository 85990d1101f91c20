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
	// messageSuspicion is the first byte of a message of Suspect, messageVersions the first byte of a message of Tell.
	// Kind 2 was a message of Tell with four words. Messages of other kinds are ignored, because later versions may add
	// kinds.
	messageSuspicion = 1
	messageVersions  = 3
	// suspicionHeader and versionsHeader are the number of bytes before the name: the kind, and then milliseconds in
	// four bytes, or eight words of eight bytes.
	suspicionHeader = 5
	versionsHeader  = 1 + 8*8
	// maxMessageName is the maximum length of a name in a message in bytes, the same as for a Kubernetes node.
	maxMessageName = 253
)

// errNotRunning is the error of methods that need the sockets of Run.
var errNotRunning = errors.New("gossip is not running")

// Ping sends a ping to the named member over UDP, and waits for the answer for at most 80 ms. Ping and answer are
// encrypted and authenticated. Ping returns an error when there is no such member, when no answer arrives, and while
// Run does not run.
func (m *Membership) Ping(name string) error {
	list := m.list.Load()
	if list == nil {
		return fmt.Errorf("ping member %s: %w", name, errNotRunning)
	}
	v := m.published.Load()
	i, found := v.find(name)
	if !found {
		return fmt.Errorf("ping member %s: it is not a member", name)
	}
	if _, err := list.Ping(name, net.UDPAddrFromAddrPort(v.members[i].Addr)); err != nil {
		return fmt.Errorf("ping member %s: %w", name, err)
	}
	return nil
}

// Suspect tells every other member that this node has heard nothing from the named node for silent. A silent of 0 means
// that this node hears the named node again. silent is rounded down to milliseconds, and limited to 49 days. The named
// node need not be a member any longer. Suspect does not block, and does not repeat a lost message. Suspect does
// nothing when the name is the name of this member, and while Run does not run.
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

// Tell sends words, the versions of the cluster that this node has seen, to the named member. Tell does not block, and
// does not repeat a lost message. Tell does nothing when there is no such member, when the name is the name of this
// member, and while Run does not run.
func (m *Membership) Tell(name string, words [8]uint64) {
	list, v := m.list.Load(), m.published.Load()
	if i, found := v.find(name); list != nil && found && name != m.options.Name {
		m.send(list, v.members[i], encodeVersions(m.options.Name, words))
	}
}

// send sends a message, which may be lost.
func (m *Membership) send(list *memberlist.Memberlist, to Member, message []byte) {
	// memberlist changes the nodes that it returns, so node is a copy.
	node := &memberlist.Node{Name: to.Name, Addr: to.Addr.Addr().AsSlice(), Port: to.Addr.Port()}
	if err := list.SendBestEffort(node, message); err != nil {
		m.options.Log.Debug("message not sent to a member", "node", to.Name, "err", err)
	}
}

// hear handles a message of another member. The memory of the message belongs to memberlist.
func (m *Membership) hear(message []byte) {
	if len(message) == 0 {
		m.malformed(errors.New("empty message"))
		return
	}
	switch message[0] {
	case messageSuspicion:
		name, silent, err := parseSuspicion(message)
		switch {
		case err != nil:
			m.malformed(err)
		case name != m.options.Name && m.options.Suspected != nil && !m.frozen.Load():
			m.options.Suspected(name, silent)
		}
	case messagePathQuestion, messagePathAnswer:
		m.hearPath(message)
	case messageVersions:
		name, words, err := parseVersions(message)
		switch {
		case err != nil:
			m.malformed(err)
		case name != m.options.Name && m.options.Told != nil && !m.frozen.Load():
			m.options.Told(name, words)
		}
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

// parseSuspicion parses a message from any source. parseSuspicion accepts exactly the outputs of encodeSuspicion.
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

// encodeVersions returns the message for Tell.
func encodeVersions(name string, words [8]uint64) []byte {
	message := []byte{messageVersions}
	for _, n := range words {
		message = binary.BigEndian.AppendUint64(message, n)
	}
	return append(message, name...)
}

// parseVersions parses a message from any source. parseVersions accepts exactly the outputs of encodeVersions.
func parseVersions(message []byte) (name string, words [8]uint64, err error) {
	switch {
	case len(message) == 0 || message[0] != messageVersions:
		return "", words, errors.New("message of unknown kind")
	case len(message) <= versionsHeader || len(message) > versionsHeader+maxMessageName:
		return "", words, fmt.Errorf("versions in %d bytes", len(message))
	}
	for i := range words {
		words[i] = binary.BigEndian.Uint64(message[1+8*i:])
	}
	return string(message[versionsHeader:]), words, nil
}
