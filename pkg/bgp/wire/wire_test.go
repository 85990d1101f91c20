package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// unhex reads bytes that are written in hexadecimal, with spaces.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bothHops returns a next hop of each family.
func bothHops() [FamilyCount]netip.Addr {
	return [FamilyCount]netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")}
}

const marker = "ffffffffffffffffffffffffffffffff"

// TestBytes compares messages with bytes that were derived by hand from the RFCs.
func TestBytes(t *testing.T) {
	v4 := Encoding{LocalASN: 64512, External: true, FourByteASN: true,
		NextHop: bothHops()}
	extended := v4
	extended.NextHop[IPv4] = v4.NextHop[IPv6]
	old := v4
	old.LocalASN, old.FourByteASN = 4200000001, false
	internal := v4
	internal.External = false
	announce := func(e Encoding, r Route) []byte {
		f := FamilyOf(r.Prefix.Addr())
		attributes, err := e.Attributes(&r, f)
		if err != nil {
			t.Fatal(err)
		}
		u := e.Announce(nil, f, attributes)
		if !u.Add(r.Prefix) || u.Count() != 1 {
			t.Fatal("no room")
		}
		return u.End()
	}
	withdraw := func(e Encoding, p string) []byte {
		prefix := netip.MustParsePrefix(p)
		u := e.Withdraw(nil, FamilyOf(prefix.Addr()))
		u.Add(prefix)
		return u.End()
	}
	route := func(p string) Route { return Route{Prefix: netip.MustParsePrefix(p), LocalPref: 100} }
	rich := route("192.0.2.0/23")
	rich.MED, rich.HasMED, rich.Prepend = 5, true, 1
	rich.Communities, rich.LargeCommunities = []uint32{GracefulShutdown}, [][3]uint32{{1, 2, 3}}
	for _, test := range []struct {
		name, want string
		got        []byte
	}{
		{"KEEPALIVE", marker + "0013 04", AppendKeepalive(nil)},
		{"ROUTE-REFRESH", marker + "0017 05 0002 00 01", AppendRouteRefresh(nil, IPv6)},
		{"NOTIFICATION", marker + "0017 03 06 09 06 02", Notification{Code: 6, Subcode: 2}.Hard().Append(nil)},
		{"End-of-RIB IPv4", marker + "0017 02 0000 0000", AppendEndOfRIB(nil, IPv4)},
		{"End-of-RIB IPv6", marker + "001d 02 0000 0006 80 0f 03 0002 01", AppendEndOfRIB(nil, IPv6)},
		{"OPEN", marker + "0043 01 04 5ba0 005a 0a000007 26" +
			"02 06 01 04 0001 00 01  02 06 01 04 0002 00 01  02 02 02 00  02 08 40 06 c00f 0001 01 80" +
			"02 06 41 04 fa56ea01",
			Open{4200000001, 90 * time.Second, netip.MustParseAddr("10.0.0.7"), &Capabilities{
				Multiprotocol: true, Families: [FamilyCount]bool{true, true}, RouteRefresh: true, FourByteASN: true,
				GracefulRestart: &GracefulRestart{Restarting: true, Notification: true, Time: 15 * time.Second,
					Families: [FamilyCount]bool{true, false}, Forwarding: [FamilyCount]bool{true, false}},
			}}.Append(nil)},
		{"IPv4", marker + "0030 02 0000 0014 40 01 01 00  40 02 06 02 01 0000fc00  40 03 04 0a000007 20 c0000201",
			announce(v4, route("192.0.2.1/32"))},
		{"IPv4, all attributes", marker + "0050 02 0000 0035 40 01 01 00  40 02 0a 02 02 0000fc00 0000fc00" +
			"40 03 04 0a000007" +
			"80 04 04 00000005  c0 08 04 ffff0000  c0 20 0c 00000001 00000002 00000003  17 c00002",
			announce(v4, rich)},
		{"IPv4, iBGP", marker + "0031 02 0000 0015 40 01 01 00  40 02 00  40 03 04 0a000007  40 05 04 00000064  20 c0000201",
			announce(internal, route("192.0.2.1/32"))},
		{"IPv4, two-byte AS", marker + "0037 02 0000 001b 40 01 01 00  40 02 04 02 01 5ba0  40 03 04 0a000007" +
			"c0 11 06 02 01 fa56ea01  20 c0000201", announce(old, route("192.0.2.1/32"))},
		{"IPv6", marker + "004a 02 0000 0033 90 0e 0022 0002 01 10 20010db8000000000000000000000007 00" +
			"60 20010db80001000200030004  40 01 01 00  40 02 06 02 01 0000fc00",
			announce(v4, route("2001:db8:1:2:3:4::/96"))},
		{"IPv4 with an IPv6 next hop", marker + "0042 02 0000 002b 90 0e 001a 0001 01" +
			"10 20010db8000000000000000000000007 00" +
			"20 c0000201  40 01 01 00  40 02 06 02 01 0000fc00", announce(extended, route("192.0.2.1/32"))},
		{"withdrawal, IPv4", marker + "001c 02 0005 20 c0000201 0000", withdraw(v4, "192.0.2.1/32")},
		{"withdrawal, IPv4 with an IPv6 next hop", marker + "0023 02 0000 000c 90 0f 0008 0001 01 20 c0000201",
			withdraw(extended, "192.0.2.1/32")},
		{"withdrawal, IPv6", marker + "0020 02 0000 0009 90 0f 0005 0002 01 08 20", withdraw(v4, "2000::/8")},
	} {
		if want := unhex(t, test.want); !bytes.Equal(test.got, want) {
			t.Errorf("%s:\n% x, not\n% x", test.name, test.got, want)
		}
		options := &bgp.MarshallingOption{Use2ByteAS: strings.Contains(test.name, "two-byte")}
		if _, err := bgp.ParseBGPMessage(test.got, options); err != nil {
			t.Errorf("%s: the library refuses % x: %v", test.name, test.got, err)
		}
		if err := read(test.got); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestOpenReturns sends OPENs there and back.
func TestOpenReturns(t *testing.T) {
	id := netip.MustParseAddr("10.0.0.7")
	for _, o := range []Open{
		{ASN: 1, RouterID: id},
		{ASN: 65535, HoldTime: 65535 * time.Second, RouterID: id, Capabilities: &Capabilities{RouteRefresh: true}},
		{ASN: 65536, HoldTime: 3 * time.Second, RouterID: id, Capabilities: &Capabilities{
			Multiprotocol: true, Families: [FamilyCount]bool{false, true}, FourByteASN: true, ExtendedNextHop: true,
			GracefulRestart: &GracefulRestart{
				Time: 4095 * time.Second, Families: [FamilyCount]bool{true, true}, Forwarding: [FamilyCount]bool{false, true},
			},
		}},
	} {
		got, err := ParseOpen(o.Append(nil)[HeaderLen:])
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%+v became %+v: %v", o, got, err)
		}
	}
}

// TestFull fills messages to the last byte that a prefix leaves.
func TestFull(t *testing.T) {
	hop6 := netip.MustParseAddr("2001:db8::7")
	for _, hops := range [][FamilyCount]netip.Addr{{netip.MustParseAddr("10.0.0.7"), hop6}, {hop6, hop6}} {
		e := Encoding{LocalASN: 64512, External: true, FourByteASN: true, NextHop: hops}
		for f, text := range map[Family]string{IPv4: "192.0.2.1/32", IPv6: "2001:db8::1/128"} {
			p := netip.MustParsePrefix(text)
			attributes, err := e.Attributes(&Route{Prefix: p}, f)
			if err != nil {
				t.Fatal(err)
			}
			both := map[string]Update{"announce": e.Announce(nil, f, attributes), "withdraw": e.Withdraw(nil, f)}
			for name, u := range both {
				for u.Add(p) {
				}
				b, size := u.End(), 1+p.Bits()/8
				if len(b) > MaxLen || len(b)+size <= MaxLen {
					t.Errorf("%s %v: %d prefixes make %d bytes", name, f, u.Count(), len(b))
				}
				if err := read(b); err != nil {
					t.Errorf("%s %v: %v", name, f, err)
				}
				m, err := bgp.ParseBGPMessage(b)
				if err != nil {
					t.Errorf("%s %v: %v", name, f, err)
				} else if again, err := m.Serialize(); err != nil || !bytes.Equal(again, b) {
					t.Errorf("%s %v: the library writes %d bytes, not %d: %v", name, f, len(again), len(b), err)
				}
			}
		}
	}
}

// TestLargestAttributes writes attributes that leave room for one prefix, and refuses larger ones.
func TestLargestAttributes(t *testing.T) {
	e := Encoding{LocalASN: 64512, NextHop: bothHops()}
	r := Route{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Communities: make([]uint32, 990)}
	attributes, err := e.Attributes(&r, IPv6)
	if err != nil {
		t.Fatal(err)
	}
	u := e.Announce(nil, IPv6, attributes)
	if !u.Add(r.Prefix) {
		t.Error("no room for a prefix")
	}
	if err := read(u.End()); err != nil {
		t.Error(err)
	}
	r.Communities = make([]uint32, 1010)
	if _, err := e.Attributes(&r, IPv6); err == nil {
		t.Error("4,040 bytes of communities were taken")
	}
}

// TestFramer cuts a stream in every place.
func TestFramer(t *testing.T) {
	stream := AppendKeepalive(AppendRouteRefresh(AppendKeepalive(nil), IPv4))
	for first := range len(stream) + 1 {
		var f Framer
		var types []Type
		for _, piece := range [][]byte{stream[:first], stream[first:]} {
			f.Write(piece)
			for {
				m, ok, err := f.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				types = append(types, m.Type)
			}
		}
		if want := []Type{TypeKeepalive, TypeRouteRefresh, TypeKeepalive}; !slices.Equal(types, want) || len(f.Unread()) > 0 {
			t.Errorf("cut after %d bytes: %v, %d bytes left", first, types, len(f.Unread()))
		}
	}
	var f Framer
	f.Write(stream[:25])
	f.Next()
	if !bytes.Equal(f.Unread(), stream[19:25]) {
		t.Errorf("unread: % x", f.Unread())
	}
}

func TestNotificationWords(t *testing.T) {
	said := func(text string) []byte { return append([]byte{byte(len(text))}, text...) }
	for _, test := range []struct {
		n    Notification
		want string
	}{
		{Notification{Code: 6, Subcode: 2}, "Cease: Administrative Shutdown (6/2)"},
		{Notification{Code: 6, Subcode: 2, Data: said("until\n 5")},
			`Cease: Administrative Shutdown (6/2) with the text "until 5"`},
		{Notification{Code: 6, Subcode: 4, Data: said("späße")},
			`Cease: Administrative Reset (6/4) with the text "späße"`},
		{Notification{Code: 6, Subcode: 2, Data: []byte{200, 'a'}}, "Cease: Administrative Shutdown (6/2)"},
		{Notification{Code: 6, Subcode: 2, Data: []byte{1, 0xff}}, "Cease: Administrative Shutdown (6/2)"},
		{Notification{Code: 6, Subcode: 3}.Hard(), "Cease: Hard Reset (6/9) for Cease: Peer De-configured (6/3)"},
		{Notification{Code: 6, Subcode: 9}, "Cease: Hard Reset (6/9)"},
		{Notification{Code: 6, Subcode: 3}.Hard().Hard().Hard(), "Cease: Hard Reset (6/9) for Cease: Hard Reset (6/9)"},
		{Notification{Code: 2, Subcode: 2}, "OPEN Message Error: Bad Peer AS (2/2)"},
		{Notification{Code: 4}, "Hold Timer Expired (4/0)"},
		{Notification{Code: 77, Subcode: 5}, "unknown error (77/5)"},
		{Notification{Code: 3, Subcode: 99}, "UPDATE Message Error (3/99)"},
	} {
		if got := test.n.String(); got != test.want {
			t.Errorf("%d/%d: %s, not %s", test.n.Code, test.n.Subcode, got, test.want)
		}
		back := ParseNotification(test.n.Append(nil)[HeaderLen:])
		if back.String() != test.want {
			t.Errorf("%s came back as %s", test.want, back)
		}
	}
	if long := (Notification{Code: 6, Subcode: 2, Data: make([]byte, 9000)}).Append(nil); len(long) != MaxLen {
		t.Errorf("a notification has %d bytes", len(long))
	}
}

func TestTypes(t *testing.T) {
	seen := map[string]bool{}
	for i := range TypeCount {
		seen[Type(i).String()] = true
	}
	if len(seen) != TypeCount || seen[""] || Type(99).String() != "unknown" {
		t.Errorf("%v", seen)
	}
	if IPv4.String() != "IPv4" || IPv6.String() != "IPv6" {
		t.Error("families")
	}
	for _, test := range []struct {
		body []byte
		f    Family
		ok   bool
	}{
		{[]byte{0, 1, 0, 1}, IPv4, true},
		{[]byte{0, 2, 0, 1}, IPv6, true},
		{[]byte{0, 2, 1, 1}, IPv6, false}, // RFC 7313: begin of refresh
		{[]byte{0, 2, 0, 2}, 0, false},
		{[]byte{0, 25, 0, 1}, 0, false},
	} {
		if f, ok := ParseRouteRefresh(test.body); f != test.f || ok != test.ok {
			t.Errorf("% x: %v %v", test.body, f, ok)
		}
	}
}

// TestAllocations holds what a prefix and a received message cost.
func TestAllocations(t *testing.T) {
	e := Encoding{LocalASN: 64512, External: true, NextHop: [FamilyCount]netip.Addr{netip.MustParseAddr("10.0.0.7")}}
	attributes, err := e.Attributes(&Route{}, IPv4)
	if err != nil {
		t.Fatal(err)
	}
	p := netip.MustParsePrefix("192.0.2.1/32")
	buf := make([]byte, 0, MaxLen)
	if n := testing.AllocsPerRun(100, func() {
		u := e.Announce(buf[:0], IPv4, attributes)
		for u.Add(p) {
		}
		u.End()
	}); n > 0 {
		t.Errorf("a full UPDATE costs %v allocations", n)
	}
	u := e.Announce(nil, IPv4, attributes)
	for u.Add(p) {
	}
	update := u.End()
	if n := testing.AllocsPerRun(100, func() {
		if err := CheckUpdate(update[HeaderLen:]); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a received UPDATE costs %v allocations", n)
	}
}
