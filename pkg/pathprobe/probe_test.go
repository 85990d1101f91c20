package pathprobe

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/checksum"
)

var (
	flow4 = Flow{From: MAC{2, 0, 0, 0, 0, 1}, To: MAC{2, 0, 0, 0, 0, 2}, Source: netip.MustParseAddrPort("192.0.2.11:61000"),
		Service: netip.MustParseAddrPort("192.0.2.80:80")}
	flow6 = Flow{From: MAC{2, 0, 0, 0, 0, 1}, To: MAC{2, 0, 0, 0, 0, 2}, Source: netip.MustParseAddrPort("[2001:db8::11]:61000"),
		Service: netip.MustParseAddrPort("[2001:db8::80]:80")}
	start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
)

const testSeq = 0xfffffff0

// segmentFrom returns the frame of a segment from the Service to the port of question n.
func segmentFrom(f Flow, n int, flags byte, ack uint32) []byte {
	back := Flow{From: f.To, To: f.From, Source: f.Service, Service: netip.AddrPortFrom(f.Source.Addr(), f.Source.Port()+uint16(n))}
	segment := back.segment(0, 77, flags, nil)
	binary.BigEndian.PutUint32(segment[8:], ack)
	return back.frame(protocolTCP, segment)
}

// errorFrom returns the frame of an ICMP message of router about a sent frame.
func errorFrom(f Flow, router netip.Addr, kind, code byte, sent []byte) []byte {
	quoted := sent[ethHeader:]
	message := append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quoted...)
	if router.Is6() && kind == redirect6 {
		message = append(make([]byte, 40), 4, byte((len(quoted)+15)/8), 0, 0, 0, 0, 0, 0)
		message = append(message, quoted...)
		message = append(message, make([]byte, (8-len(quoted)%8)%8)...)
		message[0], message[1] = kind, code
	}
	protocol := byte(protocolICMP)
	if router.Is6() {
		protocol = protocolICMPv6
		binary.BigEndian.PutUint16(message[2:], checksumOf(router, f.Source.Addr(), protocol, message))
	} else {
		binary.BigEndian.PutUint16(message[2:], ^checksum.Fold(checksum.Sum(0, message)))
	}
	back := Flow{From: f.To, To: f.From, Source: netip.AddrPortFrom(router, 0), Service: netip.AddrPortFrom(f.Source.Addr(), 0)}
	return back.frame(protocol, message)
}

// TestAnswers gives the answers of the far end to a probe with one question.
func TestAnswers(t *testing.T) {
	router4, router6 := netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("2001:db8::12")
	for _, c := range []struct {
		name    string
		flow    Flow
		frame   func(f Flow, sent []byte) []byte
		outcome Outcome
		is      func(Answer) bool
	}{
		{"SYN-ACK", flow4, func(f Flow, _ []byte) []byte { return segmentFrom(f, 0, flagSYN|flagACK, testSeq+1) }, Open, nil},
		{"SYN-ACK over IPv6", flow6, func(f Flow, _ []byte) []byte { return segmentFrom(f, 0, flagSYN|flagACK, testSeq+1) }, Open, nil},
		{"RST", flow4, func(f Flow, _ []byte) []byte { return segmentFrom(f, 0, flagRST|flagACK, testSeq+1) }, Refused, nil},
		{"port unreachable", flow4, func(f Flow, s []byte) []byte { return errorFrom(f, router4, 3, 3, s) }, Unreachable, Answer.PortUnreachable},
		{"host unreachable", flow4, func(f Flow, s []byte) []byte { return errorFrom(f, router4, 3, 1, s) }, Unreachable, Answer.HostUnreachable},
		{"prohibited", flow4, func(f Flow, s []byte) []byte { return errorFrom(f, router4, 3, 10, s) }, Unreachable, Answer.Prohibited},
		{"time exceeded", flow4, func(f Flow, s []byte) []byte { return errorFrom(f, router4, 11, 0, s) }, Unreachable, func(a Answer) bool { return a.Type == 11 }},
		{"port unreachable over IPv6", flow6, func(f Flow, s []byte) []byte { return errorFrom(f, router6, 1, 4, s) }, Unreachable, Answer.PortUnreachable},
		{"address unreachable over IPv6", flow6, func(f Flow, s []byte) []byte { return errorFrom(f, router6, 1, 3, s) }, Unreachable, Answer.HostUnreachable},
		{"prohibited over IPv6", flow6, func(f Flow, s []byte) []byte { return errorFrom(f, router6, 1, 1, s) }, Unreachable, Answer.Prohibited},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(c.flow, testSeq, Options{Questions: 1})
			frames, _ := p.Step(start)
			reply := c.frame(c.flow, frames[0])
			last, done := p.Hear(start.Add(time.Millisecond), reply)
			a := p.Answer()
			if !done || a.Outcome != c.outcome || a.After != time.Millisecond || a.By != c.flow.To || c.is != nil && !c.is(a) {
				t.Fatalf("%+v, done is %v", a, done)
			}
			want := [][]byte{c.flow.rst(0, testSeq+1)}
			if c.outcome == Refused {
				want = nil
			}
			if !slices.EqualFunc(last, want, bytes.Equal) {
				t.Errorf("the probe ends with %x, want %x", last, want)
			}
			for i := range reply { // a cut frame answers nothing
				if i < ethHeader+ip4Header+8 {
					short := New(c.flow, testSeq, Options{Questions: 1})
					short.Step(start)
					if _, done := short.Hear(start, reply[:i]); done {
						t.Fatalf("%d bytes of the frame end the probe", i)
					}
				}
			}
		})
	}
}

// TestNoAnswers gives a probe frames that answer none of its questions.
func TestNoAnswers(t *testing.T) {
	for _, f := range []Flow{flow4, flow6} {
		router := netip.MustParseAddr("192.0.2.12")
		other := f
		if other.Service = netip.MustParseAddrPort("192.0.2.81:80"); f.Service.Addr().Is6() {
			router, other.Service = netip.MustParseAddr("2001:db8::12"), netip.MustParseAddrPort("[2001:db8::81]:80")
		}
		elsewhere := f
		elsewhere.From = MAC{2, 0, 0, 0, 0, 9}
		broken := errorFrom(f, router, 3, 1, f.syn(0, testSeq))
		if broken[len(broken)-1] ^= 1; f.Service.Addr().Is6() {
			broken = errorFrom(f, router, 1, 3, f.syn(0, testSeq))
			broken[len(broken)-1] ^= 1
		}
		kind := byte(unreachable4)
		if f.Service.Addr().Is6() {
			kind = unreachable6
		}
		for name, frame := range map[string][]byte{
			"a RST without acknowledgment":       segmentFrom(f, 0, flagRST, testSeq+1),
			"another acknowledgment":             segmentFrom(f, 0, flagSYN|flagACK, testSeq),
			"a bare acknowledgment":              segmentFrom(f, 0, flagACK, testSeq+1),
			"a question to come":                 segmentFrom(f, 1, flagSYN|flagACK, testSeq+1),
			"the port before":                    segmentFrom(f, -1, flagSYN|flagACK, testSeq+1),
			"another Service":                    segmentFrom(other, 0, flagSYN|flagACK, testSeq+1),
			"a frame to another station":         segmentFrom(elsewhere, 0, flagSYN|flagACK, testSeq+1),
			"its own question":                   f.syn(0, testSeq),
			"an error about another question":    errorFrom(f, router, kind, 3, f.syn(1, testSeq)),
			"an error about another number":      errorFrom(f, router, kind, 3, f.syn(0, testSeq+1)),
			"an error about another Service":     errorFrom(f, router, kind, 3, other.syn(0, testSeq)),
			"an error with a wrong checksum":     broken,
			"a message that is no error (echo)":  errorFrom(f, router, 8, 0, f.syn(0, testSeq)),
			"a message that is no error (reply)": errorFrom(f, router, 129, 0, f.syn(0, testSeq)),
			"nothing":                            nil,
		} {
			p := New(f, testSeq, Options{Questions: 2})
			p.Step(start)
			if frames, done := p.Hear(start, frame); done || len(frames) > 0 || p.Answer() != (Answer{}) {
				t.Errorf("%v: %s counts as %+v", f.Service, name, p.Answer())
			}
		}
	}
}

// TestQuestions follows a probe without an answer, and one whose second question is answered.
func TestQuestions(t *testing.T) {
	o := Options{Questions: 3, Interval: 100 * time.Millisecond, Wait: time.Second}
	p, now := New(flow4, testSeq, o), start
	var sent [][]byte
	for {
		frames, next := p.Step(now)
		sent = append(sent, frames...)
		if next.IsZero() {
			break
		}
		if !next.After(now) {
			t.Fatalf("after %v the next step is at %v", now.Sub(start), next.Sub(start))
		}
		now = next
	}
	want := [][]byte{flow4.syn(0, testSeq), flow4.syn(1, testSeq), flow4.syn(2, testSeq),
		flow4.rst(0, testSeq+1), flow4.rst(1, testSeq+1), flow4.rst(2, testSeq+1)}
	if !slices.EqualFunc(sent, want, bytes.Equal) || now.Sub(start) != time.Second || p.Answer().Outcome != Silent {
		t.Errorf("%d frames until %v, %+v", len(sent), now.Sub(start), p.Answer())
	}
	if frames, done := p.Hear(now, segmentFrom(flow4, 0, flagSYN|flagACK, testSeq+1)); !done || len(frames) > 0 {
		t.Error("a probe that is over sends frames")
	}

	p = New(flow4, testSeq, o)
	p.Step(start)
	p.Step(start.Add(100 * time.Millisecond))
	if _, done := p.Hear(start.Add(101*time.Millisecond), segmentFrom(flow4, 1, flagSYN|flagACK, testSeq+1)); !done || p.Answer().After != time.Millisecond {
		t.Errorf("the second question is answered: %+v", p.Answer())
	}
}

// TestEcho answers pings: with the reply, and with messages that are no reply to them.
func TestEcho(t *testing.T) {
	for _, f := range []Flow{flow4, flow6} {
		f.Service = netip.AddrPortFrom(f.Service.Addr(), 0)
		reply := func(change func(message []byte)) []byte {
			protocol, kind := byte(protocolICMP), byte(echoReply4)
			if f.Service.Addr().Is6() {
				protocol, kind = protocolICMPv6, echoReply6
			}
			sent, ok := splitIP(f.question(1, testSeq)[ethHeader:])
			if !ok || sent.protocol != protocol {
				t.Fatalf("the question is %+v", sent)
			}
			message := slices.Clone(sent.payload)
			message[0], message[2], message[3] = kind, 0, 0
			change(message)
			check := ^checksum.Fold(checksum.Sum(0, message))
			if f.Service.Addr().Is6() {
				check = checksumOf(f.Service.Addr(), f.Source.Addr(), protocol, message)
			}
			binary.BigEndian.PutUint16(message[2:], check)
			back := Flow{From: f.To, To: f.From, Source: f.Service, Service: f.Source}
			return back.frame(protocol, message)
		}
		p := New(f, testSeq, Options{Questions: 2, Interval: time.Millisecond})
		p.Step(start)
		p.Step(start.Add(time.Millisecond))
		for name, frame := range map[string][]byte{
			"the request":        reply(func(m []byte) { m[0] = echoRequest6 }),
			"another identifier": reply(func(m []byte) { m[4] ^= 1 }),
			"other data":         reply(func(m []byte) { m[8] ^= 1 }),
			"a SYN-ACK":          segmentFrom(f, 1, flagSYN|flagACK, testSeq+1),
		} {
			if _, done := p.Hear(start.Add(2*time.Millisecond), frame); done {
				t.Errorf("%s ends the probe of %v", name, f.Service)
			}
		}
		last, done := p.Hear(start.Add(3*time.Millisecond), reply(func([]byte) {}))
		if !done || len(last) > 0 || p.Answer().Outcome != Open || p.Answer().After != 2*time.Millisecond {
			t.Errorf("%v: %+v and %d frames", f.Service, p.Answer(), len(last))
		}
	}
}

// TestCertain gives ICMP errors and redirects to a probe that waits for a Pod.
func TestCertain(t *testing.T) {
	for _, f := range []Flow{flow4, flow6} {
		router, kind, move := netip.MustParseAddr("192.0.2.12"), byte(unreachable4), byte(redirect4)
		if f.Service.Addr().Is6() {
			router, kind, move = netip.MustParseAddr("2001:db8::12"), unreachable6, redirect6
		}
		p := New(f, testSeq, Options{Certain: true})
		p.Step(start)
		if _, done := p.Hear(start, errorFrom(f, router, move, 1, f.syn(0, testSeq))); done || !p.Answer().Redirected || p.Answer().Outcome != Silent {
			t.Errorf("after a redirect: %+v", p.Answer())
		}
		if _, done := p.Hear(start, errorFrom(f, router, kind, 3, f.syn(0, testSeq))); done || p.Answer().Outcome != Unreachable {
			t.Errorf("after an error: %+v", p.Answer())
		}
		if _, done := p.Hear(start, segmentFrom(f, 0, flagSYN|flagACK, testSeq+1)); !done || p.Answer().Outcome != Open || !p.Answer().Redirected {
			t.Errorf("after a SYN-ACK: %+v", p.Answer())
		}
	}
}

// TestFrames compares the bytes of a question and its end with those that RFC 791, RFC 8200 and RFC 9293 ask for.
func TestFrames(t *testing.T) {
	for _, f := range []Flow{flow4, flow6} {
		for _, frame := range [][]byte{f.syn(3, testSeq), f.rst(3, testSeq)} {
			p, ok := splitIP(frame[ethHeader:])
			if !ok || len(frame) < leastFrame || MAC(frame[:6]) != f.To || MAC(frame[6:]) != f.From {
				t.Fatalf("%x is no frame of the flow", frame)
			}
			if p.source != f.Source.Addr() || p.destination != f.Service.Addr() || checksumOf(p.source, p.destination, protocolTCP, p.payload) != 0 {
				t.Errorf("%+v has wrong addresses or a wrong checksum", p)
			}
			if binary.BigEndian.Uint16(p.payload) != 61003 || binary.BigEndian.Uint32(p.payload[4:]) != testSeq {
				t.Errorf("%x has wrong ports or a wrong number", p.payload)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	router4, router6 := netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("2001:db8::12")
	f.Add(segmentFrom(flow4, 0, flagSYN|flagACK, testSeq+1))
	f.Add(segmentFrom(flow6, 1, flagRST|flagACK, testSeq+1))
	f.Add(errorFrom(flow4, router4, 3, 1, flow4.syn(0, testSeq)))
	f.Add(errorFrom(flow6, router6, 1, 3, flow6.syn(0, testSeq)))
	f.Add(errorFrom(flow6, router6, redirect6, 0, flow6.syn(0, testSeq)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, flow := range []Flow{flow4, flow6} {
			r, ok := flow.parse(frame, 2, testSeq)
			if !ok {
				continue
			}
			if r.question < 0 || r.question > 1 || MAC(frame[:6]) != flow.From || r.answer.By != MAC(frame[6:12]) {
				t.Fatalf("%x is read as %+v", frame, r)
			}
			if segment := r.answer.Outcome == Open || r.answer.Outcome == Refused; segment && r.answer.From != flow.Service.Addr() {
				t.Fatalf("a segment of %v is read as %+v", r.answer.From, r)
			}
			if r.answer.Outcome == Silent && !r.answer.Redirected {
				t.Fatalf("%x is read as an answer without a result", frame)
			}
		}
	})
}
