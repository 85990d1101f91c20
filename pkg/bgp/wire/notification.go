package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// Codes of a NOTIFICATION (RFC 4271, section 4.5; RFC 7313; RFC 9687).
const (
	CodeHeader       uint8 = 1
	CodeOpen         uint8 = 2
	CodeUpdate       uint8 = 3
	CodeHoldTimer    uint8 = 4
	CodeStateMachine uint8 = 5
	CodeCease        uint8 = 6
	CodeRouteRefresh uint8 = 7
	CodeSendHold     uint8 = 8
)

// Subcodes of a NOTIFICATION that the state machine sends or looks for.
const (
	OpenUnspecific             uint8 = 0
	OpenVersion                uint8 = 1
	OpenBadASN                 uint8 = 2
	OpenBadID                  uint8 = 3
	OpenUnsupportedParameter   uint8 = 4
	OpenHoldTime               uint8 = 6
	OpenUnsupportedCapability  uint8 = 7
	CeaseShutdown              uint8 = 2
	CeaseDeconfigured          uint8 = 3
	CeaseReset                 uint8 = 4
	CeaseCollision             uint8 = 7
	CeaseHardReset             uint8 = 9
	CeaseBFDDown               uint8 = 10
	StateUnexpectedOpenSent    uint8 = 1
	StateUnexpectedOpenConfirm uint8 = 2
	StateUnexpectedEstablished uint8 = 3
)

// Notification is a NOTIFICATION message (RFC 4271, section 4.5).
type Notification struct {
	Code, Subcode uint8
	Data          []byte
}

// Append appends the message. Data that does not fit is cut off.
func (n Notification) Append(b []byte) []byte {
	data := n.Data[:min(len(n.Data), MaxLen-HeaderLen-2)]
	return appendBody(b, TypeNotification, &bgp.BGPNotification{ErrorCode: n.Code, ErrorSubcode: n.Subcode, Data: data})
}

// ParseNotification reads the body of a NOTIFICATION message. Framer has checked the length.
func ParseNotification(body []byte) Notification {
	var m bgp.BGPNotification
	if m.DecodeFromBytes(body) != nil {
		return Notification{}
	}
	return Notification{Code: m.ErrorCode, Subcode: m.ErrorSubcode, Data: append([]byte(nil), m.Data...)}
}

// Hard returns the notification as a Hard Reset (RFC 8538, section 3.1), with n in its data.
func (n Notification) Hard() Notification {
	return Notification{Code: CodeCease, Subcode: CeaseHardReset, Data: append([]byte{n.Code, n.Subcode}, n.Data...)}
}

// Reason returns the notification that a Hard Reset holds, and n itself for all others.
func (n Notification) Reason() (inner Notification, hard bool) {
	if n.Code != CodeCease || n.Subcode != CeaseHardReset || len(n.Data) < 2 {
		return n, n.Code == CodeCease && n.Subcode == CeaseHardReset
	}
	return Notification{Code: n.Data[0], Subcode: n.Data[1], Data: n.Data[2:]}, true
}

// Communication returns the text of a shutdown or a reset (RFC 9003) without control characters. Communication returns
// an empty text when there is none, or when the length or the encoding is not valid.
func (n Notification) Communication() string {
	if n.Code != CodeCease || n.Subcode != CeaseShutdown && n.Subcode != CeaseReset || len(n.Data) == 0 {
		return ""
	}
	size, text := int(n.Data[0]), n.Data[1:]
	if size > len(text) || !utf8.Valid(text[:size]) {
		return ""
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return -1
		}
		return r
	}, string(text[:size])))
}

// String returns the notification in words, with its numbers, like "Cease: Administrative Shutdown (6/2)".
func (n Notification) String() string {
	if inner, hard := n.Reason(); hard && len(n.Data) >= 2 {
		return "Cease: Hard Reset (6/9) for " + inner.words()
	}
	return n.words()
}

// words is String without the notification inside a Hard Reset.
func (n Notification) words() string {
	text := codeName(n.Code)
	if sub := subcodeName(n.Code, n.Subcode); sub != "" {
		text += ": " + sub
	}
	text += fmt.Sprintf(" (%d/%d)", n.Code, n.Subcode)
	if c := n.Communication(); c != "" {
		text += fmt.Sprintf(" with the text %q", c)
	}
	return text
}

func codeName(code uint8) string {
	names := [...]string{
		"", "Message Header Error", "OPEN Message Error", "UPDATE Message Error", "Hold Timer Expired",
		"Finite State Machine Error", "Cease", "ROUTE-REFRESH Message Error", "Send Hold Timer Expired",
	}
	if int(code) < len(names) && names[code] != "" {
		return names[code]
	}
	return "unknown error"
}

// subcodeName returns the name of a subcode, empty when it has none (RFC 4271, section 4.5; RFC 4486, 5492, 6608, 7313,
// 8538, 9234, 9384).
func subcodeName(code, subcode uint8) string {
	names := map[uint8][]string{
		CodeHeader: {"", "Connection Not Synchronized", "Bad Message Length", "Bad Message Type"},
		CodeOpen: {
			"", "Unsupported Version Number", "Bad Peer AS", "Bad BGP Identifier", "Unsupported Optional Parameter",
			"", "Unacceptable Hold Time", "Unsupported Capability", "", "", "", "Role Mismatch",
		},
		CodeUpdate: {
			"", "Malformed Attribute List", "Unrecognized Well-known Attribute", "Missing Well-known Attribute",
			"Attribute Flags Error", "Attribute Length Error", "Invalid ORIGIN Attribute", "", "Invalid NEXT_HOP Attribute",
			"Optional Attribute Error", "Invalid Network Field", "Malformed AS_PATH",
		},
		CodeStateMachine: {
			"", "Unexpected Message in OpenSent", "Unexpected Message in OpenConfirm", "Unexpected Message in Established",
		},
		CodeCease: {
			"", "Maximum Number of Prefixes Reached", "Administrative Shutdown", "Peer De-configured",
			"Administrative Reset", "Connection Rejected", "Other Configuration Change", "Connection Collision Resolution",
			"Out of Resources", "Hard Reset", "BFD Down",
		},
		CodeRouteRefresh: {"", "Invalid Message Length"},
	}[code]
	if int(subcode) < len(names) {
		return names[subcode]
	}
	return ""
}

// Error is a message of the router that is not valid.
type Error struct {
	// Notification is the answer that the RFCs name.
	Notification Notification
	// Detail describes the error in a sentence.
	Detail string
}

// Error returns the detail and the notification.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Detail, e.Notification) }

// invalid returns an Error.
func invalid(code, subcode uint8, data []byte, format string, args ...any) *Error {
	return &Error{Notification{code, subcode, append([]byte(nil), data...)}, fmt.Sprintf(format, args...)}
}

// body is a body of the library that cannot fail to serialise.
type body interface {
	Serialize(...*bgp.MarshallingOption) ([]byte, error)
}

// appendBody appends a message. The bodies that come here have no values that the library refuses.
func appendBody(b []byte, t Type, m body) []byte {
	data, err := m.Serialize()
	if err != nil {
		panic(fmt.Sprintf("serialise %v: %v", t, err))
	}
	start := len(b)
	b = append(appendHeader(b, t), data...)
	return finish(b, start)
}
