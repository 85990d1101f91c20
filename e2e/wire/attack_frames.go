package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

const (
	etherIPv4    = 0x0800
	etherVLAN    = 0x8100
	protocolICMP = 1

	// varieties is how many frames of one attack differ at least, and for each address.
	varieties, each = 512, 16
	// names is how many MAC addresses an attacker uses for claims.
	names = 64
)

// Places in the frames that question and packet6 make.
const (
	arpStart   = etherHeader
	arpSender  = etherHeader + 8
	arpFrom    = etherHeader + 14
	ipv6Length = etherHeader + 4
	ipv6Hops   = etherHeader + 7
	ipv6Source = etherHeader + 8
	ipv6Target = etherHeader + 24
	icmp6      = etherHeader + ipv6Header
)

// varied returns frames for the addresses in turn.
func (a *attacker) varied(addrs []netip.Addr, one func(i int, addr netip.Addr) []byte) [][]byte {
	frames := make([][]byte, max(varieties, each*len(addrs)))
	for i := range frames {
		frames[i] = one(i/len(addrs), addrs[i%len(addrs)])
	}
	return frames
}

// me returns the attacker's address of the family of another one.
func me(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return host(lan4, attackerHost).Addr()
	}
	return host(lan6, attackerHost).Addr()
}

// stranger returns one of the MAC addresses that are no node's.
func stranger(i int) MAC { return MAC{2, 0xbb, 0, 0, 0, byte(i % names)} }

func (a *attacker) outside() [][]byte {
	return a.varied([]netip.Addr{lan4.Addr(), lan6.Addr()}, func(i int, network netip.Addr) []byte {
		addr := host(netip.PrefixFrom(network, 0), 5000+i).Addr()
		return question(addr, me(addr), stranger(i))
	})
}

func (a *attacker) unused() [][]byte {
	return a.varied([]netip.Addr{services4.Addr(), services6.Addr()}, func(i int, network netip.Addr) []byte {
		addr := host(netip.PrefixFrom(network, 0), 20000+i).Addr()
		return question(addr, me(addr), stranger(i))
	})
}

// requests are questions to all and to the owner alone, also as duplicate address detection asks.
func (a *attacker) requests() [][]byte {
	return a.varied(a.targets, func(i int, addr netip.Addr) []byte {
		switch i % 4 {
		case 0:
			return addressed(question(addr, me(addr), a.mac), a.victim.mac)
		case 1:
			return detection(addr, a.mac)
		}
		return question(addr, me(addr), a.mac)
	})
}

// detection returns the question of a host that is about to take an address: an ARP probe (RFC 5227, section 2.1.1), or duplicate address
// detection (RFC 4862, section 5.4.2).
func detection(addr netip.Addr, mac MAC) []byte {
	if addr.Is4() {
		return question(addr, netip.IPv4Unspecified(), mac)
	}
	target := addr.As16()
	return packet6(groupMAC(addr), mac, [16]byte{}, solicitedGroup(addr), append([]byte{neighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, target[:]...))
}

func (a *attacker) oddARP() [][]byte {
	const address = 6
	changes := []func(i int, f []byte) []byte{
		func(i int, f []byte) []byte { return f[:etherHeader+i%(len(f)-etherHeader)] },                     // cut short
		func(i int, f []byte) []byte { f[arpStart+1] = byte(2 + i%200); return f },                         // no Ethernet
		func(i int, f []byte) []byte { f[arpStart+2] = byte(9 + i%200); return f },                         // no IPv4
		func(i int, f []byte) []byte { f[arpStart+4] = byte(7 + i%200); return f },                         // long hardware addresses
		func(i int, f []byte) []byte { f[arpStart+5] = byte(5 + i%200); return f },                         // long addresses
		func(i int, f []byte) []byte { f[arpStart+7] = byte(3 + i%200); return f },                         // no question, no answer
		func(_ int, f []byte) []byte { f[arpSender] |= 1; return f },                                       // from a group
		func(_ int, f []byte) []byte { clear(f[arpSender : arpSender+address]); return f },                 // from nobody
		func(_ int, f []byte) []byte { return addressed(f, MAC{1, 0, 0x5e, 0, 0, 1}) },                     // to a group
		func(_ int, f []byte) []byte { return addressed(f, MAC{2, 0xcc}) },                                 // to another station
		func(i int, f []byte) []byte { return tagged(f, 2+i%4000) },                                        // of another VLAN
		func(i int, f []byte) []byte { return append(f, make([]byte, i%1400)...) },                         // with more behind it
		func(_ int, f []byte) []byte { f[13] = 0x05; return f },                                            // of another kind
		func(_ int, f []byte) []byte { copy(f[arpSender:], a.victim.mac[:]); return f },                    // from the owner
		func(_ int, f []byte) []byte { copy(f[arpFrom:], []byte{255, 255, 255, 255}); return f },           // from all
		func(i int, f []byte) []byte { return slices.Concat(f[:etherHeader], tagged(f, i)[etherHeader:]) }, // shifted by a tag
	}
	return a.varied(a.family(netip.Addr.Is4), func(i int, addr netip.Addr) []byte {
		return changes[i%len(changes)](i, question(addr, me(addr), stranger(i)))
	})
}

func (a *attacker) oddNDP() [][]byte {
	const options = 24 // where they begin in a message
	none := [16]byte{}
	changes := []func(i int, f []byte) []byte{
		func(_ int, f []byte) []byte { f[ipv6Hops] = 64; return f },                                      // through a router
		func(_ int, f []byte) []byte { f[icmp6+2] ^= 0x55; return f },                                    // a wrong checksum
		func(i int, f []byte) []byte { return f[:etherHeader+i%(len(f)-etherHeader)] },                   // cut short
		func(_ int, f []byte) []byte { f[icmp6+1] = 1; return summed(f) },                                // a code
		func(_ int, f []byte) []byte { f[icmp6+options+1] = 0; return summed(f) },                        // an option of no length
		func(_ int, f []byte) []byte { f[icmp6+options+1] = 9; return summed(f) },                        // one that is too long
		func(_ int, f []byte) []byte { copy(f[ipv6Source:], none[:]); return summed(f) },                 // from nobody, who has a MAC address
		func(_ int, f []byte) []byte { f[icmp6+8] = 0xff; return summed(f) },                             // for a group
		func(_ int, f []byte) []byte { f[ipv6Source] = 0xff; return summed(f) },                          // from a group
		func(i int, f []byte) []byte { binary.BigEndian.PutUint16(f[ipv6Length:], uint16(i)); return f }, // another length
		func(_ int, f []byte) []byte {
			f[icmp6], f[icmp6+4] = neighborAdvertisement, solicitedFlag
			return summed(f)
		}, // an answer to all
		func(_ int, f []byte) []byte { f[etherHeader+6] = 0; return f },               // a header before it
		func(_ int, f []byte) []byte { f[etherHeader] = 0x40; return f },              // of version 4
		func(_ int, f []byte) []byte { clear(f[icmp6+options+2:]); return summed(f) }, // the MAC address of nobody
		func(i int, f []byte) []byte { return tagged(f, 2+i%4000) },
	}
	return a.varied(a.family(netip.Addr.Is6), func(i int, addr netip.Addr) []byte {
		return changes[i%len(changes)](i, question(addr, me(addr), stranger(i)))
	})
}

func (a *attacker) pings() [][]byte {
	return a.varied(a.targets, func(i int, addr netip.Addr) []byte {
		frame, from := echo(addr, me(addr), a.victim.mac, a.mac, i%1000), ipv6Source
		if addr.Is4() {
			from = etherHeader + 12
		}
		switch i % 8 {
		case 0: // a wrong checksum
			frame[len(frame)-1] ^= 0x55
		case 1: // to all
			return addressed(frame, MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		case 2: // from itself
			own := addr.AsSlice()
			copy(frame[from:], own)
			return resummed(frame)
		case 3: // a fragment, or one with a header before it
			frame[etherHeader+6] ^= 0x20
			return resummed(frame)
		case 4:
			return frame[:etherHeader+i%(len(frame)-etherHeader)]
		}
		return frame
	})
}

// claimsAsOwner say what is true, from another station.
func (a *attacker) claimsAsOwner() [][]byte {
	return a.varied(a.targets, func(i int, addr netip.Addr) []byte { return a.claim(i, addr, a.victim.mac) })
}

func (a *attacker) claims() [][]byte {
	return a.varied(a.lab.addrs, func(i int, addr netip.Addr) []byte { return a.claim(i, addr, stranger(i)) })
}

// claim returns a frame of one of the forms in which a station says that it has an address. The frame comes from the attacker, whatever it
// says: a switch that learns a node's MAC address at the attacker's port would send it all that is for the node.
func (a *attacker) claim(i int, addr netip.Addr, mac MAC) []byte {
	other := host(services4, 30000+i).Addr()
	if addr.Is6() {
		other = host(services6, 30000+i).Addr()
	}
	var frame []byte
	switch i % 4 {
	case 0:
		frame = announcement(addr, mac)
	case 1: // an answer that nobody asked for
		frame = announcement(addr, mac)
		frame = addressed(frame, a.victim.mac)
	case 2: // a question for another address
		frame = question(other, addr, mac)
	default: // a gratuitous request, or a solicitation for the address from itself
		frame = question(addr, addr, mac)
	}
	copy(frame[6:], a.mac[:])
	return frame
}

// family returns the victim's addresses of one family.
func (a *attacker) family(is func(netip.Addr) bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a.targets), func(addr netip.Addr) bool { return !is(addr) })
}

// answerTo returns the answer of a station that has whatever it is asked for, and what that is. It is none if the frame is no question for
// an address of the pools, or the station's own.
func answerTo(frame []byte, mac MAC) (answer []byte, addr netip.Addr, ok bool) {
	if len(frame) < etherHeader+28 || MAC(frame[6:]) == mac {
		return nil, addr, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		if frame[arpStart+7] == 1 {
			addr = netip.AddrFrom4([4]byte(frame[arpStart+24:]))
		}
	case etherIPv6:
		if len(frame) >= icmp6+24 && frame[etherHeader+6] == protocolICMP6 && frame[icmp6] == neighborSolicitation {
			addr = netip.AddrFrom16([16]byte(frame[icmp6+8:]))
		}
	}
	if !services4.Contains(addr) && !services6.Contains(addr) {
		return nil, addr, false
	}
	answer = addressed(announcement(addr, mac), MAC(frame[6:]))
	if addr.Is4() {
		copy(answer[arpStart+18:], frame[arpSender:arpSender+10])
		return answer, addr, true
	}
	if asker := [16]byte(frame[ipv6Source:]); asker != ([16]byte{}) {
		copy(answer[ipv6Target:], asker[:])
		answer[icmp6+4] |= solicitedFlag
	}
	return summed(answer), addr, true
}
