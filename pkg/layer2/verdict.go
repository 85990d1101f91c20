package layer2

import "net/netip"

// Protocol is the protocol that a socket of the announcer serves.
type Protocol uint8

// The protocols.
const (
	// ARP serves IPv4 (RFC 826).
	ARP Protocol = iota
	// NDP serves IPv6 (RFC 4861).
	NDP
	// ICMP answers echo requests over IPv4 (RFC 792).
	ICMP
	// ICMPv6 answers echo requests over IPv6 (RFC 4443).
	ICMPv6

	protocols
)

// String returns the name of the protocol, as "ARP".
func (p Protocol) String() string {
	switch p {
	case ARP:
		return "ARP"
	case NDP:
		return "NDP"
	case ICMP:
		return "ICMP"
	case ICMPv6:
		return "ICMPv6"
	}
	return "unknown"
}

// resolves reports whether the protocol maps addresses to hardware addresses. Without such a protocol no address can be served.
func (p Protocol) resolves() bool { return p == ARP || p == NDP }

// protocolOf returns the protocol that maps addr to a hardware address.
func protocolOf(addr netip.Addr) Protocol {
	if addr.Is4() {
		return ARP
	}
	return NDP
}

// Verdict tells how a received frame was treated, and why.
type Verdict uint8

// The verdicts.
const (
	// Answered is a request for an address of ours that got an answer.
	Answered Verdict = iota
	// NotOurs is a sound request, or a claim, for an address that is not answered for on this interface.
	NotOurs
	// NotRequest is an ARP reply or a neighbour advertisement that claims none of our addresses.
	NotRequest
	// Claimed is a frame in which another station says that an address of ours is its own.
	Claimed
	// Watched is a frame in which another station says that an address that we only watch is its own.
	Watched
	// ProbeReply is a frame that tells which station has an address that is being probed, and that is neither ours nor watched.
	ProbeReply
	// OwnFrame is a frame that carries the hardware address of the interface it was received on.
	OwnFrame
	// WrongDestination is a request sent to neither this station nor a group that it has to listen to.
	WrongDestination
	// WrongHopLimit is an NDP message with a hop limit other than 255: it may have come through a router (RFC 4861,
	// section 7.1).
	WrongHopLimit
	// WrongChecksum is a message whose checksum is wrong.
	WrongChecksum
	// Malformed is a frame that is too short, of the wrong type or against the letter of the protocol.
	Malformed
	// Unanswerable is an echo request for an address of ours that is a fragment, has options, or comes from a source that no
	// station may answer.
	Unanswerable
	// Limited is an echo request that came when the rate of answers was used up.
	Limited
	// Stale is a frame that had waited in the socket for too long: its question or claim is out of date.
	Stale
	// Withheld is a request for an address of ours that gets no answer, because this process had stalled and has not yet made
	// sure that the address is still its own.
	Withheld

	verdicts
)

// String returns the verdict for metrics and logs.
func (v Verdict) String() string {
	switch v {
	case Answered:
		return "answered"
	case NotOurs:
		return "notOurs"
	case NotRequest:
		return "notRequest"
	case Claimed:
		return "claimed"
	case Watched:
		return "watched"
	case ProbeReply:
		return "probeReply"
	case OwnFrame:
		return "ownFrame"
	case WrongDestination:
		return "wrongDestination"
	case WrongHopLimit:
		return "wrongHopLimit"
	case WrongChecksum:
		return "wrongChecksum"
	case Malformed:
		return "malformed"
	case Unanswerable:
		return "unanswerable"
	case Limited:
		return "limited"
	case Stale:
		return "stale"
	case Withheld:
		return "withheld"
	}
	return "unknown"
}

// Form is the kind of the frame that makes a claim.
type Form uint8

// The forms of a claim.
const (
	// Request is an ARP request with the claimed address as its sender.
	Request Form = iota + 1
	// Reply is an ARP reply with the claimed address as its sender.
	Reply
	// Advertisement is a neighbour advertisement with the claimed address as its target.
	Advertisement
	// Solicitation is a neighbour solicitation that comes from the claimed address.
	Solicitation
	// Probing is an ARP probe for the address: no claim, but a station that is about to make one (RFC 5227, section 2.1.1). Only
	// the findings of a probe have this form.
	Probing

	forms
)

// String returns the form for logs.
func (f Form) String() string {
	switch f {
	case Request:
		return "request"
	case Reply:
		return "reply"
	case Advertisement:
		return "advertisement"
	case Solicitation:
		return "solicitation"
	case Probing:
		return "probing"
	}
	return "unknown"
}

// Claim says that another station uses an address that this announcer answers for or watches.
type Claim struct {
	// Addr is the address, without a zone.
	Addr netip.Addr
	// MAC is the hardware address that the frame states for the address. It does not belong to this host.
	MAC MAC
	// Interface is the name of the interface that heard the frame.
	Interface string
	// Form is the kind of frame.
	Form Form
	// Answer says that the frame answers a question: an ARP reply to a station that asked, or a solicited neighbour advertisement.
	// Without it the frame is an announcement or, for IPv6, an answer to duplicate address detection, which looks the same.
	Answer bool
	// Mode is the mode that the address had in this announcer when the frame came.
	Mode Mode
}
