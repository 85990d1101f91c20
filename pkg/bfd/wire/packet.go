package wire

import (
	"encoding/binary"
	"time"
)

const (
	// Size is the length in bytes of a packet without an authentication section.
	Size = 24
	// sizeAuthenticated is the least length of a packet with an authentication section.
	sizeAuthenticated = Size + 2
	// version is the protocol version (RFC 5880, section 4.1).
	version = 1
	// lengthEnd is the offset after the length field.
	lengthEnd = 4
)

// The bits of the second byte (RFC 5880, section 4.1).
const (
	bitPoll = 1 << (5 - iota)
	bitFinal
	bitControlPlaneIndependent
	bitAuthenticated
	bitDemand
	bitMultipoint
)

// Packet is a control packet (RFC 5880, section 4.1).
type Packet struct {
	Diagnostic Diagnostic
	State      State
	// Poll, Final, ControlPlaneIndependent, Authenticated and Demand are the bits P, F, C, A and D. Marshal never sets
	// A.
	Poll, Final, ControlPlaneIndependent, Authenticated, Demand bool
	// Multiplier is the detect multiplier, 1 to 255.
	Multiplier uint8
	// MyDiscriminator is not 0.
	MyDiscriminator, YourDiscriminator uint32
	// DesiredMinTx, RequiredMinRx and RequiredMinEchoRx are whole microseconds, 0 to 4294967295.
	DesiredMinTx, RequiredMinRx, RequiredMinEchoRx time.Duration
}

// Marshal writes p to b. Intervals are rounded down to microseconds.
func (p *Packet) Marshal(b *[Size]byte) {
	b[0] = version<<5 | byte(p.Diagnostic)&31
	b[1] = byte(p.State)<<6 | bit(p.Poll, bitPoll) | bit(p.Final, bitFinal) | bit(p.ControlPlaneIndependent,
		bitControlPlaneIndependent) |
		bit(p.Demand, bitDemand)
	b[2], b[3] = p.Multiplier, Size
	binary.BigEndian.PutUint32(b[4:], p.MyDiscriminator)
	binary.BigEndian.PutUint32(b[8:], p.YourDiscriminator)
	binary.BigEndian.PutUint32(b[12:], uint32(p.DesiredMinTx/time.Microsecond))
	binary.BigEndian.PutUint32(b[16:], uint32(p.RequiredMinRx/time.Microsecond))
	binary.BigEndian.PutUint32(b[20:], uint32(p.RequiredMinEchoRx/time.Microsecond))
}

func bit(set bool, mask byte) byte {
	if set {
		return mask
	}
	return 0
}

// Parse reads the datagram b and checks all that RFC 5880, section 6.8.6, demands without knowledge of the session, in
// the order of that section. The packet is valid only with the verdict Accepted. Bytes after the packet's length are
// ignored.
func Parse(b []byte) (Packet, Verdict) {
	if len(b) < lengthEnd {
		return Packet{}, Truncated
	}
	least, length := Size, int(b[3])
	if b[1]&bitAuthenticated != 0 {
		least = sizeAuthenticated
	}
	switch {
	case b[0]>>5 != version:
		return Packet{}, BadVersion
	case length < least || length > len(b):
		return Packet{}, BadLength
	case b[2] == 0:
		return Packet{}, ZeroMultiplier
	case b[1]&bitMultipoint != 0:
		return Packet{}, Multipoint
	}
	p := Packet{
		Diagnostic:              Diagnostic(b[0] & 31),
		State:                   State(b[1] >> 6),
		Poll:                    b[1]&bitPoll != 0,
		Final:                   b[1]&bitFinal != 0,
		ControlPlaneIndependent: b[1]&bitControlPlaneIndependent != 0,
		Authenticated:           b[1]&bitAuthenticated != 0,
		Demand:                  b[1]&bitDemand != 0,
		Multiplier:              b[2],
		MyDiscriminator:         binary.BigEndian.Uint32(b[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx:            microseconds(b[12:]),
		RequiredMinRx:           microseconds(b[16:]),
		RequiredMinEchoRx:       microseconds(b[20:]),
	}
	switch {
	case p.MyDiscriminator == 0:
		return Packet{}, ZeroDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, LostDiscriminator
	}
	return p, Accepted
}

func microseconds(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
