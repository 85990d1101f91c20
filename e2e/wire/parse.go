package wire

import "net/netip"

// ParseClaim reads an Ethernet frame without VLAN tags, and returns false if the frame claims no address. At and ToOther
// stay empty.
func ParseClaim(frame []byte) (Claim, bool) { return parseClaim(frame) }

// Question returns the frame with which a station asks all others who has an address. sender is the asker's address of
// the same family.
func Question(addr, sender netip.Addr, mac MAC) []byte { return question(addr, sender, mac) }
