package layer2

import "net/netip"

// Protocol is the protocol of a socket of the announcer.
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

// String returns the name of the protocol, such as "ARP".
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

// resolves reports whether the protocol maps addresses to hardware addresses. Without such a protocol no address can be
// served.
func (p Protocol) resolves() bool { return p == ARP || p == NDP }

// protocolOf returns the protocol that maps addr to a hardware address.
func protocolOf(addr netip.Addr) Protocol {
	if addr.Is4() {
		return ARP
	}
	return NDP
}

// Verdict states how the announcer treated a received frame, and why.
type Verdict uint8

// The verdicts.
const (
	// Answered marks a request for an own address that got an answer.
	Answered Verdict = iota
	// PeerQuestion marks the question of another node's speaker, which watches this node. PeerQuestion is answered too.
	PeerQuestion
	// PeerAnswer marks another node's answer for an address of that node, in most cases to a question of this process.
	PeerAnswer
	// PeerAnnouncement marks another node's announcement of an address, or another frame in which the node uses the address.
	PeerAnnouncement
	// NotOurs marks a valid request, or a claim, for an address that the announcer does not answer for on this
	// interface.
	NotOurs
	// NotRequest marks an ARP reply or a neighbour advertisement that claims none of the own addresses.
	NotRequest
	// Claimed marks a frame by which another station claims an own address.
	Claimed
	// Watched marks a frame by which another station claims a watched address.
	Watched
	// ProbeReply marks a frame that names the station of an address being probed. The address is neither an own address
	// nor watched.
	ProbeReply
	// OwnFrame marks a frame with the hardware address of the receiving interface.
	OwnFrame
	// WrongDestination marks a request sent neither to this station nor to a group that this station must listen to.
	WrongDestination
	// WrongHopLimit marks an NDP message with a hop limit other than 255, which may have come through a router (RFC
	// 4861, section 7.1).
	WrongHopLimit
	// WrongChecksum marks a message with a wrong checksum.
	WrongChecksum
	// Malformed marks a frame that is too short, of the wrong type or in breach of the protocol.
	Malformed
	// Unanswerable marks an echo request for an own address that is a fragment, has options, or comes from a source
	// that no station may answer.
	Unanswerable
	// Limited marks an echo request over the rate of answers.
	Limited
	// Stale marks a frame that had waited in the socket too long: its question or claim is out of date.
	Stale
	// Withheld marks a request for an own address that gets no answer, because this process had stalled and has not
	// revalidated the address yet.
	Withheld

	verdicts
)

// String returns the verdict for metrics and logs.
func (v Verdict) String() string {
	switch v {
	case Answered:
		return "answered"
	case PeerQuestion:
		return "peerQuestion"
	case PeerAnswer:
		return "peerAnswer"
	case PeerAnnouncement:
		return "peerAnnouncement"
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
	// Probing is an ARP probe for the address. An ARP probe is no claim, but the station is about to make a claim (RFC
	// 5227, section 2.1.1). Only the findings of a probe have this form.
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

// Claim describes the use of an address by another station. This announcer answers for, watches or probes the address.
type Claim struct {
	// Addr is the address, without a zone.
	Addr netip.Addr
	// MAC is the hardware address that the frame gives for the address. MAC does not belong to this host.
	MAC MAC
	// Interface is the name of the interface that heard the frame.
	Interface string
	// Form is the kind of frame.
	Form Form
	// Answer is true if the frame answers a question: an ARP reply to a station that asked, or a solicited neighbour
	// advertisement. If Answer is false, the frame is an announcement or, for IPv6, an answer to duplicate address
	// detection, which looks the same.
	Answer bool
	// Mode is the mode of the address in this announcer when the frame came.
	Mode Mode
}
