package ether

import (
	"encoding/binary"
	"slices"
)

// The types of a VLAN tag: IEEE 802.1Q, and the outer tag of IEEE 802.1ad.
const (
	typeVLAN      = 0x8100
	typeOuterVLAN = 0x88a8

	tagSize  = 4
	vlanBits = 0xfff
)

// Tagged returns the frame with VLAN tags, the outer one first. Of several tags, all but the last are of IEEE 802.1ad.
func Tagged(frame []byte, vlans ...uint16) []byte {
	out := slices.Clone(frame[:12])
	for i, vlan := range vlans {
		kind := uint16(typeVLAN)
		if i+1 < len(vlans) {
			kind = typeOuterVLAN
		}
		out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, kind), vlan&vlanBits)
	}
	return append(out, frame[12:]...)
}

// Untagged returns the VLAN tags of a frame, the outer one first, and the frame without tags.
func Untagged(frame []byte) (vlans []uint16, bare []byte) {
	for len(frame) >= HeaderSize+tagSize {
		if kind := binary.BigEndian.Uint16(frame[12:]); kind != typeVLAN && kind != typeOuterVLAN {
			break
		}
		vlans = append(vlans, binary.BigEndian.Uint16(frame[14:])&vlanBits)
		frame = slices.Concat(frame[:12], frame[16:])
	}
	return vlans, frame
}
