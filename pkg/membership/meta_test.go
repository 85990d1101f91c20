package membership

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestMetaGolden pins the encoding, which different versions must agree on.
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
	const moreHex = "020004" + "65920080" + "030000" + "04000c" + "02000000000a" + "020000000003"
	at := time.Unix(0x65920080, 0)
	macs := []MAC{{2, 0, 0, 0, 0, 10}, {2, 0, 0, 0, 0, 3}}
	for _, test := range []struct {
		report, want Report
		hex          string
	}{
		{Report{State: Joining}, Report{State: Joining}, "0201"},
		{Report{State: Ready, Links: []Link{eth0}}, Report{State: Ready, Links: []Link{seen}}, "0202" + eth0Hex},
		{Report{State: Leaving, Links: []Link{eth0, bond}}, Report{State: Leaving, Links: []Link{bondSeen, seen}}, "0203" + bondHex + eth0Hex},
		{
			Report{State: Ready, Since: at.Add(999 * time.Millisecond), Configured: true, Links: []Link{bond},
				MACs: []MAC{macs[0], bond.MAC, {}, macs[1], macs[0], {1}}},
			Report{State: Ready, Since: at, Configured: true, Links: []Link{bondSeen}, MACs: macs}, "0202" + moreHex + bondHex,
		},
	} {
		fitted, out := fit(test.report)
		meta := encodeMeta(fitted)
		if got := hex.EncodeToString(meta); got != test.hex || out != (leftOut{}) {
			t.Errorf("%v is %s, %v; want %s", test.report, got, out, test.hex)
		}
		if got, err := parseMeta(meta); !got.Equal(test.want) || err != nil {
			t.Errorf("%v is read as %v, %v", test.report, got, err)
		}
	}
	if eth0.Subnets[0] != netip.MustParsePrefix("fd00:1:2:3::5/64") {
		t.Error("the links that were given have changed")
	}
}

// manyLinks returns n links with the given number of subnets each. The most important link has the last name.
func manyLinks(n, subnets int) (links []Link) {
	for i := range n {
		l := plain(fmt.Sprintf("link-%02d", n-1-i), MAC{2, byte(i)})
		for j := range subnets {
			l.Subnets = append(l.Subnets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j)}), 24))
		}
		links = append(links, l)
	}
	return links
}

// TestFitOrder increases the number of links, subnets and MAC addresses, and checks the order in which parts are left
// out.
func TestFitOrder(t *testing.T) {
	full, cut := 0, 0
	for n := range 40 {
		for subnets := range 8 {
			for _, count := range []int{0, 3, 8, 30} {
				r := Report{State: Ready, Since: time.Unix(1, 0), Configured: true, Links: manyLinks(n, subnets)}
				for i := range count {
					r.MACs = append(r.MACs, MAC{6, byte(i)})
				}
				what := fmt.Sprintf("%d links with %d subnets and %d MAC addresses", n, subnets, count)
				fitted, out := fit(r)
				meta := encodeMeta(fitted)
				if len(meta) > memberlist.MetaMaxSize {
					t.Fatalf("%s take %d bytes; memberlist carries %d", what, len(meta), memberlist.MetaMaxSize)
				}
				if fitted.State != Ready || !fitted.Since.Equal(r.Since) || !fitted.Configured {
					t.Fatalf("%s: the state is lost: %v", what, fitted)
				}
				checkOrder(t, what, r, fitted, out)
				switch {
				case out == leftOut{}:
					full++
				case len(meta) < metaLimit-(sectionHeader+manyLinks(1, 0)[0].size()):
					t.Errorf("%s: left out %v though only %d bytes are taken", what, out, len(meta))
				default:
					cut++
				}
			}
		}
	}
	if full == 0 || cut == 0 {
		t.Errorf("%d fitted and %d did not, want some of both", full, cut)
	}
}

// checkOrder checks that fitted contains the most important parts of r, and that out counts the other parts.
func checkOrder(t *testing.T, what string, r, fitted Report, out leftOut) {
	t.Helper()
	if !slices.Equal(fitted.MACs, r.MACs[:len(fitted.MACs)]) {
		t.Errorf("%s: MAC addresses are %v", what, fitted.MACs)
	}
	if (out.counts.subnets > 0 || out.counts.links > 0) && len(fitted.MACs) != min(len(r.MACs), minMACs) {
		t.Errorf("%s: %v is left out, and %d MAC addresses stay", what, out, len(fitted.MACs))
	}
	kept, missing := 0, false
	for i, l := range r.Links {
		j := slices.IndexFunc(fitted.Links, func(o Link) bool { return o.Name == l.Name })
		if j < 0 {
			missing = true
			continue
		}
		seen := fitted.Links[j]
		if missing || seen.MAC != l.MAC || !slices.Equal(seen.Subnets, l.Subnets[:len(seen.Subnets)]) {
			t.Errorf("%s: link %d is %v", what, i, seen)
		}
		kept += len(seen.Subnets)
		missing = len(seen.Subnets) < len(l.Subnets)
	}
	want := leftOutCounts{len(r.MACs) - len(fitted.MACs), countSubnets(r.Links) - kept, len(r.Links) - len(fitted.Links)}
	if out.counts != want {
		t.Errorf("%s: %v are said to be left out, want %v", what, out, want)
	}
}

// randomReport returns a report with all kinds of parts, valid or invalid.
func randomReport(r *rand.Rand) Report {
	mac := func() MAC { return MAC{byte(r.IntN(8)), 0, 0, 0, 0, byte(r.IntN(20))} }
	report := Report{State: State(r.IntN(len(states)-1) + 1), Configured: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		report.Since = time.Unix(r.Int64N(1<<33)-1<<30, r.Int64N(1e9))
	}
	for range r.IntN(1 << r.IntN(6)) {
		l := plain(strings.Repeat("x", r.IntN(14))+fmt.Sprint(r.IntN(30)), mac())
		for range r.IntN(4) {
			a := make([]byte, 4<<(2*r.IntN(2)))
			for i := range a {
				a[i] = byte(r.Uint32())
			}
			addr, _ := netip.AddrFromSlice(a)
			l.Subnets = append(l.Subnets, netip.PrefixFrom(addr, r.IntN(8*len(a)+1)))
			if r.IntN(3) == 0 {
				l.Beacon = addr
			}
		}
		report.Links = append(report.Links, l)
	}
	for range r.IntN(1 << r.IntN(7)) {
		report.MACs = append(report.MACs, mac())
	}
	return report
}

// TestFitIsWhatOthersSee checks that a node decides from the same report as the other nodes: Fit, and Members of the
// node itself, must agree with the metadata that the other nodes receive.
func TestFitIsWhatOthersSee(t *testing.T) {
	m, _ := lone(t)
	for seed := range uint64(5000) {
		r := randomReport(rand.New(rand.NewPCG(seed, 0)))
		fitted := Fit(r)
		if err := m.SetState(r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen, err := parseMeta(delegate{m}.NodeMeta(metaLimit))
		if self := m.Members()[0].report(); err != nil || !reflect.DeepEqual(seen, fitted) || !reflect.DeepEqual(self, fitted) {
			t.Fatalf("seed %d: Fit returns %v, the node sees %v and the others %v, %v", seed, fitted, self, seen, err)
		}
		if again := Fit(fitted); !again.Equal(fitted) {
			t.Fatalf("seed %d: Fit returns %v, and then %v", seed, fitted, again)
		}
		if fitted.State != r.State || fitted.Configured != r.Configured {
			t.Fatalf("seed %d: the state is lost: %v", seed, fitted)
		}
	}
	if got := Fit(Report{State: State(9), Links: manyLinks(1, 1)}); !reflect.DeepEqual(got, Report{}) {
		t.Errorf("of a report without a state the others see %v", got)
	}
}

// TestFitKeepsTheMACsOfLinks leaves out a link with a MAC address that is also in MACs, as in the reports of layer2.
func TestFitKeepsTheMACsOfLinks(t *testing.T) {
	r := Report{State: Ready, Links: manyLinks(40, 1)}
	for _, l := range r.Links {
		r.MACs = append(r.MACs, l.MAC)
	}
	fitted := Fit(r)
	n := len(fitted.Links)
	if n == len(r.Links) || !slices.Equal(fitted.MACs, r.MACs[n:n+minMACs]) {
		t.Errorf("of 40 links there are %d, and the MAC addresses %v", n, fitted.MACs)
	}
}

// TestUnusableLinksAreLeftOut checks that the valid links stay when invalid links are left out.
func TestUnusableLinksAreLeftOut(t *testing.T) {
	good := plain("eth0", MAC{2})
	with := func(change func(*Link)) []Link {
		l := plain("eth1", MAC{2, 1})
		change(&l)
		return []Link{l, good}
	}
	for _, test := range []struct {
		links []Link
		want  string
	}{
		{[]Link{good, plain("eth0", MAC{2, 1})}, `link "eth0": two links are named eth0`},
		{with(func(l *Link) { l.MAC = MAC{} }), `link "eth1": MAC address is all zero`},
		{with(func(l *Link) { l.MAC = MAC{1, 0, 0x5e, 0, 0, 1} }), `link "eth1": MAC address 01:00:5e:00:00:01 is a group address`},
		{with(func(l *Link) { l.Name = "" }), `link "": "" is not the name of a link`},
		{with(func(l *Link) { l.Name = "0123456789abcdef" }), `link "0123456789abcdef": "0123456789abcdef" is not the name of a link`},
		{with(func(l *Link) { l.Subnets = make([]netip.Prefix, 1) }), `link "eth1": a subnet is invalid`},
		{with(func(l *Link) { l.Beacon = netip.IPv4Unspecified() }), `link "eth1": beacon 0.0.0.0 of link eth1 is not the address of a host`},
	} {
		fitted, out := fit(Report{State: Ready, Links: test.links})
		if want := []Link{good}; !slices.EqualFunc(fitted.Links, want, Link.Equal) || out != (leftOut{problems: test.want}) {
			t.Errorf("%v: the others see %v, problems %q, want %q", test.links, fitted.Links, out.problems, test.want)
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
		{"group beacon", "020201000d0161" + mac + "04e0000001", "metadata: beacon 224.0.0.1 of link a is not the address of a host"},
		{"no name", "020201000800" + mac + "00", `metadata: "" is not the name of a link`},
		{"long name", "020201001810" + strings.Repeat("61", 16) + mac + "00", `metadata: "aaaaaaaaaaaaaaaa" is not the name of a link`},
		{"zero address", "02020100090161000000000000" + "00", "metadata: MAC address is all zero"},
		{"half a time", "0202020003000001", "metadata: malformed time"},
		{"no time", "020202000400000000", "metadata: malformed time"},
		{"two times", "0202" + strings.Repeat("02000400000001", 2), "metadata: malformed time"},
		{"a flag with a value", "020203000100", "metadata: malformed flag"},
		{"one flag twice", "0202030000030000", "metadata: malformed flag"},
		{"no MAC addresses", "0202040000", "metadata: MAC addresses in 0 bytes"},
		{"half a MAC address more", "0202040009" + mac + "020000", "metadata: MAC addresses in 9 bytes"},
		{"one MAC address twice", "020204000c" + mac + mac, "metadata: MAC address 02:00:00:00:00:01 twice"},
		{"MAC addresses twice", "0202" + strings.Repeat("040006"+mac, 2), "metadata: MAC addresses in two sections"},
		{"group address", "0202040006030000000001", "metadata: MAC address 03:00:00:00:00:01 is a group address"},
		{"half a subnet", "020201000b0161" + mac + "00" + "180a", "metadata: link a: malformed subnet"},
		{"subnet of 33 bits", "020201000f0161" + mac + "00" + "210a00000000", "metadata: link a: malformed subnet"},
		{"subnet not masked", "020201000b0161" + mac + "00" + "010f", "metadata: link a: malformed subnet"},
		{"one subnet twice", "020201000d0161" + mac + "00" + "080a080a", "metadata: link a: subnets out of order"},
		{"one link twice", "0202" + strings.Repeat("0100090161"+mac+"00", 2), "metadata: links out of order"},
	} {
		t.Run(test.name, func(t *testing.T) {
			meta, err := hex.DecodeString(test.hex)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseMeta(meta)
			if !reflect.DeepEqual(got, Report{}) || err == nil || err.Error() != test.want {
				t.Errorf("%v, %v; want %s", got, err, test.want)
			}
			if isVersion := len(meta) > 0 && meta[0] != metaVersion; errors.Is(err, errMetaVersion) != isVersion {
				t.Errorf("%v is errMetaVersion: %v", err, !isVersion)
			}
		})
	}
}

func FuzzParseMeta(f *testing.F) {
	link := []byte{1, 0, 15, 1, 'a', 2, 0, 0, 0, 0, 1, 4, 192, 0, 2, 1, 8, 10}                    // a probe address
	f.Add([]byte{})                                                                               // nothing
	f.Add([]byte{2, 1})                                                                           // joining
	f.Add(append([]byte{2, 2}, link...))                                                          // ready, one link
	f.Add(append([]byte{2, 2, 9, 0, 2, 1, 1}, link...))                                           // an unknown section
	f.Add([]byte{1, 2, 2, 0, 0, 0, 0, 1})                                                         // previous version
	f.Add([]byte{2, 2, 1, 0, 9, 1})                                                               // truncated
	f.Add(bytes.Repeat([]byte{2}, metaLimit+1))                                                   // too long
	f.Add(append([]byte{2, 2, 2, 0, 4, 1, 2, 3, 4, 3, 0, 0, 4, 0, 6, 2, 0, 0, 0, 0, 9}, link...)) // every section type
	f.Fuzz(func(t *testing.T, meta []byte) {
		got, err := parseMeta(meta)
		if err != nil {
			if !reflect.DeepEqual(got, Report{}) {
				t.Fatalf("refused, and read as %v", got)
			}
			return
		}
		known := metaHeader
		for b := meta[metaHeader:]; len(b) > 0; {
			n := sectionHeader + int(b[1])<<8 + int(b[2])
			if b[0] >= sectionLink && b[0] <= sectionMACs {
				known += n
			}
			b = b[n:]
		}
		again := encodeMeta(got)
		if len(again) != known || len(again) != got.size() {
			t.Fatalf("%x is read as %v, which takes %d bytes of %d, expected %d", meta, got, len(again), known, got.size())
		}
		if second, err := parseMeta(again); err != nil || !reflect.DeepEqual(second, got) {
			t.Fatalf("%v is read again as %v, %v", got, second, err)
		}
		fitted, out := fit(got)
		if out != (leftOut{}) || len(encodeMeta(fitted)) > len(again) {
			t.Fatalf("%v becomes %v, %v", got, fitted, out)
		}
	})
}

// TestStates checks that every state has a name.
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

// TestKeyGolden pins the derived key, because versions with different derived keys cannot communicate.
func TestKeyGolden(t *testing.T) {
	key, err := deriveKey([]byte("a secret of 24 bytes ..."))
	if got := hex.EncodeToString(key); err != nil || got != "3052db6e9d57c9057df301edca462375cc0404e3447b2a1f394eddfe7d102533" {
		t.Errorf("derived key %s, %v", got, err)
	}
}
