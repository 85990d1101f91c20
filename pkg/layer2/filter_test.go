package layer2

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/bpf"
)

// extensions holds the properties of a frame that the kernel gives a program besides the bytes.
type extensions struct{ kind, tagged uint32 }

// machine returns a virtual machine that runs the kernel's program. The virtual machine only knows the length of a
// frame, so machine inserts the other extensions as constants.
func machine(t testing.TB, program []bpf.Instruction, e extensions) *bpf.VM {
	t.Helper()
	program = slices.Clone(program)
	for i, ins := range program {
		switch ins {
		case bpf.LoadExtension{Num: bpf.ExtType}:
			program[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: e.kind}
		case bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}:
			program[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: e.tagged}
		}
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func passes(t testing.TB, vm *bpf.VM, frame []byte) bool {
	t.Helper()
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	return n > 0
}

// concernsARP is the reference for arpProgram in plain code.
func concernsARP(s *scope, b []byte) bool {
	if len(b) < arpEnd || binary.BigEndian.Uint32(b[14:]) != 0x0001_0800 || binary.BigEndian.Uint16(b[18:]) != 0x0604 {
		return true // for counting
	}
	sender, target := netip.AddrFrom4([4]byte(b[28:])), netip.AddrFrom4([4]byte(b[38:]))
	switch binary.BigEndian.Uint16(b[20:]) {
	case 1:
		return s.contains(sender) || s.contains(target)
	case 2:
		return s.contains(sender)
	}
	return false
}

// concernsNDP is the reference for ndpProgram.
func concernsNDP(s *scope, b []byte) bool {
	switch {
	case len(b) <= icmp6Start || b[20] != 58 || b[54] != 135 && b[54] != 136:
		return false
	case len(b) < ndpOptions:
		return true // for counting
	}
	return s.contains(netip.AddrFrom16([16]byte(b[62:])))
}

func rangeOf(from, to string) Range { return Range{netip.MustParseAddr(from), netip.MustParseAddr(to)} }

func TestScope(t *testing.T) {
	s := newScope([]Range{
		rangeOf("10.0.0.5", "10.0.0.9"), rangeOf("10.0.0.1", "10.0.0.4"), // touching ranges
		rangeOf("10.0.1.0", "10.0.1.9"), rangeOf("10.0.1.3", "10.0.1.4"), // one range in another
		rangeOf("255.255.255.255", "255.255.255.255"), rangeOf("255.255.255.0", "255.255.255.255"), // no next address
		rangeOf("10.0.0.9", "10.0.0.1"), rangeOf("10.0.0.1", "2001:db8::1"), {}, // invalid ranges
	}, []Range{rangeOf("2001:db8::1", "2001:db8::ff"), rangeOf("2001:db8::80%eth0", "2001:db8::1:0"), rangeOf("::ffff:10.0.2.1", "::ffff:10.0.2.2")})
	const want = "[{10.0.0.1 10.0.0.9} {10.0.1.0 10.0.1.9} {10.0.2.1 10.0.2.2} {255.255.255.0 255.255.255.255}] [{2001:db8::1 2001:db8::1:0}]"
	if got := fmt.Sprint(s.v4, s.v6); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for text, want := range map[string]bool{"10.0.0.0": false, "10.0.0.1": true, "10.0.0.7": true, "10.0.0.10": false,
		"255.255.255.255": true, "2001:db8::1:0": true, "2001:db8::1:1": false, "::": false} {
		if got := s.contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is in it: %t, want %t", text, got, want)
		}
	}
	if !s.equal(newScope(s.v6, s.v4)) || s.equal(newScope(s.v4)) {
		t.Error("scopes are compared by something else than their addresses")
	}
}

func TestCoarsened(t *testing.T) {
	s := newScope([]Range{rangeOf("10.0.0.1", "10.0.0.1"), rangeOf("10.0.0.3", "10.0.0.3"), rangeOf("10.0.0.9", "10.0.0.9"),
		rangeOf("10.0.0.12", "10.0.0.12"), rangeOf("10.9.0.0", "10.9.0.1")})
	for n, want := range map[int]string{
		5: "[{10.0.0.1 10.0.0.1} {10.0.0.3 10.0.0.3} {10.0.0.9 10.0.0.9} {10.0.0.12 10.0.0.12} {10.9.0.0 10.9.0.1}]",
		4: "[{10.0.0.1 10.0.0.3} {10.0.0.9 10.0.0.9} {10.0.0.12 10.0.0.12} {10.9.0.0 10.9.0.1}]",
		3: "[{10.0.0.1 10.0.0.3} {10.0.0.9 10.0.0.12} {10.9.0.0 10.9.0.1}]",
		2: "[{10.0.0.1 10.0.0.12} {10.9.0.0 10.9.0.1}]",
		0: "[{10.0.0.1 10.9.0.1}]",
	} {
		if got := fmt.Sprint(coarsened(s.v4, n)); got != want {
			t.Errorf("%d ranges: %s, want %s", n, got, want)
		}
	}
	if got := coarsened(nil, 0); got != nil {
		t.Errorf("no ranges became %v", got)
	}
}

func TestARPProgram(t *testing.T) {
	program := arpProgram(newScope([]Range{{held4, held4}}), maxInstructions)
	request := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
	foreign := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, free4)
	for _, c := range []struct {
		name  string
		frame []byte
		with  extensions
		want  bool
	}{
		{"request", request, extensions{}, true},
		{"probe", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, netip.IPv4Unspecified(), MAC{}, held4), extensions{}, true},
		{"claim by request", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, held4, MAC{}, free4), extensions{}, true},
		{"claim by reply", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, held4, ourMAC, asker4), extensions{}, true},
		{"request for another", foreign, extensions{}, false},
		{"reply to us about another", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, asker4, ourMAC, held4), extensions{}, false},
		{"reverse ARP", patched(request, arpOperation, 0, 3), extensions{}, false},
		{"request on a tagged VLAN", request, extensions{kind: packetOtherHost}, false},
		{"request on a tagged VLAN, with an old kernel", request, extensions{tagged: 1}, false},
		{"truncated", foreign[:arpEnd-1], extensions{}, true},
		{"truncated on a tagged VLAN", request[:arpEnd-1], extensions{kind: packetOtherHost}, false},
		{"hardware type Token Ring", patched(foreign, ethType+2, 0, 6), extensions{}, true},
		{"protocol address of 16 bytes", patched(foreign, ethType+7, 16), extensions{}, true},
	} {
		if got := passes(t, machine(t, program, c.with), c.frame); got != c.want {
			t.Errorf("%s comes through: %t, want %t", c.name, got, c.want)
		}
	}
}

func TestNDPProgram(t *testing.T) {
	program := ndpProgram(newScope([]Range{{held6, held6}}), maxInstructions)
	ns := nsTo(t, solicitedNode(held6), held6)
	for _, c := range []struct {
		name  string
		frame []byte
		with  extensions
		want  bool
	}{
		{"solicitation", ns, extensions{}, true},
		{"duplicate address detection", ndpBytes(t, groupMACOf(held6), askerMAC, netip.IPv6Unspecified(), solicitedNode(held6), solicitation(held6)), extensions{}, true},
		{"advertisement", naFrom(t, askerMAC, held6), extensions{}, true},
		{"solicitation of another", nsTo(t, solicitedNode(free6), free6), extensions{}, false},
		{"advertisement of another", naFrom(t, askerMAC, free6, lladdr(ndp.Target, askerMAC)), extensions{}, false},
		{"router solicitation", patched(ns, icmp6Start, 133), extensions{}, false},
		{"redirect", patched(ns, icmp6Start, 137), extensions{}, false},
		{"UDP", patched(ns, ip6NextHeader, 17), extensions{}, false},
		{"no payload", ns[:icmp6Start], extensions{}, false},
		{"truncated", ns[:ndpOptions-1], extensions{}, true},
		{"on a tagged VLAN", ns, extensions{kind: packetOtherHost}, false},
	} {
		if got := passes(t, machine(t, program, c.with), c.frame); got != c.want {
			t.Errorf("%s comes through: %t, want %t", c.name, got, c.want)
		}
	}
}

// TestManyRanges uses more ranges than a program has room for. The program may accept too many frames, and must not
// reject a frame in the ranges.
func TestManyRanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var ranges []Range
	for range 10000 {
		from4 := random.Uint32()
		ranges = append(ranges, Range{addr4(from4), addr4(from4 | random.Uint32N(64))})
		from6 := [16]byte{0x20, 1, 0xd, 0xb8}
		binary.BigEndian.PutUint64(from6[4:], random.Uint64N(1<<20))
		binary.BigEndian.PutUint64(from6[8:], random.Uint64())
		to6 := from6
		to6[15] |= byte(random.Uint32N(16))
		ranges = append(ranges, Range{netip.AddrFrom16(from6), netip.AddrFrom16(to6)})
	}
	s := newScope(ranges)
	for _, most := range []int{maxInstructions, 512, minInstructions} {
		programs := [][]bpf.Instruction{arpProgram(s, most), ndpProgram(s, most)}
		machines := []*bpf.VM{machine(t, programs[0], extensions{}), machine(t, programs[1], extensions{})}
		for _, p := range programs {
			// The rounding loses little: the program uses most of the room.
			if len(p) > most || len(p) < most/2 {
				t.Errorf("%d instructions, want at most, and nearly, %d", len(p), most)
			}
		}
		request := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
		ns := nsTo(t, solicitedNode(held6), held6)
		outside := 0
		for _, r := range slices.Concat(s.v4, s.v6) {
			for _, addr := range []netip.Addr{r.From, r.To} {
				frame, vm := patched(ns, ndpTarget, addr.AsSlice()...), machines[1]
				if addr.Is4() {
					frame, vm = patched(request, arpTargetIP, addr.AsSlice()...), machines[0]
				}
				if !passes(t, vm, frame) {
					t.Fatalf("with %d instructions, a frame for %s is lost", most, addr)
				}
			}
		}
		for range 1000 {
			if !passes(t, machines[0], patched(request, arpTargetIP, addr4(random.Uint32()).AsSlice()...)) {
				outside++
			}
		}
		t.Logf("%d instructions: %.0f %% of random ARP requests are left out", most, float64(outside)/10)
	}
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// FuzzFilter compares the programs with the references, for the frame itself and for the frame with the addresses at
// the ends of each range.
func FuzzFilter(f *testing.F) {
	request := arpBytes(f, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
	reply := arpBytes(f, arp.OperationReply, ourMAC, askerMAC, held4, ourMAC, asker4)
	ns, na := nsTo(f, solicitedNode(held6), held6), naFrom(f, askerMAC, held6, lladdr(ndp.Target, askerMAC))
	one4 := slices.Concat(held4.AsSlice(), free4.AsSlice())
	one6 := slices.Concat(held6.AsSlice(), free6.AsSlice())
	wide6 := slices.Concat(netip.MustParseAddr("2001:db8::").AsSlice(), netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff").AsSlice())
	ends := slices.Concat(make([]byte, 4), []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff})
	var many []byte
	for i := range byte(200) { // more than a conditional jump can skip
		many = append(many, 10, 0, i, i, 10, 0, i, i+1)
	}
	f.Add(one4, one6, request, uint16(0))                              // answered
	f.Add(one4, one6, reply, uint16(0))                                // a claim
	f.Add(one4, one6, ns, uint16(0))                                   // a solicitation
	f.Add(one4, wide6, na, uint16(0))                                  // a range that ends at the end of a word
	f.Add(ends, slices.Repeat([]byte{0xff}, 64), request, uint16(0))   // the first and the last address
	f.Add(many, slices.Concat(one6, wide6, many), request, uint16(0))  // long jumps
	f.Add(many, slices.Concat(many, many), request, uint16(1))         // one range left
	f.Add([]byte{}, []byte{}, patched(request, 14, 0, 6), uint16(300)) // nothing in range, and counted
	f.Add(one4, one6, request[:arpEnd-1], uint16(300))                 // truncated
	f.Fuzz(func(t *testing.T, list4, list6, frame []byte, room uint16) {
		if len(list4) > 4096 || len(list6) > 4096 || len(frame) > 2048 {
			t.Skip("more of the same")
		}
		most := maxInstructions
		if room > 0 {
			most = max(minInstructions, int(room)%maxInstructions)
		}
		s := newScope(rangesOf(list4, 4), rangesOf(list6, 16))
		for _, c := range []struct {
			program  []bpf.Instruction
			concerns func(*scope, []byte) bool
			ranges   []Range
			fields   []int
		}{
			{arpProgram(s, most), concernsARP, s.v4, []int{arpSenderIP, arpTargetIP}},
			{ndpProgram(s, most), concernsNDP, s.v6, []int{ndpTarget}},
		} {
			exact := len(c.ranges) <= 4 // few ranges fit into any room
			if len(c.program) > most {
				t.Fatalf("%d instructions, want at most %d", len(c.program), most)
			}
			vm := machine(t, c.program, extensions{})
			check := func(frame []byte) {
				got, want := passes(t, vm, frame), c.concerns(s, frame)
				if want && !got || got && !want && exact {
					t.Fatalf("%x comes through: %t, want %t, with %v", frame, got, want, c.ranges)
				}
			}
			check(frame)
			for _, r := range c.ranges {
				for _, addr := range []netip.Addr{r.From, r.To, r.From.Prev(), r.To.Next()} {
					for _, field := range c.fields {
						if addr.IsValid() && len(frame) > field {
							check(patched(frame, field, addr.AsSlice()...))
						}
					}
				}
			}
		}
	})
}

// rangesOf cuts b into pairs of addresses of size bytes, the lower address first.
func rangesOf(b []byte, size int) []Range {
	var ranges []Range
	for pair := range slices.Chunk(b, 2*size) {
		if len(pair) == 2*size {
			from, _ := netip.AddrFromSlice(pair[:size])
			to, _ := netip.AddrFromSlice(pair[size:])
			if to.Less(from) {
				from, to = to, from
			}
			ranges = append(ranges, Range{from, to})
		}
	}
	return ranges
}

func BenchmarkProgram(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var ranges []Range
	for range 10000 {
		a := [16]byte{0x20, 1, 0xd, 0xb8}
		binary.BigEndian.PutUint64(a[8:], random.Uint64())
		ranges = append(ranges, Range{netip.AddrFrom16(a), netip.AddrFrom16(a)})
	}
	s := newScope(ranges)
	for b.Loop() {
		ndpProgram(s, maxInstructions)
	}
}
