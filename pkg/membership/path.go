package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	// messagePathQuestion and messagePathAnswer are the first bytes of the messages of AskPath and AnswerPath. Versions
	// without these messages ignore them.
	messagePathQuestion = 8
	messagePathAnswer   = 9
	// pathQuestionHeader is the number of bytes before the name: the kind, the number in four bytes, the MAC address,
	// the address in 16 bytes, the port in two bytes, and milliseconds in two bytes. pathAnswerHeader is the same for
	// an answer: the kind, the number, and 1 for a path that is there.
	pathQuestionHeader = 1 + 4 + 6 + 16 + 2 + 2
	pathAnswerHeader   = 1 + 4 + 1
	// longestPathWait is the longest wait in a question.
	longestPathWait = time.Minute
)

// PathQuestion asks another member to probe the path through this node to a port of a Service.
type PathQuestion struct {
	// Number identifies the question; the answer carries the same number.
	Number uint32
	// MAC is the hardware address of this node to send the probe to.
	MAC MAC
	// Service is the address of the Service, with a TCP port. An IPv4 address is not mapped to IPv6.
	Service netip.AddrPort
	// Wait is the time for which the answer is of use, rounded down to milliseconds, at most a minute.
	Wait time.Duration
}

// AskPath sends a question to the named member. AskPath does not block, and does not repeat a lost message. AskPath
// does nothing when there is no such member, when the name is the name of this member, and while Run does not run.
func (m *Membership) AskPath(name string, q PathQuestion) {
	m.sendTo(name, encodePathQuestion(m.options.Name, q))
}

// AnswerPath answers the question with this number of the named member: there is true when the path is there. The rules
// of AskPath apply.
func (m *Membership) AnswerPath(name string, number uint32, there bool) {
	m.sendTo(name, encodePathAnswer(m.options.Name, number, there))
}

func (m *Membership) sendTo(name string, message []byte) {
	list, v := m.list.Load(), m.published.Load()
	if i, found := v.find(name); list != nil && found && name != m.options.Name {
		m.send(list, v.members[i], message)
	}
}

// hearPath handles the messages of AskPath and AnswerPath.
func (m *Membership) hearPath(message []byte) {
	if message[0] == messagePathQuestion {
		name, q, err := parsePathQuestion(message)
		switch {
		case err != nil:
			m.malformed(err)
		case name != m.options.Name && m.options.PathAsked != nil && !m.frozen.Load():
			m.options.PathAsked(name, q)
		}
		return
	}
	name, number, there, err := parsePathAnswer(message)
	switch {
	case err != nil:
		m.malformed(err)
	case name != m.options.Name && m.options.PathAnswered != nil && !m.frozen.Load():
		m.options.PathAnswered(name, number, there)
	}
}

// encodePathQuestion returns the message for AskPath.
func encodePathQuestion(name string, q PathQuestion) []byte {
	b := binary.BigEndian.AppendUint32([]byte{messagePathQuestion}, q.Number)
	b = append(b, q.MAC[:]...)
	addr := q.Service.Addr().As16()
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, q.Service.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(min(max(q.Wait, 0), longestPathWait).Milliseconds()))
	return append(b, name...)
}

// parsePathQuestion parses a message from any source. parsePathQuestion accepts exactly the outputs of
// encodePathQuestion with a port, an address and a name.
func parsePathQuestion(b []byte) (name string, q PathQuestion, err error) {
	switch {
	case len(b) == 0 || b[0] != messagePathQuestion:
		return "", q, errors.New("message of unknown kind")
	case len(b) <= pathQuestionHeader || len(b) > pathQuestionHeader+maxMessageName:
		return "", q, fmt.Errorf("question about a path in %d bytes", len(b))
	}
	q.Number = binary.BigEndian.Uint32(b[1:])
	q.MAC = MAC(b[5:11])
	addr := netip.AddrFrom16([16]byte(b[11:27])).Unmap()
	q.Service = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[27:]))
	q.Wait = time.Duration(binary.BigEndian.Uint16(b[29:])) * time.Millisecond
	if q.Service.Port() == 0 || q.Wait > longestPathWait {
		return "", PathQuestion{}, fmt.Errorf("question about the path to %v for %v", q.Service, q.Wait)
	}
	return string(b[pathQuestionHeader:]), q, nil
}

// encodePathAnswer returns the message for AnswerPath.
func encodePathAnswer(name string, number uint32, there bool) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte{messagePathAnswer}, number), 0)
	if there {
		b[pathAnswerHeader-1] = 1
	}
	return append(b, name...)
}

// parsePathAnswer parses a message from any source. parsePathAnswer accepts exactly the outputs of encodePathAnswer
// with a name.
func parsePathAnswer(b []byte) (name string, number uint32, there bool, err error) {
	switch {
	case len(b) == 0 || b[0] != messagePathAnswer:
		return "", 0, false, errors.New("message of unknown kind")
	case len(b) <= pathAnswerHeader || len(b) > pathAnswerHeader+maxMessageName || b[pathAnswerHeader-1] > 1:
		return "", 0, false, fmt.Errorf("answer about a path in %d bytes", len(b))
	}
	return string(b[pathAnswerHeader:]), binary.BigEndian.Uint32(b[1:]), b[pathAnswerHeader-1] == 1, nil
}
