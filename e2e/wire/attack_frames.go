package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// varieties is how many frames of one attack differ at least, and for each address.
	varieties, each = 512, 16
	// names is how many MAC addresses an attacker uses for claims.
	names = 64
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
		return ether.Question(addr, me(addr), stranger(i))
	})
}

func (a *attacker) unused() [][]byte {
	return a.varied([]netip.Addr{services4.Addr(), services6.Addr()}, func(i int, network netip.Addr) []byte {
		addr := host(netip.PrefixFrom(network, 0), 20000+i).Addr()
		return ether.Question(addr, me(addr), stranger(i))
	})
}

// requests are questions to all and to the owner alone, also as duplicate address detection asks.
func (a *attacker) requests() [][]byte {
	return a.varied(a.targets, func(i int, addr netip.Addr) []byte {
		switch i % 4 {
		case 0:
			return ether.SentTo(ether.Question(addr, me(addr), a.mac), a.victim.mac)
		case 1:
			return ether.Detection(addr, a.mac)
		}
		return ether.Question(addr, me(addr), a.mac)
	})
}

func (a *attacker) oddARP() [][]byte {
	const address = 6
	changes := []func(i int, f []byte) []byte{
		func(i int, f []byte) []byte { return f[:ether.HeaderSize+i%(len(f)-ether.HeaderSize)] },       // cut short
		func(i int, f []byte) []byte { f[ether.ARPStart+1] = byte(2 + i%200); return f },               // no Ethernet
		func(i int, f []byte) []byte { f[ether.ARPStart+2] = byte(9 + i%200); return f },               // no IPv4
		func(i int, f []byte) []byte { f[ether.ARPStart+4] = byte(7 + i%200); return f },               // long hardware addresses
		func(i int, f []byte) []byte { f[ether.ARPStart+5] = byte(5 + i%200); return f },               // long addresses
		func(i int, f []byte) []byte { f[ether.ARPStart+7] = byte(3 + i%200); return f },               // no question, no answer
		func(_ int, f []byte) []byte { f[ether.ARPSender] |= 1; return f },                             // from a group
		func(_ int, f []byte) []byte { clear(f[ether.ARPSender : ether.ARPSender+address]); return f }, // from nobody
		func(_ int, f []byte) []byte { return ether.SentTo(f, MAC{1, 0, 0x5e, 0, 0, 1}) },              // to a group
		func(_ int, f []byte) []byte { return ether.SentTo(f, MAC{2, 0xcc}) },                          // to another station
		func(i int, f []byte) []byte { return ether.Tagged(f, uint16(2+i%4000)) },                      // of another VLAN
		func(i int, f []byte) []byte { return append(f, make([]byte, i%1400)...) },                     // with more behind it
		func(_ int, f []byte) []byte { f[13] = 0x05; return f },                                        // of another kind
		func(_ int, f []byte) []byte { copy(f[ether.ARPSender:], a.victim.mac[:]); return f },          // from the owner
		func(_ int, f []byte) []byte { copy(f[ether.ARPFrom:], []byte{255, 255, 255, 255}); return f }, // from all
		func(i int, f []byte) []byte {
			return slices.Concat(f[:ether.HeaderSize], ether.Tagged(f, uint16(i))[ether.HeaderSize:])
		}, // shifted by a tag
	}
	return a.varied(a.family(netip.Addr.Is4), func(i int, addr netip.Addr) []byte {
		return changes[i%len(changes)](i, ether.Question(addr, me(addr), stranger(i)))
	})
}

func (a *attacker) oddNDP() [][]byte {
	const options = 24 // where they begin in a message
	none := [16]byte{}
	changes := []func(i int, f []byte) []byte{
		func(_ int, f []byte) []byte { f[ether.IPv6Hops] = 64; return f },                                      // through a router
		func(_ int, f []byte) []byte { f[ether.ICMPv6Start+2] ^= 0x55; return f },                              // a wrong checksum
		func(i int, f []byte) []byte { return f[:ether.HeaderSize+i%(len(f)-ether.HeaderSize)] },               // cut short
		func(_ int, f []byte) []byte { f[ether.ICMPv6Start+1] = 1; return ether.Summed(f) },                    // a code
		func(_ int, f []byte) []byte { f[ether.ICMPv6Start+options+1] = 0; return ether.Summed(f) },            // an option of no length
		func(_ int, f []byte) []byte { f[ether.ICMPv6Start+options+1] = 9; return ether.Summed(f) },            // one that is too long
		func(_ int, f []byte) []byte { copy(f[ether.IPv6Source:], none[:]); return ether.Summed(f) },           // from nobody, who has a MAC address
		func(_ int, f []byte) []byte { f[ether.ICMPv6Start+8] = 0xff; return ether.Summed(f) },                 // for a group
		func(_ int, f []byte) []byte { f[ether.IPv6Source] = 0xff; return ether.Summed(f) },                    // from a group
		func(i int, f []byte) []byte { binary.BigEndian.PutUint16(f[ether.IPv6Length:], uint16(i)); return f }, // another length
		func(_ int, f []byte) []byte {
			f[ether.ICMPv6Start], f[ether.ICMPv6Start+4] = ether.NeighborAdvertisement, ether.SolicitedFlag
			return ether.Summed(f)
		}, // an answer to all
		func(_ int, f []byte) []byte { f[ether.HeaderSize+6] = 0; return f },                            // a header before it
		func(_ int, f []byte) []byte { f[ether.HeaderSize] = 0x40; return f },                           // of version 4
		func(_ int, f []byte) []byte { clear(f[ether.ICMPv6Start+options+2:]); return ether.Summed(f) }, // the MAC address of nobody
		func(i int, f []byte) []byte { return ether.Tagged(f, uint16(2+i%4000)) },
	}
	return a.varied(a.family(netip.Addr.Is6), func(i int, addr netip.Addr) []byte {
		return changes[i%len(changes)](i, ether.Question(addr, me(addr), stranger(i)))
	})
}

func (a *attacker) pings() [][]byte {
	return a.varied(a.targets, func(i int, addr netip.Addr) []byte {
		frame, from := ether.Echo(addr, me(addr), a.victim.mac, a.mac, i%1000), ether.IPv6Source
		if addr.Is4() {
			from = ether.HeaderSize + 12
		}
		switch i % 8 {
		case 0: // a wrong checksum
			frame[len(frame)-1] ^= 0x55
		case 1: // to all
			return ether.SentTo(frame, MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		case 2: // from itself
			own := addr.AsSlice()
			copy(frame[from:], own)
			return ether.Resummed(frame)
		case 3: // a fragment, or one with a header before it
			frame[ether.HeaderSize+6] ^= 0x20
			return ether.Resummed(frame)
		case 4:
			return frame[:ether.HeaderSize+i%(len(frame)-ether.HeaderSize)]
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
		frame = ether.Announcement(addr, mac)
	case 1: // an answer that nobody asked for
		frame = ether.Announcement(addr, mac)
		frame = ether.SentTo(frame, a.victim.mac)
	case 2: // a question for another address
		frame = ether.Question(other, addr, mac)
	default: // a gratuitous request, or a solicitation for the address from itself
		frame = ether.Question(addr, addr, mac)
	}
	copy(frame[6:], a.mac[:])
	return frame
}

// family returns the victim's addresses of one family.
func (a *attacker) family(is func(netip.Addr) bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a.targets), func(addr netip.Addr) bool { return !is(addr) })
}
