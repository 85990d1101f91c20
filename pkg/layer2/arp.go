package layer2

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Offsets in an Ethernet frame with an ARP packet for IPv4 (RFC 826).
const (
	ethDestination = 0
	ethSource      = 6
	ethType        = 12
	arpOperation   = 20
	arpSenderMAC   = 22
	arpSenderIP    = 28
	arpTargetMAC   = 32
	arpTargetIP    = 38
	arpEnd         = 42
)

// arpKind is the content of the frame between ethType and arpOperation: EtherType ARP, hardware type Ethernet, protocol
// type IPv4, address lengths 6 and 4.
const arpKind = 0x0806_0001_0800_06_04

// arpHandler answers the ARP frames of one socket. The handler belongs to the goroutine that reads from the socket.
type arpHandler struct {
	name  string
	reply []byte // the buffer for the next answer
}

func newARPHandler(i Interface) (*arpHandler, error) {
	none := netip.IPv4Unspecified()
	reply, err := arpFrame(arp.OperationReply, MAC{}, i.MAC, none, MAC{}, none)
	if err != nil {
		return nil, err
	}
	return &arpHandler{name: i.Name, reply: reply}, nil
}

// handle judges a frame. handle returns the answer to send, if any, and the claim that the frame makes, if any. The
// answer is valid until the next call. handle allocates nothing.
//
// A request with equal sender and target addresses is a claim and not a question, so handle returns no answer: the
// receiver of the claims decides whether to defend the address (RFC 5227, section 2.4).
func (h *arpHandler) handle(t *table, b []byte) ([]byte, Verdict, Claim) {
	if len(b) < arpEnd || binary.BigEndian.Uint64(b[ethType:]) != arpKind {
		return nil, Malformed, Claim{}
	}
	sender := MAC(b[arpSenderMAC:])
	if sender.multicast() || sender == (MAC{}) {
		return nil, Malformed, Claim{}
	}
	if sender == t.MAC {
		return nil, OwnFrame, Claim{}
	}
	senderIP := netip.AddrFrom4([4]byte(b[arpSenderIP:]))
	targetIP := netip.AddrFrom4([4]byte(b[arpTargetIP:]))
	switch arp.Operation(binary.BigEndian.Uint16(b[arpOperation:])) {
	case arp.OperationRequest:
		claim := t.claim(h.name, senderIP, sender, Request)
		destination := MAC(b[ethDestination:])
		switch {
		case destination != broadcast && !t.reaches(destination):
			return nil, t.claimedOr(WrongDestination, claim), claim
		case senderIP == targetIP || !t.holds(targetIP):
			if senderIP.IsUnspecified() {
				return nil, NotOurs, t.rival(h.name, targetIP, sender)
			}
			return nil, t.claimedOr(NotOurs, claim), claim
		}
		return h.answer(targetIP, sender, senderIP), t.askedBy(sender, senderIP.IsUnspecified() && destination != broadcast), claim
	case arp.OperationReply:
		claim := t.claim(h.name, senderIP, sender, Reply)
		claim.Answer = claim.Addr.IsValid() && senderIP != targetIP
		return nil, t.claimedOr(NotRequest, claim), claim
	}
	return nil, NotRequest, Claim{}
}

// answer writes the reply of RFC 826 into the frame from newARPHandler. The reply tells the asker that addr is at this
// station.
func (h *arpHandler) answer(addr netip.Addr, asker MAC, askerIP netip.Addr) []byte {
	ours, theirs := addr.As4(), askerIP.As4()
	copy(h.reply[ethDestination:], asker[:])
	copy(h.reply[arpSenderIP:], ours[:])
	copy(h.reply[arpTargetMAC:], asker[:])
	copy(h.reply[arpTargetIP:], theirs[:])
	return h.reply
}

// arpAnnouncement returns both forms of gratuitous ARP. RFC 5227 (section 3) prescribes the request, and all routers
// accept the request. In the reply, the target hardware address equals the sender's: otherwise Linux would not treat
// the reply as gratuitous.
func arpAnnouncement(mac MAC, addr netip.Addr) ([][]byte, error) {
	request, err := arpFrame(arp.OperationRequest, broadcast, mac, addr, MAC{}, addr)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(arp.OperationReply, broadcast, mac, addr, mac, addr)
	if err != nil {
		return nil, err
	}
	return [][]byte{request, reply}, nil
}

func arpFrame(op arp.Operation, destination, sender MAC, senderIP netip.Addr, target MAC, targetIP netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, sender[:], senderIP, target[:], targetIP)
	if err != nil {
		return nil, fmt.Errorf("encode ARP packet for %s: %w", senderIP, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode ARP packet for %s: %w", senderIP, err)
	}
	f := ethernet.Frame{Destination: destination[:], Source: sender[:], EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode Ethernet frame for %s: %w", senderIP, err)
	}
	return b, nil
}
