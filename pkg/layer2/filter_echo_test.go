package layer2

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// concernsEcho4 is the reference for echo4Program in plain code, for IPv4 packets only.
func concernsEcho4(s *scope, b []byte) bool {
	if len(b) < 34 || b[23] != 1 || !s.contains(netip.AddrFrom4([4]byte(b[30:]))) {
		return false
	}
	return b[14] != 0x45 || binary.BigEndian.Uint16(b[20:])&0x3fff != 0 || len(b) > 34 && b[34] == 8
}

// concernsEcho6 is the reference for echo6Program, for IPv6 packets only.
func concernsEcho6(s *scope, b []byte) bool {
	return len(b) > 54 && b[20] == 58 && b[54] == 128 && s.contains(netip.AddrFrom16([16]byte(b[38:])))
}

func TestEchoPrograms(t *testing.T) {
	s := newScope([]Range{rangeOf("192.0.2.80", "192.0.2.80"), rangeOf("2001:db8::80", "2001:db8::80")})
	four := echoFrame(t, ourMAC, askerMAC, asker4, held4, false, "")
	six := echoFrame(t, ourMAC, askerMAC, asker6, held6, false, "")
	for _, c := range []struct {
		name    string
		program func(*scope, int) []bpf.Instruction
		frame   []byte
		want    bool
	}{
		{"request", echo4Program, four, true},
		{"request to another", echo4Program, echoFrame(t, ourMAC, askerMAC, asker4, free4, false, ""), false},
		{"reply", echo4Program, echoFrame(t, ourMAC, askerMAC, asker4, held4, true, ""), false},
		{"fragment", echo4Program, headed(four, ip4Fragment, 0, 3), true},
		{"options", echo4Program, headed(four, ip4Start, 0x46), true},
		{"UDP", echo4Program, headed(four, ip4Protocol, 17), false},
		{"TCP fragment", echo4Program, headed(headed(four, ip4Protocol, 6), ip4Fragment, 0x20), false},
		{"cut", echo4Program, four[:ip4End], false},
		{"IPv6 request", echo6Program, six, true},
		{"IPv6 request to another", echo6Program, echoFrame(t, ourMAC, askerMAC, asker6, free6, false, ""), false},
		{"IPv6 reply", echo6Program, echoFrame(t, ourMAC, askerMAC, asker6, held6, true, ""), false},
		{"solicitation", echo6Program, nsTo(t, held6, held6), false},
		{"IPv6 TCP", echo6Program, patched(six, ip6NextHeader, 6), false},
	} {
		program := c.program(s, maxInstructions)
		if got := passes(t, machine(t, program, extensions{}), c.frame); got != c.want {
			t.Errorf("%s: through %t, want %t", c.name, got, c.want)
		}
		if passes(t, machine(t, program, extensions{kind: packetOtherHost}), c.frame) || passes(t, machine(t, program, extensions{tagged: 1}), c.frame) {
			t.Errorf("%s: through although it is for another host or network", c.name)
		}
	}
}

// FuzzEchoFilter compares the programs with the references, and requires that the handler answers no rejected frame.
func FuzzEchoFilter(f *testing.F) {
	four := echoFrame(f, ourMAC, askerMAC, asker4, held4, false, "data")
	six := echoFrame(f, ourMAC, askerMAC, asker6, held6, false, "data")
	f.Add(four, []byte{192, 0, 2, 80, 192, 0, 2, 81})                                    // in the range
	f.Add(four, []byte{10, 0, 0, 0, 10, 255, 255, 255, 192, 0, 2, 81, 192, 0, 2, 99})    // between two ranges
	f.Add(headed(four, ip4Fragment, 0x20), []byte{0, 0, 0, 0, 255, 255, 255, 255})       // a fragment, all addresses
	f.Add(six, append(held6.AsSlice(), held6.AsSlice()...))                              // in the range
	f.Add(six, append(netip.IPv6Unspecified().AsSlice(), free6.Prev().AsSlice()...))     // at the end of a range
	f.Add(patched(six, ip6NextHeader, 44), append(held6.AsSlice(), held6.AsSlice()...))  // an extension header
	f.Add(patched(four, ip4End, 0), []byte{192, 0, 2, 80, 192, 0, 2, 80, 1, 2, 3, 4, 5}) // a reply
	f.Fuzz(func(t *testing.T, b, ends []byte) {
		s := newScope(rangesOf(ends, 4), rangesOf(ends, 16))
		in4 := passes(t, machine(t, echo4Program(s, maxInstructions), extensions{}), b)
		if want := concernsEcho4(s, b); in4 != want {
			t.Errorf("IPv4: through %t, want %t", in4, want)
		}
		in6 := passes(t, machine(t, echo6Program(s, maxInstructions), extensions{}), b)
		if want := concernsEcho6(s, b); in6 != want {
			t.Errorf("IPv6: through %t, want %t", in6, want)
		}
		if len(b) <= ethType+1 || in4 && b[ethType] == 8 || in6 && b[ethType] == 0x86 || !s.contains(held4) || !s.contains(held6) {
			return
		}
		if _, v, _ := newPingHandler().handle(pingTable(), b); v == Answered {
			t.Errorf("%x would be answered, and is left out", b)
		}
	})
}
