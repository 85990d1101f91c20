package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// golden is a packet as tshark and RFC 5880 lay it out: version 1, diagnostic 1, Up, Poll, multiplier 3.
const golden = "21e00318 01020304 0a0b0c0d 0000c350 000186a0 00000000"

func goldenBytes(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(golden, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenPacket() Packet {
	return Packet{Diagnostic: DetectionTimeExpired, State: Up, Poll: true, Multiplier: 3, MyDiscriminator: 0x01020304,
		YourDiscriminator: 0x0a0b0c0d, DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 100 * time.Millisecond}
}

func TestGolden(t *testing.T) {
	want := goldenPacket()
	got, verdict := Parse(goldenBytes(t))
	if verdict != Accepted || got != want {
		t.Errorf("Parse = %+v, %v; want %+v", got, verdict, want)
	}
	var b [Size]byte
	want.Marshal(&b)
	if !bytes.Equal(b[:], goldenBytes(t)) {
		t.Errorf("Marshal = %x; want %s", b, golden)
	}
}

// TestChecks breaks one rule of RFC 5880, section 6.8.6, after the other, and then several at once: the first rule
// counts.
func TestChecks(t *testing.T) {
	set := func(offset int, values ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[offset:], values); return b }
	}
	for _, c := range []struct {
		name   string
		breaks []func([]byte) []byte
		want   Verdict
	}{
		{"nothing", nil, Accepted},
		{"an empty datagram", []func([]byte) []byte{func(b []byte) []byte { return b[:0] }}, Truncated},
		{"three bytes", []func([]byte) []byte{func(b []byte) []byte { return b[:3] }}, Truncated},
		{"version 0", []func([]byte) []byte{set(0, 0x01)}, BadVersion},
		{"version 2", []func([]byte) []byte{set(0, 0x41)}, BadVersion},
		{"length 23", []func([]byte) []byte{set(3, 23)}, BadLength},
		{"length 25 in a datagram of 24", []func([]byte) []byte{set(3, 25)}, BadLength},
		{"a datagram of 23", []func([]byte) []byte{func(b []byte) []byte { return b[:23] }}, BadLength},
		{"A bit with length 24", []func([]byte) []byte{set(1, 0xe4)}, BadLength},
		{"A bit with length 26", []func([]byte) []byte{set(1, 0xe4), set(3, 26),
			func(b []byte) []byte { return append(b, 1, 2) }}, Accepted},
		{"bytes after the packet", []func([]byte) []byte{func(b []byte) []byte { return append(b, 1, 2, 3) }},
			Accepted},
		{"multiplier 0", []func([]byte) []byte{set(2, 0)}, ZeroMultiplier},
		{"M bit", []func([]byte) []byte{set(1, 0xe1)}, Multipoint},
		{"my discriminator 0", []func([]byte) []byte{set(4, 0, 0, 0, 0)}, ZeroDiscriminator},
		{"your discriminator 0 while Up", []func([]byte) []byte{set(8, 0, 0, 0, 0)}, LostDiscriminator},
		{"your discriminator 0 in Init", []func([]byte) []byte{set(8, 0, 0, 0, 0), set(1, 0x80)}, LostDiscriminator},
		{"your discriminator 0 while Down", []func([]byte) []byte{set(8, 0, 0, 0, 0), set(1, 0x40)}, Accepted},
		{"your discriminator 0 in AdminDown", []func([]byte) []byte{set(8, 0, 0, 0, 0), set(1, 0)}, Accepted},
		{"version before length", []func([]byte) []byte{set(0, 0), set(3, 1)}, BadVersion},
		{"length before multiplier", []func([]byte) []byte{set(3, 1), set(2, 0)}, BadLength},
		{"multiplier before M", []func([]byte) []byte{set(2, 0), set(1, 0xe1)}, ZeroMultiplier},
		{"M before my discriminator", []func([]byte) []byte{set(1, 0xe1), set(4, 0, 0, 0, 0)}, Multipoint},
		{"my discriminator before yours", []func([]byte) []byte{set(4, 0, 0, 0, 0, 0, 0, 0, 0)}, ZeroDiscriminator},
	} {
		b := goldenBytes(t)
		for _, change := range c.breaks {
			b = change(b)
		}
		if _, got := Parse(b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestBits has each bit of the second byte change one field only.
func TestBits(t *testing.T) {
	for _, c := range []struct {
		bit  byte
		flag func(*Packet) *bool
	}{
		{0x20, func(p *Packet) *bool { return &p.Poll }},
		{0x10, func(p *Packet) *bool { return &p.Final }},
		{0x08, func(p *Packet) *bool { return &p.ControlPlaneIndependent }},
		{0x02, func(p *Packet) *bool { return &p.Demand }},
	} {
		p := goldenPacket()
		p.Poll = false
		*c.flag(&p) = true
		var b [Size]byte
		p.Marshal(&b)
		if b[1] != 0xc0|c.bit {
			t.Errorf("bit %#x: the second byte is %#x", c.bit, b[1])
		}
		if got, _ := Parse(b[:]); got != p {
			t.Errorf("bit %#x: %+v, want %+v", c.bit, got, p)
		}
	}
}

// TestWords has a distinct word for each value of each enumeration.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	add := func(word string) {
		if word == "" || seen[word] {
			t.Errorf("the word %q is empty or used twice", word)
		}
		seen[word] = true
	}
	for s := range StateCount {
		add(State(s).String())
	}
	for d := range DiagnosticCount {
		add(Diagnostic(d).String())
	}
	for v := range VerdictCount {
		add(Verdict(v).String())
	}
	if got := Diagnostic(31).String(); got != "31" {
		t.Errorf("a reserved diagnostic is %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(goldenBytes(f))
	f.Add([]byte{})
	f.Add(append(goldenBytes(f), 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, verdict := Parse(b)
		if verdict != Accepted {
			if p != (Packet{}) {
				t.Errorf("%v comes with a packet: %+v", verdict, p)
			}
			return
		}
		if p.Authenticated { // Marshal writes no authentication section
			return
		}
		var again [Size]byte
		p.Marshal(&again)
		same := bytes.Clone(b[:Size])
		same[3] = Size
		if !bytes.Equal(again[:], same) {
			t.Errorf("%x becomes %x", same, again)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	b, p := [Size]byte(goldenBytes(t)), Packet{}
	if n := testing.AllocsPerRun(100, func() { p, _ = Parse(b[:]); p.Marshal(&b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
