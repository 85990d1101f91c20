package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

// prefixes parses subnets.
func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// plain returns a link without subnets.
func plain(name string, mac MAC) Link { return Link{Name: name, MAC: mac} }

// TestMetaGolden pins the encoding, a contract between versions.
func TestMetaGolden(t *testing.T) {
	eth0 := Link{
		Name: "eth0", MAC: MAC{2, 0, 0, 0, 0, 1}, Beacon: netip.MustParseAddr("192.0.2.7"),
		Subnets: prefixes("fd00:1:2:3::5/64", "192.0.2.7/25", "10.1.2.3/8", "192.0.2.9/25", "::ffff:172.16.5.5/108"),
	}
	seen := Link{
		Name: "eth0", MAC: eth0.MAC, Beacon: eth0.Beacon,
		Subnets: prefixes("10.0.0.0/8", "172.16.0.0/12", "192.0.2.0/25", "fd00:1:2:3::/64"),
	}
	const eth0Hex = "010023" + "0465746830" + "020000000001" + "04c0000207" + "080a" + "0cac10" + "19c0000200" + "80fd00000100020003"
	bond := Link{Name: "b", MAC: MAC{2, 0, 0, 0, 0, 9}, Beacon: netip.MustParseAddr("fe80::1%7"), Subnets: prefixes("0.0.0.0/0", "::/0")}
	bondSeen := Link{Name: "b", MAC: bond.MAC, Beacon: netip.MustParseAddr("fe80::1"), Subnets: bond.Subnets}
	const bondHex = "01001b" + "0162" + "020000000009" + "10fe800000000000000000000000000001" + "0040"
	for _, test := range []struct {
		state       State
		links, want []Link
		hex         string
	}{
		{Joining, nil, nil, "0201"},
		{Ready, []Link{eth0}, []Link{seen}, "0202" + eth0Hex},
		{Leaving, []Link{eth0, bond}, []Link{bondSeen, seen}, "0203" + bondHex + eth0Hex},
	} {
		meta, out, err := encodeMeta(test.state, test.links)
		if got := hex.EncodeToString(meta); err != nil || got != test.hex || out != (leftOut{}) {
			t.Errorf("%s %v is %s, %v, %v; want %s", test.state, test.links, got, out, err, test.hex)
		}
		state, links, err := parseMeta(meta)
		if state != test.state || !slices.EqualFunc(links, test.want, Link.Equal) || err != nil {
			t.Errorf("%s %v is read as %s %v, %v", test.state, test.links, state, links, err)
		}
	}
	if eth0.Subnets[0] != netip.MustParsePrefix("fd00:1:2:3::5/64") {
		t.Error("the links that were given have changed")
	}
}

// TestMetaFits makes links and subnets more and more, and holds what is left out against the order in which it should be.
func TestMetaFits(t *testing.T) {
	full, cut := 0, 0
	for n := range 30 {
		for subnets := range 8 {
			var links []Link
			for i := range n {
				l := plain(fmt.Sprintf("link-%02d", i), MAC{2, byte(i)})
				for j := range subnets {
					l.Subnets = append(l.Subnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j)}), 24))
				}
				links = append(links, l)
			}
			slices.Reverse(links)
			meta, out, err := encodeMeta(Ready, links)
			if err != nil || len(meta) > memberlist.MetaMaxSize {
				t.Fatalf("%d links with %d subnets take %d bytes, %v; memberlist carries %d", n, subnets, len(meta), err, memberlist.MetaMaxSize)
			}
			_, got, err := parseMeta(meta)
			if err != nil {
				t.Fatal(err)
			}
			slices.Reverse(links)
			kept, missing := 0, false
			for i, l := range got {
				if l.Name != links[i].Name || missing && len(l.Subnets) > 0 || !slices.Equal(l.Subnets, links[i].Subnets[:len(l.Subnets)]) {
					t.Errorf("%d links with %d subnets: link %d is %v", n, subnets, i, l)
				}
				kept += len(l.Subnets)
				missing = missing || len(l.Subnets) < subnets
			}
			if out != (leftOut{n*subnets - kept, n - len(got)}) || out.links > 0 && kept > 0 {
				t.Errorf("%d links with %d subnets: %v are said to be left out, %d links and %d subnets are there", n, subnets, out, len(got), kept)
			}
			switch {
			case out == leftOut{}:
				full++
			case len(meta) < metaLimit-(sectionHeader+links[0].size()):
				t.Errorf("%d links with %d subnets: left out %v though only %d bytes are taken", n, subnets, out, len(meta))
			default:
				cut++
			}
		}
	}
	if full == 0 || cut == 0 {
		t.Errorf("%d fitted and %d did not, want some of both", full, cut)
	}
}

func TestEncodeMetaRefuses(t *testing.T) {
	good := plain("eth0", MAC{2})
	with := func(change func(*Link)) []Link { l := good; change(&l); return []Link{l} }
	for _, test := range []struct {
		state State
		links []Link
		want  string
	}{
		{Unknown, []Link{good}, "unknown cannot be announced"},
		{State(9), []Link{good}, "state 9 cannot be announced"},
		{Ready, []Link{good, good}, "two links are named eth0"},
		{Ready, with(func(l *Link) { l.MAC = MAC{} }), "MAC address is all zero"},
		{Ready, with(func(l *Link) { l.MAC = MAC{1, 0, 0x5e, 0, 0, 1} }), "MAC address 01:00:5e:00:00:01 is a group's"},
		{Ready, with(func(l *Link) { l.Name = "" }), `"" is no name of a link`},
		{Ready, with(func(l *Link) { l.Name = "0123456789abcdef" }), `"0123456789abcdef" is no name of a link`},
		{Ready, with(func(l *Link) { l.Subnets = make([]netip.Prefix, 1) }), "link eth0 has an invalid subnet"},
		{Ready, with(func(l *Link) { l.Beacon = netip.IPv4Unspecified() }), "beacon 0.0.0.0 of link eth0 is no host's address"},
	} {
		if _, _, err := encodeMeta(test.state, test.links); err == nil || err.Error() != test.want {
			t.Errorf("%s %v: %v, want %s", test.state, test.links, err, test.want)
		}
	}
}

func TestParseMetaRefuses(t *testing.T) {
	const mac = "020000000001"
	for _, test := range []struct{ name, hex, want string }{
		{"empty", "", "no metadata"},
		{"version 0", "0002", "metadata of unknown version 0"},
		{"the version before", "0102" + mac, "metadata of unknown version 1"},
		{"a later version", "03ffffff", "metadata of unknown version 3"},
		{"no state", "02", "metadata of 1 bytes"},
		{"too long", "0202" + strings.Repeat("000000", 171), "metadata of 515 bytes"},
		{"state unknown", "0200", "metadata with unknown"},
		{"a later state", "0204", "metadata with state 4"},
		{"half a header", "02020100", "metadata with half a section header"},
		{"half a section", "02020100096162", "metadata with a section of 9 bytes, of which 2 are there"},
		{"half an unknown section", "0202ff0001", "metadata with a section of 1 bytes, of which 0 are there"},
		{"empty link", "0202010000", "metadata: link in 0 bytes"},
		{"half a name", "02020100020261", "metadata: link in 2 bytes"},
		{"half a MAC address", "0202010005016102" + "0000", "metadata: link in 5 bytes"},
		{"no beacon", "02020100080161" + mac, "metadata: link in 8 bytes"},
		{"half a beacon", "020201000b0161" + mac + "04c000", "metadata: link in 11 bytes"},
		{"odd beacon", "020201000b0161" + mac + "02c000", `metadata: link "a" with a malformed beacon`},
		{"group beacon", "020201000d0161" + mac + "04e0000001", "metadata: beacon 224.0.0.1 of link a is no host's address"},
		{"no name", "020201000800" + mac + "00", `metadata: "" is no name of a link`},
		{"long name", "020201001810" + strings.Repeat("61", 16) + mac + "00", `metadata: "aaaaaaaaaaaaaaaa" is no name of a link`},
		{"zero address", "02020100090161000000000000" + "00", "metadata: MAC address is all zero"},
		{"half a subnet", "020201000b0161" + mac + "00" + "180a", "metadata: link a: malformed subnet"},
		{"subnet of 33 bits", "020201000f0161" + mac + "00" + "210a00000000", "metadata: link a: malformed subnet"},
		{"subnet not masked", "020201000b0161" + mac + "00" + "010f", "metadata: link a: malformed subnet"},
		{"one subnet twice", "020201000d0161" + mac + "00" + "080a080a", "metadata: link a: subnets out of order"},
		{"one link twice", "0202" + strings.Repeat("0100090161"+mac+"00", 2), "metadata with links out of order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			meta, err := hex.DecodeString(test.hex)
			if err != nil {
				t.Fatal(err)
			}
			state, links, err := parseMeta(meta)
			if state != Unknown || links != nil || err == nil || err.Error() != test.want {
				t.Errorf("%s %v, %v; want %s", state, links, err, test.want)
			}
			if isVersion := len(meta) > 0 && meta[0] != metaVersion; errors.Is(err, errMetaVersion) != isVersion {
				t.Errorf("%v is errMetaVersion: %v", err, !isVersion)
			}
		})
	}
}

func FuzzParseMeta(f *testing.F) {
	link := []byte{1, 0, 15, 1, 'a', 2, 0, 0, 0, 0, 1, 4, 192, 0, 2, 1, 8, 10} // a beacon and a subnet
	f.Add([]byte{})                                                            // nothing
	f.Add([]byte{2, 1})                                                        // joining
	f.Add(append([]byte{2, 2}, link...))                                       // ready, one link
	f.Add(append([]byte{2, 2, 9, 0, 2, 1, 1}, link...))                        // an unknown section first
	f.Add([]byte{1, 2, 2, 0, 0, 0, 0, 1})                                      // the version before
	f.Add([]byte{2, 2, 1, 0, 9, 1})                                            // cut off
	f.Add(bytes.Repeat([]byte{2}, metaLimit+1))                                // too long
	f.Fuzz(func(t *testing.T, meta []byte) {
		state, links, err := parseMeta(meta)
		if err != nil {
			if state != Unknown || links != nil {
				t.Fatalf("refused, and read as %s %v", state, links)
			}
			return
		}
		known := slices.Clone(meta[:metaHeader])
		for b := meta[metaHeader:]; len(b) > 0; {
			n := sectionHeader + int(b[1])<<8 + int(b[2])
			if b[0] == sectionLink {
				known = append(known, b[:n]...)
			}
			b = b[n:]
		}
		again, out, err := encodeMeta(state, links)
		if err != nil || out != (leftOut{}) || !bytes.Equal(again, known) {
			t.Fatalf("%x is read as %s %v, which is written as %x, %v, %v", known, state, links, again, out, err)
		}
		if _, second, _ := parseMeta(again); !reflect.DeepEqual(second, links) {
			t.Fatalf("%v is read again as %v", links, second)
		}
	})
}

// TestStates has a name for every state.
func TestStates(t *testing.T) {
	want := []string{"unknown", "joining", "ready", "leaving"}
	for i, state := range states {
		if int(state) != i || state.String() != want[i] {
			t.Errorf("state %d is %q, want %q", i, state, want[i])
		}
	}
	wantEvents := []string{"joined", "updated", "left", "conflict"}
	for i, e := range events {
		if int(e) != i || e.String() != wantEvents[i] {
			t.Errorf("event %d is %q, want %q", i, e, wantEvents[i])
		}
	}
}

// TestKeyGolden pins the derived key: a version that derives another cannot talk to this one.
func TestKeyGolden(t *testing.T) {
	key, err := deriveKey([]byte("a secret of 24 bytes ..."))
	if got := hex.EncodeToString(key); err != nil || got != "3052db6e9d57c9057df301edca462375cc0404e3447b2a1f394eddfe7d102533" {
		t.Errorf("derived key %s, %v", got, err)
	}
}
