package layer2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

var (
	ourMAC   = MAC{0x02, 0, 0, 0, 0, 1}
	otherMAC = MAC{0x02, 0, 0, 0, 0, 2}
	askerMAC = MAC{0x02, 0, 0, 0, 0, 3}

	held4    = netip.MustParseAddr("192.0.2.80")
	free4    = netip.MustParseAddr("192.0.2.81")
	asker4   = netip.MustParseAddr("192.0.2.200")
	held6    = netip.MustParseAddr("2001:db8::80")
	free6    = netip.MustParseAddr("2001:db8::81")
	watched4 = netip.MustParseAddr("192.0.2.90")
	watched6 = netip.MustParseAddr("2001:db8::90")
	asker6   = netip.MustParseAddr("fe80::3")
	slaveMAC = MAC{0x02, 0, 0, 0, 0, 4}
	testNIC  = Interface{Index: 1, Name: "eth0", MAC: ourMAC, MACs: []MAC{slaveMAC}, Up: true, LinkLocal: netip.MustParseAddr("fe80::1")}
)

// testTable holds two addresses, on a host with one more interface.
func testTable() *table {
	return &table{
		Interface: testNIC,
		addrs:     byaddr.Of(map[netip.Addr]struct{}{held4: {}, held6: {}}),
		known:     byaddr.Of(map[netip.Addr]Mode{held4: Answer, held6: Answer, watched4: Watch, watched6: Watch}),
		macs:      map[MAC]struct{}{ourMAC: {}, otherMAC: {}, slaveMAC: {}},
	}
}

func arpBytes(t testing.TB, op arp.Operation, to, sender MAC, senderIP netip.Addr, target MAC, targetIP netip.Addr) []byte {
	t.Helper()
	b, err := arpFrame(op, to, sender, senderIP, target, targetIP)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func arpHandlerFor(t testing.TB) *arpHandler {
	t.Helper()
	h, err := newARPHandler(testNIC)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ndpHandlerFor(t testing.TB) *ndpHandler {
	t.Helper()
	h, err := newNDPHandler(testNIC)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// patched returns a copy of b with other bytes at i.
func patched(b []byte, i int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[i:], with)
	return b
}

func TestARPVerdicts(t *testing.T) {
	none := netip.IPv4Unspecified()
	request := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
	for _, c := range []struct {
		name  string
		frame []byte
		want  Verdict
		claim netip.Addr
	}{
		{"broadcast request", request, Answered, netip.Addr{}},
		{"request without padding", request[:arpEnd], Answered, netip.Addr{}},
		{"request to our MAC", arpBytes(t, arp.OperationRequest, ourMAC, askerMAC, asker4, ourMAC, held4), Answered, netip.Addr{}},
		{"request to our slave's MAC", arpBytes(t, arp.OperationRequest, slaveMAC, askerMAC, asker4, slaveMAC, held4), Answered, netip.Addr{}},
		{"probe", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, held4), Answered, netip.Addr{}},
		{"request from our other interface", arpBytes(t, arp.OperationRequest, broadcast, otherMAC, asker4, MAC{}, held4), Answered, netip.Addr{}},
		{"request to another MAC", arpBytes(t, arp.OperationRequest, otherMAC, askerMAC, asker4, MAC{}, held4), WrongDestination, netip.Addr{}},
		{"request to a group", arpBytes(t, arp.OperationRequest, allNodesMAC, askerMAC, asker4, MAC{}, held4), WrongDestination, netip.Addr{}},
		{"request for another address", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, free4), NotOurs, netip.Addr{}},
		{"probe for another address", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, free4), NotOurs, netip.Addr{}},
		{"probe for 0.0.0.0", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, none), NotOurs, netip.Addr{}},
		{"gratuitous request for ours", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, held4, MAC{}, held4), Claimed, held4},
		{"gratuitous request for another", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, free4, MAC{}, free4), NotOurs, netip.Addr{}},
		{"question from a host that uses ours", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, held4, MAC{}, free4), Claimed, held4},
		{"gratuitous request from our other interface", arpBytes(t, arp.OperationRequest, broadcast, otherMAC, held4, MAC{}, held4), NotOurs, netip.Addr{}},
		{"gratuitous reply for ours", arpBytes(t, arp.OperationReply, broadcast, askerMAC, held4, askerMAC, held4), Claimed, held4},
		{"reply that claims ours", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, held4, ourMAC, asker4), Claimed, held4},
		{"reply for another", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, asker4, ourMAC, held4), NotRequest, netip.Addr{}},
		{"reply from our other interface", arpBytes(t, arp.OperationReply, broadcast, otherMAC, held4, otherMAC, held4), NotRequest, netip.Addr{}},
		{"our own frame", arpBytes(t, arp.OperationRequest, broadcast, ourMAC, held4, MAC{}, held4), OwnFrame, netip.Addr{}},
		{"reply from our slave", arpBytes(t, arp.OperationReply, broadcast, slaveMAC, held4, slaveMAC, held4), NotRequest, netip.Addr{}},
		{"reverse ARP", patched(request, arpOperation, 0, 3), NotRequest, netip.Addr{}},
		{"sender is a group", arpBytes(t, arp.OperationRequest, broadcast, broadcast, asker4, MAC{}, held4), Malformed, netip.Addr{}},
		{"sender is nobody", arpBytes(t, arp.OperationRequest, broadcast, MAC{}, asker4, MAC{}, held4), Malformed, netip.Addr{}},
		{"truncated", request[:arpEnd-1], Malformed, netip.Addr{}},
		{"empty", nil, Malformed, netip.Addr{}},
		{"VLAN tag", patched(request, ethType, 0x81, 0, 0, 7, 8, 6), Malformed, netip.Addr{}},
		{"hardware type Token Ring", patched(request, ethType+2, 0, 6), Malformed, netip.Addr{}},
		{"protocol type IPv6", patched(request, ethType+4, 0x86, 0xdd), Malformed, netip.Addr{}},
		{"hardware address of 8 bytes", patched(request, ethType+6, 8), Malformed, netip.Addr{}},
		{"protocol address of 16 bytes", patched(request, ethType+7, 16), Malformed, netip.Addr{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, got, claim := arpHandlerFor(t).handle(testTable(), c.frame)
			if got != c.want || claim.Addr != c.claim {
				t.Errorf("%s, claim %+v, want %s, claim of %s", got, claim, c.want, c.claim)
			}
			if (reply != nil) != (got == Answered) {
				t.Errorf("verdict %s with a reply of %d bytes", got, len(reply))
			}
			if claim.Addr.IsValid() && (claim.MAC != askerMAC || claim.Interface != "eth0") {
				t.Errorf("claim %+v names the wrong station", claim)
			}
		})
	}
}

// TestARPAnswer compares the answer, built in place, with the library's encoding of the whole frame.
func TestARPAnswer(t *testing.T) {
	h := arpHandlerFor(t)
	for _, sender := range []netip.Addr{asker4, netip.IPv4Unspecified(), free4} {
		reply, _, _ := h.handle(testTable(), arpBytes(t, arp.OperationRequest, broadcast, askerMAC, sender, MAC{}, held4))
		if want := arpBytes(t, arp.OperationReply, askerMAC, ourMAC, held4, askerMAC, sender); !bytes.Equal(reply, want) {
			t.Errorf("to %s:\n%x, want\n%x", sender, reply, want)
		}
	}
}

func TestARPAnnouncement(t *testing.T) {
	frames, err := arpAnnouncement(ourMAC, held4)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{
		arpBytes(t, arp.OperationRequest, broadcast, ourMAC, held4, MAC{}, held4),
		arpBytes(t, arp.OperationReply, broadcast, ourMAC, held4, ourMAC, held4),
	}
	if !slices.EqualFunc(frames, want, bytes.Equal) {
		t.Errorf("%x, want %x", frames, want)
	}
}

// ndpBytes encodes an NDP message of another station in a frame.
func ndpBytes(t testing.TB, to, from MAC, source, destination netip.Addr, m ndp.Message) []byte {
	t.Helper()
	body, err := ndp.MarshalMessageChecksum(m, source, destination)
	if err != nil {
		t.Fatal(err)
	}
	return ip6Bytes(to, from, source, destination, body)
}

func ip6Bytes(to, from MAC, source, destination netip.Addr, body []byte) []byte {
	b := slices.Concat(to[:], from[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body))),
		[]byte{protocolICMPv6, ndp.HopLimit}, source.AsSlice(), destination.AsSlice(), body)
	return b
}

// corrected returns a copy of b with other bytes at i and a correct checksum.
func corrected(b []byte, i int, with ...byte) []byte {
	b = patched(b, i, with...)
	b[icmp6Checksum], b[icmp6Checksum+1] = 0, 0
	binary.BigEndian.PutUint16(b[icmp6Checksum:], checksumICMPv6(b))
	return b
}

func solicitation(target netip.Addr, options ...ndp.Option) ndp.Message {
	return &ndp.NeighborSolicitation{TargetAddress: target, Options: options}
}

func lladdr(d ndp.Direction, m MAC) ndp.Option {
	return &ndp.LinkLayerAddress{Direction: d, Addr: m[:]}
}

func groupMACOf(addr netip.Addr) MAC {
	a := addr.As16()
	return MAC{0x33, 0x33, 0xff, a[13], a[14], a[15]}
}

// NDP frames for several tests.
func nsTo(t testing.TB, destination, target netip.Addr, options ...ndp.Option) []byte {
	to := ourMAC
	if destination.IsMulticast() {
		to = groupMACOf(target)
	}
	return ndpBytes(t, to, askerMAC, asker6, destination, solicitation(target, options...))
}

func naFrom(t testing.TB, from MAC, target netip.Addr, options ...ndp.Option) []byte {
	return ndpBytes(t, allNodesMAC, from, asker6, allNodes, &ndp.NeighborAdvertisement{Override: true, TargetAddress: target, Options: options})
}

func TestNDPVerdicts(t *testing.T) {
	group, source := solicitedNode(held6), lladdr(ndp.Source, askerMAC)
	ns := nsTo(t, group, held6, source)
	na := naFrom(t, askerMAC, held6, lladdr(ndp.Target, askerMAC))
	dad := ndpBytes(t, groupMACOf(held6), askerMAC, netip.IPv6Unspecified(), group, solicitation(held6))
	for _, c := range []struct {
		name  string
		frame []byte
		want  Verdict
		claim netip.Addr
	}{
		{"multicast solicitation", ns, Answered, netip.Addr{}},
		{"multicast without option", nsTo(t, group, held6), Answered, netip.Addr{}},
		{"unicast", nsTo(t, held6, held6, source), Answered, netip.Addr{}},
		{"unicast without option", nsTo(t, held6, held6), Answered, netip.Addr{}},
		{"to our link-local address", nsTo(t, testNIC.LinkLocal, held6), Answered, netip.Addr{}},
		{"duplicate address detection", dad, Answered, netip.Addr{}},
		{"padded by the network card", append(bytes.Clone(dad), 0, 0, 0, 0), Answered, netip.Addr{}},
		{"unknown option before ours", nsTo(t, group, held6, ndp.NewMTU(1500), source), Answered, netip.Addr{}},
		{"for another address", nsTo(t, solicitedNode(free6), free6, source), NotOurs, netip.Addr{}},
		{"to the group of another", nsTo(t, solicitedNode(free6), held6, source), WrongDestination, netip.Addr{}},
		{"to our slave's MAC", patched(nsTo(t, held6, held6), ethDestination, slaveMAC[:]...), Answered, netip.Addr{}},
		{"to another MAC", patched(nsTo(t, held6, held6), ethDestination, otherMAC[:]...), WrongDestination, netip.Addr{}},
		{"through a router", patched(ns, ip6HopLimit, 254), WrongHopLimit, netip.Addr{}},
		{"damaged", patched(ns, ndpTarget+15, 0x81), WrongChecksum, netip.Addr{}},
		{"our own", patched(ns, ethSource, ourMAC[:]...), OwnFrame, netip.Addr{}},
		{"code 1", corrected(ns, icmp6Code, 1), Malformed, netip.Addr{}},
		{"target is a group", corrected(ns, ndpTarget, 0xff), Malformed, netip.Addr{}},
		{"source is a group", corrected(ns, ip6Source, 0xff), Malformed, netip.Addr{}},
		{"option of length zero", corrected(ns, ndpOptions+1, 0), Malformed, netip.Addr{}},
		{"option beyond the end", corrected(ns, ndpOptions+1, 2), Malformed, netip.Addr{}},
		{"option says a group", corrected(ns, ndpOptions+2, 1), Malformed, netip.Addr{}},
		{"detection with option", ndpBytes(t, groupMACOf(held6), askerMAC, netip.IPv6Unspecified(), group, solicitation(held6, source)), Malformed, netip.Addr{}},
		{"detection by unicast", ndpBytes(t, ourMAC, askerMAC, netip.IPv6Unspecified(), held6, solicitation(held6)), Malformed, netip.Addr{}},
		{"router solicitation", corrected(ns, icmp6Start, 133), Malformed, netip.Addr{}},
		{"truncated", ns[:len(ns)-1], Malformed, netip.Addr{}},
		{"payload too short", patched(ns, ip6PayloadLength, 0, 23), Malformed, netip.Addr{}},
		{"extension header", patched(ns, ip6NextHeader, 0), Malformed, netip.Addr{}},
		{"IPv4", patched(ns, ethType, 8, 0), Malformed, netip.Addr{}},
		{"version 4", patched(ns, ip6Start, 0x40), Malformed, netip.Addr{}},
		{"empty", nil, Malformed, netip.Addr{}},
		{"advertisement of ours", na, Claimed, held6},
		{"advertisement without option", naFrom(t, askerMAC, held6), Claimed, held6},
		{"advertisement from our other interface", naFrom(t, otherMAC, held6, lladdr(ndp.Target, otherMAC)), NotRequest, netip.Addr{}},
		{"advertisement of another", naFrom(t, askerMAC, free6, lladdr(ndp.Target, askerMAC)), NotRequest, netip.Addr{}},
		{"solicited to all nodes", corrected(na, ndpFlags, 0x60), Malformed, netip.Addr{}},
		{"advertisement through a router", patched(na, ip6HopLimit, 64), WrongHopLimit, netip.Addr{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, got, claim := ndpHandlerFor(t).handle(testTable(), c.frame)
			if got != c.want || claim.Addr != c.claim {
				t.Errorf("%s, claim %+v, want %s, claim of %s", got, claim, c.want, c.claim)
			}
			if (reply != nil) != (got == Answered) {
				t.Errorf("verdict %s with a reply of %d bytes", got, len(reply))
			}
			if claim.Addr.IsValid() && (claim.MAC != askerMAC || claim.Form != Advertisement) {
				t.Errorf("claim %+v names the wrong station", claim)
			}
		})
	}
}

// TestNDPAnswer compares the answers, built in place, with the library's encoding of the whole frames.
func TestNDPAnswer(t *testing.T) {
	h, group := ndpHandlerFor(t), solicitedNode(held6)
	answer := func(to MAC, destination netip.Addr, solicited bool) []byte {
		return ndpBytes(t, to, ourMAC, held6, destination, &ndp.NeighborAdvertisement{
			Solicited: solicited, Override: true, TargetAddress: held6, Options: []ndp.Option{lladdr(ndp.Target, ourMAC)}})
	}
	stated := MAC{0x02, 0, 0, 0, 0, 9} // differs from the source address of the frame
	for _, c := range []struct {
		name  string
		frame []byte
		want  []byte
	}{
		{"to the MAC of the option", nsTo(t, group, held6, lladdr(ndp.Source, stated)), answer(stated, asker6, true)},
		{"to the sender without option", nsTo(t, held6, held6), answer(askerMAC, asker6, true)},
		{"to all nodes", ndpBytes(t, groupMACOf(held6), askerMAC, netip.IPv6Unspecified(), group, solicitation(held6)), answer(allNodesMAC, allNodes, false)},
		{"to one again", nsTo(t, group, held6), answer(askerMAC, asker6, true)},
	} {
		reply, v, _ := h.handle(testTable(), c.frame)
		if !bytes.Equal(reply, c.want) {
			t.Errorf("%s: %s\n%x, want\n%x", c.name, v, reply, c.want)
		}
	}
}

func TestNDPAnnouncement(t *testing.T) {
	got, err := ndpAnnouncement(ourMAC, held6)
	if err != nil {
		t.Fatal(err)
	}
	want := ndpBytes(t, allNodesMAC, ourMAC, held6, allNodes, &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: held6, Options: []ndp.Option{lladdr(ndp.Target, ourMAC)}})
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}
