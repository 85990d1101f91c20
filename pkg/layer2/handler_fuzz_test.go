package layer2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
)

// FuzzARP checks every frame against the library's decoder: an answered frame is a request for an own address, and the
// answer gives the address to the asking station.
func FuzzARP(f *testing.F) {
	request := arpBytes(f, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
	// Answered.
	f.Add(request)
	// A probe.
	f.Add(arpBytes(f, arp.OperationRequest, broadcast, askerMAC, netip.IPv4Unspecified(), MAC{}, held4))
	// A claim.
	f.Add(arpBytes(f, arp.OperationRequest, broadcast, askerMAC, held4, MAC{}, held4))
	// A claim by reply.
	f.Add(arpBytes(f, arp.OperationReply, ourMAC, askerMAC, held4, ourMAC, asker4))
	// Tagged.
	f.Add(patched(request, ethType, 0x81, 0, 0, 7))
	// Absurd lengths.
	f.Add(patched(request, ethType+6, 0xff, 0xff))
	// Truncated.
	f.Add(request[:arpEnd-1])
	// Answers a probe.
	f.Add(arpBytes(f, arp.OperationReply, ourMAC, askerMAC, free4, ourMAC, asker4))
	// Contests a probe.
	f.Add(arpBytes(f, arp.OperationRequest, broadcast, askerMAC, netip.IPv4Unspecified(), MAC{}, free4))
	// A claim of a watched address.
	f.Add(arpBytes(f, arp.OperationRequest, broadcast, askerMAC, watched4, MAC{}, watched4))
	f.Fuzz(func(t *testing.T, b []byte) {
		table := fuzzTable()
		before := bytes.Clone(b)
		reply, v, claim := arpHandlerFor(t).handle(table, b)
		if !bytes.Equal(b, before) {
			t.Fatal("the frame was changed")
		}
		if (reply != nil) != (v == Answered) {
			t.Fatalf("verdict %s with a reply of %d bytes", v, len(reply))
		}
		checkClaim(t, table, claim)
		if v != Answered {
			return
		}
		question, asked := decodeARP(t, b)
		answer, answered := decodeARP(t, reply)
		switch {
		case asked.Operation != arp.OperationRequest || !table.holds(asked.TargetIP):
			t.Errorf("answered %+v", asked)
		case !bytes.Equal(question.Destination, broadcast[:]) && !bytes.Equal(question.Destination, ourMAC[:]):
			t.Errorf("answered a frame to %s", question.Destination)
		case answered.Operation != arp.OperationReply || answered.SenderIP != asked.TargetIP || answered.TargetIP != asked.SenderIP,
			!bytes.Equal(answered.SenderHardwareAddr, ourMAC[:]) || !bytes.Equal(answered.TargetHardwareAddr, asked.SenderHardwareAddr),
			!bytes.Equal(answer.Destination, asked.SenderHardwareAddr) || !bytes.Equal(answer.Source, ourMAC[:]):
			t.Errorf("asked %+v, answered %+v", asked, answered)
		}
	})
}

// fuzzTable is testTable during the probes of two more addresses.
func fuzzTable() *table {
	t := testTable()
	t.asked = &inquiries{}
	t.asked.add(newInquiry(free4, ProbeOptions{}, 0))
	t.asked.add(newInquiry(free6, ProbeOptions{}, 0))
	return t
}

// checkClaim requires that every claim comes from another station and concerns an own, watched or probed address.
func checkClaim(t *testing.T, table *table, c Claim) {
	t.Helper()
	if !c.Addr.IsValid() {
		return
	}
	mode, known := table.known.Get(c.Addr)
	if !known && c.Addr != free4 && c.Addr != free6 || mode != c.Mode || c.MAC == ourMAC || c.MAC == otherMAC || c.Interface != "eth0" {
		t.Fatalf("claim %+v", c)
	}
}

func decodeARP(t *testing.T, b []byte) (*ethernet.Frame, *arp.Packet) {
	t.Helper()
	var (
		f ethernet.Frame
		p arp.Packet
	)
	if err := f.UnmarshalBinary(b); err != nil {
		t.Fatalf("decode %x: %v", b, err)
	}
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		t.Fatalf("decode %x: %v", b, err)
	}
	return &f, &p
}

// FuzzNDP does the same for NDP. The fuzzer cannot guess checksums, so the test also tries each message with a correct
// checksum.
func FuzzNDP(f *testing.F) {
	group := solicitedNode(held6)
	// Multicast.
	f.Add(nsTo(f, group, held6, lladdr(ndp.Source, askerMAC)))
	// A neighbour that confirms its entry.
	f.Add(nsTo(f, held6, held6))
	// Duplicate address detection.
	f.Add(ndpBytes(f, groupMACOf(held6), askerMAC, netip.IPv6Unspecified(), group, solicitation(held6)))
	// A claim.
	f.Add(naFrom(f, askerMAC, held6, lladdr(ndp.Target, askerMAC)))
	// An option without end.
	f.Add(patched(nsTo(f, group, held6, lladdr(ndp.Source, askerMAC)), ndpOptions+1, 0))
	// Too long.
	f.Add(patched(nsTo(f, group, held6, lladdr(ndp.Source, askerMAC)), ip6PayloadLength, 0xff, 0xff))
	// An odd length.
	f.Add(ip6Bytes(ourMAC, askerMAC, asker6, held6, append([]byte{typeSolicitation, 0, 0, 0}, bytes.Repeat([]byte{1}, 9)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkNDP(t, b)
		if end := len(b); end >= ndpOptions {
			b = patched(b, ip6PayloadLength, byte((end-icmp6Start)>>8), byte(end-icmp6Start))
			checkNDP(t, corrected(b, ip6HopLimit, ndp.HopLimit))
		}
	})
}

func checkNDP(t *testing.T, b []byte) {
	table := fuzzTable()
	before := bytes.Clone(b)
	reply, v, claim := ndpHandlerFor(t).handle(table, b)
	if !bytes.Equal(b, before) {
		t.Fatal("the frame was changed")
	}
	if (reply != nil) != (v == Answered) {
		t.Fatalf("verdict %s with a reply of %d bytes", v, len(reply))
	}
	checkClaim(t, table, claim)
	if v != Answered {
		return
	}
	end := icmp6Start + int(binary.BigEndian.Uint16(b[ip6PayloadLength:]))
	// The library rejects known options with unusual content; the test skips such messages.
	asked := netip.AddrFrom16([16]byte(b[ndpTarget:]))
	if m, err := ndp.ParseMessage(b[icmp6Start:end]); err == nil {
		if ns, ok := m.(*ndp.NeighborSolicitation); !ok || ns.TargetAddress != asked {
			t.Fatalf("answered %+v", m)
		}
	}
	if !table.holds(asked) || b[ip6HopLimit] != 255 {
		t.Errorf("answered %x", b)
	}
	m, err := ndp.ParseMessage(reply[icmp6Start:])
	if err != nil {
		t.Fatalf("decode %x: %v", reply, err)
	}
	source := netip.AddrFrom16([16]byte(b[ip6Source:]))
	na, ok := m.(*ndp.NeighborAdvertisement)
	if !ok || na.TargetAddress != asked || !na.Override || na.Router || na.Solicited == source.IsUnspecified() || len(na.Options) != 1 {
		t.Errorf("answered %+v", m)
	}
	if checksumICMPv6(reply) != 0 || reply[ip6HopLimit] != 255 {
		t.Errorf("wrong checksum or hop limit in %x", reply)
	}
}
