package wire

import (
	"encoding/binary"
	"testing"
)

// segment returns an Ethernet frame with a transport header that names a destination port.
func segment(kind uint16, header int, protocol byte, port uint16) []byte {
	frame := make([]byte, etherHeader+header+8)
	binary.BigEndian.PutUint16(frame[12:], kind)
	if kind == etherIPv4 {
		frame[etherHeader], frame[etherHeader+9] = 0x40|byte(header/4), protocol
	} else {
		frame[etherHeader+6] = protocol
	}
	binary.BigEndian.PutUint16(frame[etherHeader+header+2:], port)
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
		{"UDP over IPv4", both, segment(etherIPv4, 20, protocolUDP, 7950), false, true},
		{"TCP over IPv4 with options", both, segment(etherIPv4, 24, protocolTCP, 7950), true, true},
		{"UDP over IPv6", both, segment(etherIPv6, ipv6Header, protocolUDP, 7950), true, true},
		{"TCP over IPv6", in, segment(etherIPv6, ipv6Header, protocolTCP, 7950), false, true},
		{"the other direction", in, segment(etherIPv6, ipv6Header, protocolTCP, 7950), true, false},
		{"another port", both, segment(etherIPv4, 20, protocolTCP, 7951), false, false},
		{"another protocol", both, segment(etherIPv4, 20, 1, 7950), false, false},
		{"ARP", both, segment(etherARP, 20, protocolUDP, 7950), false, false},
		{"a cut frame", both, segment(etherIPv4, 20, protocolUDP, 7950)[:etherHeader+22], false, false},
		{"no firewall", nil, segment(etherIPv4, 20, protocolUDP, 7950), false, false},
	} {
		if got := c.firewall.drops(c.frame, c.fromNode); got != c.want {
			t.Errorf("%s: dropped %t, want %t", c.name, got, c.want)
		}
	}
}

func FuzzFirewall(f *testing.F) {
	f.Add(segment(etherIPv4, 20, protocolUDP, 7950))
	f.Add(segment(etherIPv6, ipv6Header, protocolTCP, 7950))
	f.Fuzz(func(_ *testing.T, frame []byte) {
		(&Firewall{Port: 7950, In: true, Out: true}).drops(frame, true)
	})
}
