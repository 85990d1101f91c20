package layer2

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/mdlayher/arp"
	"golang.org/x/net/bpf"
)

// Offsets in an ARP packet of the hardware and protocol types, and of the lengths of the addresses. The handler
// compares all of these fields at once.
const (
	arpTypes   = 14
	arpLengths = 18
)

// maxInstructions is the length of the longest socket filter program that the kernel accepts (BPF_MAXINSNS).
const maxInstructions = 4096

// minInstructions is enough for a program with one range.
const minInstructions = 128

// narrower is a Conn with a kernel filter: the kernel drops frames about addresses outside a scope.
type narrower interface {
	narrow(*scope) error
}

// wholeFrame is the return value of a program that accepts a frame: the maximum number of bytes to keep.
const wholeFrame = 0x40000

// packetHost is the kernel's packet type for a frame to the hardware address of this host (PACKET_HOST).
const packetHost = 0

// packetOtherHost is the kernel's packet type for a frame to another host (PACKET_OTHERHOST).
const packetOtherHost = 3

// label is a position in a program, counted in instructions from the end.
type label int

// assembler builds a program from the end to the beginning. The programs of the kernel only jump forward, so the
// distance of each jump is known when the jump is added.
type assembler struct {
	code []bpf.Instruction // the last instruction first
	// closest maps a label that is too far for a conditional jump to the most recent substitute for the label.
	closest map[label]label
}

// put adds an instruction in front of the program. Execution continues with the previously added instruction, unless
// the new instruction jumps or returns.
func (a *assembler) put(i bpf.Instruction) label {
	a.code = append(a.code, i)
	return label(len(a.code))
}

// load adds an instruction and makes execution continue at next.
func (a *assembler) load(i bpf.Instruction, next label) label {
	if int(next) != len(a.code) {
		a.standIn(next)
	}
	return a.put(i)
}

// jumpIf adds a comparison of the register A with val. Execution continues at yes or no.
func (a *assembler) jumpIf(cond bpf.JumpTest, val uint32, yes, no label) label {
	yes, no = a.near(yes), a.near(no)
	n := len(a.code)
	return a.put(bpf.JumpIf{Cond: cond, Val: val, SkipTrue: uint8(n - int(yes)), SkipFalse: uint8(n - int(no))})
}

// near returns a label that the next instruction but one can reach with a conditional jump, with 8 bits for the
// distance: to itself, or a substitute for the instruction at to.
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

// standIn adds a substitute for the instruction at the label: a copy of a return instruction, or a jump to the label.
func (a *assembler) standIn(to label) label {
	if ret, ok := a.code[to-1].(bpf.RetConstant); ok {
		return a.put(ret)
	}
	return a.put(bpf.Jump{Skip: uint32(len(a.code) - int(to))})
}

// word loads four bytes of the frame. All numbers in a frame are big-endian.
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

// find adds a test: does a span contain the number at offset off of the frame? The spans are ascending and disjoint.
// The test is a binary search over the first word of the number and, if the first word does not decide, over the next
// word.
func (a *assembler) find(off uint32, in []span, yes, no label) label {
	if len(in) == 0 {
		return no
	}
	return a.load(word(off), a.choose(off, segments(in), yes, no))
}

// choose adds the binary search for the segment of the value in the register A, loaded from off.
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

// segment is a range of values of one word, from first up to the first value of the next segment. Either the spans
// contain all numbers that begin with such a word, or none (in is true or false), or the segment has only one value,
// and inner lists the spans of the following words.
type segment struct {
	first uint32
	in    bool
	inner []span
}

// segments divides all values of the first word of the spans into segments.
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
		// If a span covers several values of the first word, the span contains everything between the first and the
		// last of these values.
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

// segmentation builds a list of segments.
type segmentation struct {
	list []segment
	next uint64 // the first value without a segment
}

// gap adds a segment outside all spans for the values before first.
func (s *segmentation) gap(first uint64) {
	if s.next < first {
		s.list = append(s.list, segment{first: uint32(s.next)})
	}
}

// closed adds the values from first to last, which lie inside a span.
func (s *segmentation) closed(first, last uint32) {
	s.gap(uint64(first))
	if n := len(s.list); n == 0 || !s.list[n-1].in {
		s.list = append(s.list, segment{first: first, in: true})
	}
	s.next = uint64(last) + 1
}

// open adds a value for which the next words decide.
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

// program builds a filter program for the ranges. most limits the number of instructions. build adds the test of the
// ranges: build gets the labels of the two returns, pass accepts a frame and drop rejects a frame, and returns the
// label of the start. If the ranges need more instructions than allowed, program merges ranges into fewer and wider
// ranges.
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

// finish returns the program in the order of execution.
func (a *assembler) finish() []bpf.Instruction {
	out := make([]bpf.Instruction, len(a.code))
	for i, ins := range a.code {
		out[len(out)-1-i] = ins
	}
	return out
}

// forThisHost adds a test: is a frame addressed to this station or to a group? Frames to other stations are rejected. A
// frame with a VLAN tag that no interface has taken is rejected too, because the frame belongs to a different network
// than the answer would go to. The kernel marks such a frame as for another host and removes the tag; older kernels
// leave the tag on.
func (a *assembler) forThisHost(yes, no label) label {
	at := a.load(bpf.LoadExtension{Num: bpf.ExtType}, a.jumpIf(bpf.JumpEqual, packetOtherHost, no, yes))
	return a.load(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, a.jumpIf(bpf.JumpEqual, 0, at, no))
}

// atLeast adds a test: does a frame have at least n bytes?
func (a *assembler) atLeast(n uint32, yes, no label) label {
	return a.load(bpf.LoadExtension{Num: bpf.ExtLen}, a.jumpIf(bpf.JumpGreaterOrEqual, n, yes, no))
}

// arpProgram accepts requests for addresses in the ranges, and requests and replies from such addresses. arpProgram
// also accepts truncated packets and packets of other types than Ethernet and IPv4, so that the handler counts these
// packets.
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

// heartbeatProgram accepts heartbeats to this station.
func heartbeatProgram() []bpf.Instruction {
	a := &assembler{closest: map[label]label{}}
	drop := a.put(bpf.RetConstant{})
	pass := a.put(bpf.RetConstant{Val: wholeFrame})
	at := a.jumpIf(bpf.JumpEqual, uint32(operationHeartbeat), pass, drop)
	at = a.load(bpf.LoadAbsolute{Off: arpOperation, Size: 2}, at)
	at = a.load(bpf.LoadExtension{Num: bpf.ExtType}, a.jumpIf(bpf.JumpEqual, packetHost, at, drop))
	a.load(bpf.LoadExtension{Num: bpf.ExtVLANTagPresent}, a.jumpIf(bpf.JumpEqual, 0, at, drop))
	return a.finish()
}

// echo4Program accepts ICMP echo requests to addresses in the ranges. echo4Program also accepts fragments and packets
// with options to such addresses: the filter cannot detect an echo request in these packets, and the handler counts
// them.
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

// echo6Program accepts ICMPv6 echo requests to addresses in the ranges.
func echo6Program(s *scope, most int) []bpf.Instruction {
	return program(most, s.v6, func(a *assembler, in []span, pass, drop label) label {
		at := a.find(ip6Destination, in, pass, drop)
		at = a.load(bpf.LoadAbsolute{Off: icmp6Start, Size: 1}, a.jumpIf(bpf.JumpEqual, echoRequest6, at, drop))
		at = a.load(bpf.LoadAbsolute{Off: ip6NextHeader, Size: 1}, a.jumpIf(bpf.JumpEqual, protocolICMPv6, at, drop))
		return a.forThisHost(at, drop)
	})
}

// ndpProgram accepts neighbour solicitations and advertisements with a target in the ranges. ndpProgram also accepts
// truncated messages, so that the handler counts these messages. Other traffic of the node does not wake this process.
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
