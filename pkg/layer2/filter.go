package layer2

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/mdlayher/arp"
	"golang.org/x/net/bpf"
)

// Places in an ARP packet that the handler looks at as one: hardware and protocol type, and the lengths of their addresses.
const (
	arpTypes   = 14
	arpLengths = 18
)

// maxInstructions is the longest program that the kernel takes for a socket (BPF_MAXINSNS).
const maxInstructions = 4096

// minInstructions is enough for a program with one range.
const minInstructions = 128

// narrower is a Conn whose kernel leaves out frames that concern no address in a scope.
type narrower interface {
	narrow(*scope) error
}

// wholeFrame is what a program returns for a frame that it lets through: as many bytes as there are.
const wholeFrame = 0x40000

// packetOtherHost is what the kernel calls a frame that is not for this host (PACKET_OTHERHOST).
const packetOtherHost = 3

// label is a place in a program, counted in instructions from its end.
type label int

// assembler puts a program together from its end to its beginning. The kernel's programs only jump forward, so each jump
// knows how far it has to go.
type assembler struct {
	code []bpf.Instruction // the last one first
	// closest is the latest stand-in of a place that was too far away for a conditional jump.
	closest map[label]label
}

// put places an instruction before all others. After it comes what was put before, unless it jumps or returns.
func (a *assembler) put(i bpf.Instruction) label {
	a.code = append(a.code, i)
	return label(len(a.code))
}

// load places an instruction that is followed by next.
func (a *assembler) load(i bpf.Instruction, next label) label {
	if int(next) != len(a.code) {
		a.standIn(next)
	}
	return a.put(i)
}

// jumpIf places a comparison of the register A with val that goes on at yes or no.
func (a *assembler) jumpIf(cond bpf.JumpTest, val uint32, yes, no label) label {
	yes, no = a.near(yes), a.near(no)
	n := len(a.code)
	return a.put(bpf.JumpIf{Cond: cond, Val: val, SkipTrue: uint8(n - int(yes)), SkipFalse: uint8(n - int(no))})
}

// near returns a place that the next instruction but one can still reach with a conditional jump, which has 8 bits for the
// distance, and that is, or leads to, the one given.
func (a *assembler) near(to label) label {
	for _, at := range []label{to, a.closest[to]} {
		if at > 0 && len(a.code)-int(at) < math.MaxUint8 {
			return at
		}
	}
	at := a.standIn(to)
	a.closest[to] = at
	return at
}

// standIn places what does the same as the instruction at the label: the return that it is, or a jump to it.
func (a *assembler) standIn(to label) label {
	if ret, ok := a.code[to-1].(bpf.RetConstant); ok {
		return a.put(ret)
	}
	return a.put(bpf.Jump{Skip: uint32(len(a.code) - int(to))})
}

// word loads four bytes of the frame, as all numbers in it are: the most significant byte first.
func word(off uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: off, Size: 4} }

// span is a range of numbers of one or several words, both ends included.
type span struct{ from, to []uint32 }

func spans(ranges []Range) []span {
	out := make([]span, len(ranges))
	for i, r := range ranges {
		out[i] = span{words(r.From), words(r.To)}
	}
	return out
}

func words(addr netip.Addr) []uint32 {
	b := addr.AsSlice()
	w := make([]uint32, len(b)/4)
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return w
}

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// find places the question whether the number that begins at off in the frame is in one of the spans, which are ascending and
// disjoint. It is answered by a binary search over its first word, and where that leaves it open, over the next.
func (a *assembler) find(off uint32, in []span, yes, no label) label {
	if len(in) == 0 {
		return no
	}
	return a.load(word(off), a.choose(off, segments(in), yes, no))
}

// choose places the binary search for the segment that the register A, loaded from off, falls into.
func (a *assembler) choose(off uint32, s []segment, yes, no label) label {
	if len(s) > 1 {
		middle := len(s) / 2
		upper := a.choose(off, s[middle:], yes, no)
		lower := a.choose(off, s[:middle], yes, no)
		return a.jumpIf(bpf.JumpGreaterOrEqual, s[middle].first, upper, lower)
	}
	switch {
	case len(s[0].inner) > 0:
		return a.find(off+4, s[0].inner, yes, no)
	case s[0].in:
		return yes
	}
	return no
}

// segment is a stretch of values of one word, from first up to the next segment's. All numbers that begin with such a word are in,
// or none is; or there is one such word only, and inner tells which words may follow.
type segment struct {
	first uint32
	in    bool
	inner []span
}

// segments divides all values of the first word of the spans.
func segments(all []span) []segment {
	var s segmentation
	for _, r := range all {
		first, last := r.from[0], r.to[0]
		head, tail := r.from[1:], r.to[1:]
		starts, ends := only(head, 0), only(tail, math.MaxUint32)
		if first == last && !(starts && ends) {
			s.open(first, span{head, tail})
			continue
		}
		// With more than one value of the first word, what lies between the outermost is in as a whole.
		if !starts {
			s.open(first, span{head, filled(len(head), math.MaxUint32)})
			first++
		}
		if ends {
			s.closed(first, last)
			continue
		}
		if first < last {
			s.closed(first, last-1)
		}
		s.open(last, span{filled(len(tail), 0), tail})
	}
	return s.finish()
}

// segmentation is a list of segments in the making.
type segmentation struct {
	list []segment
	next uint64 // the first value that is not yet in a segment
}

// gap adds the values before first that are in none.
func (s *segmentation) gap(first uint64) {
	if s.next < first {
		s.list = append(s.list, segment{first: uint32(s.next)})
	}
}

// closed adds the values from first to last, which are in.
func (s *segmentation) closed(first, last uint32) {
	s.gap(uint64(first))
	if n := len(s.list); n == 0 || !s.list[n-1].in {
		s.list = append(s.list, segment{first: first, in: true})
	}
	s.next = uint64(last) + 1
}

// open adds one value, whose next words decide.
func (s *segmentation) open(value uint32, inner span) {
	if s.next > uint64(value) {
		last := &s.list[len(s.list)-1]
		last.inner = append(last.inner, inner)
		return
	}
	s.gap(uint64(value))
	s.list = append(s.list, segment{first: value, inner: []span{inner}})
	s.next = uint64(value) + 1
}

func (s *segmentation) finish() []segment {
	s.gap(math.MaxUint32 + 1)
	return s.list
}

func only(w []uint32, value uint32) bool {
	for _, x := range w {
		if x != value {
			return false
		}
	}
	return true
}

func filled(n int, value uint32) []uint32 {
	w := make([]uint32, n)
	for i := range w {
		w[i] = value
	}
	return w
}

// program assembles what build places for the ranges, which gets the labels of the returns that let a frame through and that do
// not, and returns the label to begin at. It has at most so many instructions: where the ranges take more, it is built for
// fewer and wider ones.
func program(most int, ranges []Range, build func(a *assembler, in []span, pass, drop label) label) []bpf.Instruction {
	// Each end of a range takes a comparison.
	for n := min(len(ranges), most/2); ; {
		a := &assembler{closest: map[label]label{}}
		drop := a.put(bpf.RetConstant{})
		pass := a.put(bpf.RetConstant{Val: wholeFrame})
		start := build(a, spans(coarsened(ranges, n)), pass, drop)
		if int(start) != len(a.code) {
			a.standIn(start)
		}
		if len(a.code) <= most || n <= 1 {
			return a.finish()
		}
		n = min(n-1, n*most/len(a.code))
	}
}

// finish returns the program in the order in which it runs.
func (a *assembler) finish() []bpf.Instruction {
	out := make([]bpf.Instruction, len(a.code))
	for i, ins := range a.code {
		out[len(out)-1-i] = ins
	}
	return out
}

// forThisHost places the question whether a frame is for this station or a group. A frame that is for another is none of ours.
// So is one with a VLAN tag that no interface has taken, which belongs to another network than the one that we would answer
// into: the kernel marks it as for another host, and then takes the tag off; older ones leave the tag on.
func (a *assembler) forThisHost(yes, no label) label {
	at := a.load(bpf.LoadExtension{Num: bpf.ExtType}, a.jumpIf(bpf.JumpEqual, packetOtherHost, no, yes))
	return a.load(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, a.jumpIf(bpf.JumpEqual, 0, at, no))
}

// atLeast places the question whether a frame has so many bytes.
func (a *assembler) atLeast(n uint32, yes, no label) label {
	return a.load(bpf.LoadExtension{Num: bpf.ExtLen}, a.jumpIf(bpf.JumpGreaterOrEqual, n, yes, no))
}

// arpProgram lets through requests for addresses in the ranges, and requests and replies from them. Packets that are cut
// short, or of another kind than Ethernet and IPv4, are let through to be counted.
func arpProgram(s *scope, most int) []bpf.Instruction {
	return program(most, s.v4, func(a *assembler, in []span, pass, drop label) label {
		sender := a.find(arpSenderIP, in, pass, drop)
		target := a.find(arpTargetIP, in, pass, sender)
		at := a.jumpIf(bpf.JumpEqual, uint32(arp.OperationReply), sender, drop)
		at = a.jumpIf(bpf.JumpEqual, uint32(arp.OperationRequest), target, at)
		at = a.load(bpf.LoadAbsolute{Off: arpOperation, Size: 2}, at)
		at = a.load(bpf.LoadAbsolute{Off: arpLengths, Size: 2}, a.jumpIf(bpf.JumpEqual, arpKind&0xffff, at, pass))
		at = a.load(word(arpTypes), a.jumpIf(bpf.JumpEqual, arpKind>>16&0xffff_ffff, at, pass))
		return a.forThisHost(a.atLeast(arpEnd, at, pass), drop)
	})
}

// echo4Program lets through ICMP echo requests to addresses in the ranges, and those of which it cannot be told, to be counted:
// fragments, and packets with options.
func echo4Program(s *scope, most int) []bpf.Instruction {
	return program(most, s.v4, func(a *assembler, in []span, pass, drop label) label {
		at := a.jumpIf(bpf.JumpEqual, echoRequest4, pass, drop)
		at = a.load(bpf.LoadAbsolute{Off: ip4End, Size: 1}, at)
		at = a.load(bpf.LoadAbsolute{Off: ip4Fragment, Size: 2}, a.jumpIf(bpf.JumpBitsSet, ip4Fragmented, pass, at))
		at = a.load(bpf.LoadAbsolute{Off: ip4Start, Size: 1}, a.jumpIf(bpf.JumpEqual, ip4Plain, at, pass))
		at = a.find(ip4Destination, in, at, drop)
		at = a.load(bpf.LoadAbsolute{Off: ip4Protocol, Size: 1}, a.jumpIf(bpf.JumpEqual, protocolICMP, at, drop))
		return a.forThisHost(at, drop)
	})
}

// echo6Program lets through ICMPv6 echo requests to addresses in the ranges.
func echo6Program(s *scope, most int) []bpf.Instruction {
	return program(most, s.v6, func(a *assembler, in []span, pass, drop label) label {
		at := a.find(ip6Destination, in, pass, drop)
		at = a.load(bpf.LoadAbsolute{Off: icmp6Start, Size: 1}, a.jumpIf(bpf.JumpEqual, echoRequest6, at, drop))
		at = a.load(bpf.LoadAbsolute{Off: ip6NextHeader, Size: 1}, a.jumpIf(bpf.JumpEqual, protocolICMPv6, at, drop))
		return a.forThisHost(at, drop)
	})
}

// ndpProgram lets through neighbour solicitations and advertisements whose target is in the ranges, and those that are cut
// short, to be counted. The other traffic of the node does not wake us.
func ndpProgram(s *scope, most int) []bpf.Instruction {
	return program(most, s.v6, func(a *assembler, in []span, pass, drop label) label {
		at := a.atLeast(ndpOptions, a.find(ndpTarget, in, pass, drop), pass)
		kind := a.jumpIf(bpf.JumpEqual, typeSolicitation, at, drop)
		kind = a.jumpIf(bpf.JumpEqual, typeAdvertisement, at, kind)
		kind = a.load(bpf.LoadAbsolute{Off: icmp6Start, Size: 1}, kind)
		next := a.jumpIf(bpf.JumpEqual, protocolICMPv6, kind, drop)
		return a.forThisHost(a.load(bpf.LoadAbsolute{Off: ip6NextHeader, Size: 1}, next), drop)
	})
}
