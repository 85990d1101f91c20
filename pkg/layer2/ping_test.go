package layer2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/lanlord/lanlord/pkg/byaddr"
	"github.com/lanlord/lanlord/pkg/checksum"
)

// pingTable is testTable on an interface with a subnet.
func pingTable() *table {
	t := testTable()
	t.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
	return t
}

// echoFrame encodes an echo request or reply with the libraries' encoders.
func echoFrame(t testing.TB, to, from MAC, source, destination netip.Addr, reply bool, data string) []byte {
	t.Helper()
	body := &icmp.Echo{ID: 0x1234, Seq: 7, Data: []byte(data)}
	m, pseudo := icmp.Message{Body: body}, []byte(nil)
	if source.Is4() {
		m.Type = ipv4.ICMPTypeEcho
		if reply {
			m.Type = ipv4.ICMPTypeEchoReply
		}
	} else {
		m.Type = ipv6.ICMPTypeEchoRequest
		if reply {
			m.Type = ipv6.ICMPTypeEchoReply
		}
		pseudo = icmp.IPv6PseudoHeader(source.AsSlice(), destination.AsSlice())
	}
	message, err := m.Marshal(pseudo)
	if err != nil {
		t.Fatal(err)
	}
	if source.Is6() {
		b := ip6Bytes(to, from, source, destination, message)
		b[ip6HopLimit] = answerTTL
		return b
	}
	return ip4Bytes(to, from, source, destination, message)
}

func ip4Bytes(to, from MAC, source, destination netip.Addr, body []byte) []byte {
	header := []byte{ip4Plain, 0, 0, 0, 0, 0, ip4Whole >> 8, 0, answerTTL, protocolICMP, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(body)))
	b := slices.Concat(to[:], from[:], []byte{8, 0}, header, source.AsSlice(), destination.AsSlice(), body)
	return headed(b, 0)
}

// headed returns a copy of b with other bytes at i and a correct checksum of the IPv4 header.
func headed(b []byte, i int, with ...byte) []byte {
	b = patched(b, i, with...)
	b[ip4Checksum], b[ip4Checksum+1] = 0, 0
	header := min(int(b[ip4Start]&0xf)*4, len(b)-ip4Start)
	binary.BigEndian.PutUint16(b[ip4Checksum:], ^checksum.Fold(checksum.Sum(0, b[ip4Start:ip4Start+header])))
	return b
}

func padded(b []byte) []byte { return append(b, make([]byte, max(0, leastFrame-len(b)))...) }

func TestPingVerdicts(t *testing.T) {
	global := netip.MustParseAddr("2001:db8:1::9")
	router4 := netip.MustParseAddr("203.0.113.9")
	ping4 := func(from netip.Addr) []byte { return echoFrame(t, ourMAC, askerMAC, from, held4, false, "abc") }
	ping6 := func(from netip.Addr) []byte { return echoFrame(t, ourMAC, askerMAC, from, held6, false, "abc") }
	four, six := ping4(asker4), ping6(asker6)
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name  string
		frame []byte
		want  Verdict
	}{
		{"request", four, Answered},
		{"through a router", ping4(router4), Answered},
		{"padded", append(bytes.Clone(four), 1, 2, 3), Answered},
		{"without data", echoFrame(t, ourMAC, askerMAC, asker4, held4, false, ""), Answered},
		{"TTL 1", headed(four, ip4TTL, 1), Answered},
		{"to another address", echoFrame(t, ourMAC, askerMAC, asker4, free4, false, ""), NotOurs},
		{"to a watched address", echoFrame(t, ourMAC, askerMAC, asker4, watched4, false, ""), NotOurs},
		{"reply", echoFrame(t, ourMAC, askerMAC, asker4, held4, true, ""), NotRequest},
		{"code 1", patched(four, ip4End+1, 1), NotRequest},
		{"TCP", headed(four, ip4Protocol, 6), NotRequest},
		{"first fragment", headed(four, ip4Fragment, 0x20, 0), Unanswerable},
		{"last fragment", headed(four, ip4Fragment, 0, 9), Unanswerable},
		{"options", headed(four, ip4Start, 0x46), Unanswerable},
		{"from nobody", ping4(netip.IPv4Unspecified()), Unanswerable},
		{"from this network", ping4(addr("0.1.2.3")), Unanswerable},
		{"from a group", ping4(addr("224.0.0.1")), Unanswerable},
		{"from broadcast", ping4(addr("255.255.255.255")), Unanswerable},
		{"from the subnet's broadcast", ping4(addr("192.0.2.255")), Unanswerable},
		{"from loopback", ping4(addr("127.0.0.1")), Unanswerable},
		{"from itself", ping4(held4), Unanswerable},
		{"to broadcast", patched(four, ethDestination, broadcast[:]...), WrongDestination},
		{"to another MAC", patched(four, ethDestination, otherMAC[:]...), WrongDestination},
		{"our own", patched(four, ethSource, ourMAC[:]...), OwnFrame},
		{"from a group's MAC", patched(four, ethSource, 3), Malformed},
		{"damaged header", patched(four, ip4TTL, 3), WrongChecksum},
		{"damaged message", patched(four, len(four)-1, 'x'), WrongChecksum},
		{"longer than the frame", headed(four, ip4Length, 0x10, 0), Malformed},
		{"shorter than its header", headed(four, ip4Length, 0, 19), Malformed},
		{"shorter than the message", headed(four[:ip4End+7], ip4Length, 0, 27), Malformed},
		{"header of four words", patched(four, ip4Start, 0x44), Malformed},
		{"version 5", patched(four, ip4Start, 0x55), Malformed},
		{"VLAN tag", patched(four, ethType, 0x81, 0), Malformed},
		{"cut", four[:ip4End-1], Malformed},
		{"empty", nil, Malformed},
		{"IPv6", six, Answered},
		{"IPv6 through a router", ping6(global), Answered},
		{"IPv6 to another address", echoFrame(t, ourMAC, askerMAC, asker6, free6, false, ""), NotOurs},
		{"IPv6 to a watched address", echoFrame(t, ourMAC, askerMAC, asker6, watched6, false, ""), NotOurs},
		{"IPv6 reply", echoFrame(t, ourMAC, askerMAC, asker6, held6, true, ""), NotRequest},
		{"IPv6 fragment", patched(six, ip6NextHeader, 44), NotRequest},
		{"IPv6 code 1", corrected(six, icmp6Code, 1), NotRequest},
		{"IPv6 from nobody", ping6(netip.IPv6Unspecified()), Unanswerable},
		{"IPv6 from a group", ping6(allNodes), Unanswerable},
		{"IPv6 from loopback", ping6(netip.IPv6Loopback()), Unanswerable},
		{"IPv6 from a mapped address", ping6(addr("::ffff:192.0.2.9")), Unanswerable},
		{"IPv6 from itself", ping6(held6), Unanswerable},
		{"IPv6 damaged", patched(six, len(six)-1, 'x'), WrongChecksum},
		{"IPv6 cut", six[:len(six)-1], Malformed},
		{"IPv6 without message", patched(six, ip6PayloadLength, 0, 7), Malformed},
		{"IPv6 of version 4", patched(six, ip6Start, 0x40), Malformed},
		{"IPv6 to a group's MAC", patched(six, ethDestination, allNodesMAC[:]...), WrongDestination},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, got, claim := newPingHandler().handle(pingTable(), c.frame)
			if got != c.want || (reply != nil) != (got == Answered) || claim != (Claim{}) {
				t.Errorf("%s with a reply of %d bytes, claim %+v, want %s", got, len(reply), claim, c.want)
			}
		})
	}
}

// TestPingAnswer compares the answer, built in place, with the libraries' encoding of the whole frame.
func TestPingAnswer(t *testing.T) {
	h := newPingHandler()
	for _, data := range []string{"", "odd", "lanlord!", string(make([]byte, 1400)), string(bytes.Repeat([]byte{0xff}, 1472))} {
		for source, held := range map[netip.Addr]netip.Addr{asker4: held4, asker6: held6} {
			request := echoFrame(t, ourMAC, askerMAC, source, held, false, data)
			if source.Is4() {
				// The request has fields that the reply must not copy: an identification, few hops left, a congestion
				// mark.
				request = headed(headed(headed(request, ip4ID, 0xab, 0xcd, 0, 0), ip4TTL, 3), ip4TOS, 3)
			} else {
				request = patched(patched(request, ip6HopLimit, 3), ip6Start+1, 0x3a, 0xbc, 0xde)
			}
			reply, v, _ := h.handle(pingTable(), padded(request))
			if want := padded(echoFrame(t, askerMAC, ourMAC, held, source, true, data)); !bytes.Equal(reply, want) {
				t.Errorf("to %s with %d bytes: %s\n%x, want\n%x", source, len(data), v, reply, want)
			}
		}
	}
}

// TestPingKeepsTheClass requires that the reply keeps the differentiated services of the request, as kernels do.
func TestPingKeepsTheClass(t *testing.T) {
	reply, _, _ := newPingHandler().handle(pingTable(), headed(echoFrame(t, ourMAC, askerMAC, asker4, held4, false, ""), ip4TOS, 0xb8|ecnBits))
	if reply[ip4TOS] != 0xb8 {
		t.Errorf("TOS %#x, want 0xb8", reply[ip4TOS])
	}
	reply, _, _ = newPingHandler().handle(pingTable(), patched(echoFrame(t, ourMAC, askerMAC, asker6, held6, false, ""), ip6Start, 0x6b, 0xb0))
	if reply[ip6Start] != 0x6b || reply[ip6Start+1] != 0x80 {
		t.Errorf("IPv6 header begins with %x, want 6b80", reply[ip6Start:ip6Start+2])
	}
}

// TestPingIsLeftToTheKernel requires that only the kernel answers for an address that the kernel has too.
func TestPingIsLeftToTheKernel(t *testing.T) {
	table := pingTable()
	table.kernel = byaddr.Of(map[netip.Addr]struct{}{held4: {}})
	for held, want := range map[netip.Addr]Verdict{held4: NotOurs, held6: Answered} {
		source := asker4
		if held.Is6() {
			source = asker6
		}
		if _, v, _ := newPingHandler().handle(table, echoFrame(t, ourMAC, askerMAC, source, held, false, "")); v != want {
			t.Errorf("%s: %s, want %s", held, v, want)
		}
	}
}

func TestPingRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, request := newPingHandler(), echoFrame(t, ourMAC, askerMAC, asker4, held4, false, "")
		table := pingTable()
		flood := func() (answered int) {
			for range 3 * pingRate {
				if _, v, _ := h.handle(table, request); v == Answered {
					answered++
				} else if v != Limited {
					t.Fatalf("%s, want limited", v)
				}
			}
			return answered
		}
		if n := flood(); n != pingRate {
			t.Errorf("%d answers at once, want %d", n, pingRate)
		}
		time.Sleep(100 * time.Millisecond)
		if n := flood(); n != pingRate/10 {
			t.Errorf("%d answers after 0.1 s, want %d", n, pingRate/10)
		}
		time.Sleep(time.Hour)
		if n := flood(); n != pingRate {
			t.Errorf("%d answers after an hour, want %d", n, pingRate)
		}
	})
}

func TestPingAllocatesNothing(t *testing.T) {
	h, table := newPingHandler(), pingTable()
	for name, frame := range map[string][]byte{
		"IPv4": echoFrame(t, ourMAC, askerMAC, asker4, held4, false, "12345678"),
		"IPv6": echoFrame(t, ourMAC, askerMAC, asker6, held6, false, "12345678"),
	} {
		allocs := testing.AllocsPerRun(1000, func() {
			h.answers.tokens = pingRate
			if _, v, _ := h.handle(table, frame); v != Answered {
				t.Fatal(v)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %.1f allocations for a ping, want none", name, allocs)
		}
	}
}

func BenchmarkPing(b *testing.B) {
	h, table, frame := newPingHandler(), pingTable(), echoFrame(b, ourMAC, askerMAC, asker4, held4, false, string(make([]byte, 56)))
	b.ReportAllocs()
	for b.Loop() {
		h.answers.tokens = pingRate
		h.handle(table, frame)
	}
}

// FuzzPing checks every answer against the libraries' decoders: the answer is the reply to the request, from an own
// address to the sender of the request.
func FuzzPing(f *testing.F) {
	four := echoFrame(f, ourMAC, askerMAC, asker4, held4, false, "data")
	six := echoFrame(f, ourMAC, askerMAC, asker6, held6, false, "data")
	f.Add(four)                                                               // answered
	f.Add(six)                                                                // answered
	f.Add(headed(four, ip4Fragment, 0x20, 0))                                 // a fragment
	f.Add(headed(four, ip4Start, 0x4f))                                       // options longer than the frame
	f.Add(patched(four, ip4Length, 0xff, 0xff))                               // too long
	f.Add(patched(six, ip6PayloadLength, 0xff, 0xff))                         // too long
	f.Add(patched(six, ip6NextHeader, 0))                                     // an extension header
	f.Add(four[:ip4End])                                                      // no message
	f.Add(echoFrame(f, ourMAC, askerMAC, asker6, held6, false, "odd length")) // for the checksum
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		reply, v, claim := newPingHandler().handle(pingTable(), b)
		if !bytes.Equal(b, before) || claim != (Claim{}) {
			t.Fatalf("changed the frame, or heard the claim %+v", claim)
		}
		if (reply != nil) != (v == Answered) {
			t.Fatalf("%s with a reply of %d bytes", v, len(reply))
		}
		if v == Answered {
			checkEchoReply(t, b, reply)
		}
	})
}

func checkEchoReply(t *testing.T, request, reply []byte) {
	start, addrs, length, protocol, kind := ip4End, 4, ip4Source, 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	end := ip4Start + int(binary.BigEndian.Uint16(reply[ip4Length:]))
	if reply[ip4Start]>>4 == 6 {
		start, addrs, length, protocol, kind = icmp6Start, 16, ip6Source, protocolICMPv6, ipv6.ICMPTypeEchoReply
		end = icmp6Start + int(binary.BigEndian.Uint16(reply[ip6PayloadLength:]))
		if checksumICMPv6(reply[:end]) != 0 {
			t.Fatalf("wrong checksum in %x", reply)
		}
	} else if checksum.Fold(checksum.Sum(0, reply[ip4Start:ip4End])) != 0xffff || checksum.Fold(checksum.Sum(0, reply[ip4End:end])) != 0xffff {
		t.Fatalf("wrong checksum in %x", reply)
	}
	m, err := icmp.ParseMessage(protocol, reply[start:end])
	if err != nil || m.Type != kind || m.Code != 0 || !bytes.Equal(reply[start+4:end], request[start+4:end]) {
		t.Fatalf("%+v, %v does not answer %x", m, err, request)
	}
	if !bytes.Equal(reply[length:length+addrs], request[length+addrs:length+2*addrs]) ||
		!bytes.Equal(reply[length+addrs:length+2*addrs], request[length:length+addrs]) {
		t.Fatalf("addresses of %x are not those of %x exchanged", reply, request)
	}
	if MAC(reply[ethDestination:]) != MAC(request[ethSource:]) || MAC(reply[ethSource:]) != ourMAC {
		t.Fatalf("hardware addresses of %x, after %x", reply, request)
	}
}
