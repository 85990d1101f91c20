package wire

import (
	"encoding/binary"
	"testing"

	"github.com/lanlord/lanlord/e2e/ether"
)

// segment returns an Ethernet frame with a transport header that names a destination port.
func segment(kind uint16, header int, protocol byte, port uint16) []byte {
	frame := make([]byte, ether.HeaderSize+header+8)
	binary.BigEndian.PutUint16(frame[12:], kind)
	if kind == ether.TypeIPv4 {
		frame[ether.HeaderSize], frame[ether.HeaderSize+9] = 0x40|byte(header/4), protocol
	} else {
		frame[ether.HeaderSize+6] = protocol
	}
	binary.BigEndian.PutUint16(frame[ether.HeaderSize+header+2:], port)
	return frame
}

func TestFirewallDropsOnePort(t *testing.T) {
	both, in := &Firewall{Port: 7950, In: true, Out: true}, &Firewall{Port: 7950, In: true}
	for _, c := range []struct {
		name     string
		firewall *Firewall
		frame    []byte
		fromNode bool
		want     bool
	}{
		{"UDP over IPv4", both, segment(ether.TypeIPv4, 20, protocolUDP, 7950), false, true},
		{"TCP over IPv4 with options", both, segment(ether.TypeIPv4, 24, protocolTCP, 7950), true, true},
		{"UDP over IPv6", both, segment(ether.TypeIPv6, ether.IPv6HeaderSize, protocolUDP, 7950), true, true},
		{"TCP over IPv6", in, segment(ether.TypeIPv6, ether.IPv6HeaderSize, protocolTCP, 7950), false, true},
		{"the other direction", in, segment(ether.TypeIPv6, ether.IPv6HeaderSize, protocolTCP, 7950), true, false},
		{"another port", both, segment(ether.TypeIPv4, 20, protocolTCP, 7951), false, false},
		{"another protocol", both, segment(ether.TypeIPv4, 20, 1, 7950), false, false},
		{"ARP", both, segment(ether.TypeARP, 20, protocolUDP, 7950), false, false},
		{"a cut frame", both, segment(ether.TypeIPv4, 20, protocolUDP, 7950)[:ether.HeaderSize+22], false, false},
		{"no firewall", nil, segment(ether.TypeIPv4, 20, protocolUDP, 7950), false, false},
	} {
		if got := c.firewall.drops(c.frame, c.fromNode); got != c.want {
			t.Errorf("%s: dropped %t, want %t", c.name, got, c.want)
		}
	}
}

func FuzzFirewall(f *testing.F) {
	f.Add(segment(ether.TypeIPv4, 20, protocolUDP, 7950))
	f.Add(segment(ether.TypeIPv6, ether.IPv6HeaderSize, protocolTCP, 7950))
	f.Fuzz(func(_ *testing.T, frame []byte) {
		(&Firewall{Port: 7950, In: true, Out: true}).drops(frame, true)
	})
}
