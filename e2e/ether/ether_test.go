package ether

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestParseClaim reads frames as they are on the wire.
func TestParseClaim(t *testing.T) {
	const (
		station   = "020000000001"
		arpHeader = "0806 0001 0800 06 04"
		advert    = "86dd 60000000 0020 3a ff fe800000000000000000000000000001 ff020000000000000000000000000001 88 00 0000"
		target    = "fd000099000000000000000000010001"
		option    = "02 01 " + station
	)
	four, six := netip.MustParseAddr("10.99.128.1"), netip.MustParseAddr("fd00:99::1:1")
	for _, c := range []struct {
		name, frame string
		addr        netip.Addr
		announced   bool
	}{
		{"reply", "020000000009" + station + arpHeader + "0002" + station + "0a638001 020000000009 0a630002", four, false},
		{"gratuitous reply", "ffffffffffff" + station + arpHeader + "0002" + station + "0a638001" + station + "0a638001", four, true},
		{"gratuitous request", "ffffffffffff" + station + arpHeader + "0001" + station + "0a638001 000000000000 0a638001", four, true},
		{"request for another", "ffffffffffff" + station + arpHeader + "0001" + station + "0a638001 000000000000 0a630002", four, false},
		{"probe", "ffffffffffff" + station + arpHeader + "0001" + station + "00000000 000000000000 0a638001", netip.Addr{}, false},
		{"short", "ffffffffffff" + station + arpHeader + "0001" + station, netip.Addr{}, false},
		{"solicited advertisement", "020000000009" + station + advert + "60000000" + target + option, six, false},
		{"unsolicited advertisement", "333300000001" + station + advert + "20000000" + target + option, six, true},
		{"solicitation", "333300000001" + station + strings.Replace(advert, " 88 00", " 87 00", 1) + "00000000" + target + option, netip.Addr{}, false},
		{"nothing", "", netip.Addr{}, false},
	} {
		claim, ok := ParseClaim(unhex(t, c.frame))
		if ok != c.addr.IsValid() || ok && (claim.Addr != c.addr || claim.Announced != c.announced || claim.MAC != MAC{2, 0, 0, 0, 0, 1}) {
			t.Errorf("%s: %+v, %t", c.name, claim, ok)
		}
	}
}

// FuzzParseClaim reads whatever may be on a wire without failing.
func FuzzParseClaim(f *testing.F) {
	mac := MAC{2, 0, 0, 0, 0, 1}
	f.Add([]byte{})
	f.Add(Question(netip.MustParseAddr("10.99.128.1"), netip.MustParseAddr("10.99.0.1"), mac)) // an asker claims its own address
	f.Add(Question(netip.MustParseAddr("fd00:99::1:1"), netip.MustParseAddr("fd00:99::1"), mac))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, ok := ParseClaim(frame); ok && (!c.Addr.IsValid() || c.Addr.IsUnspecified() && c.Addr.Is4()) {
			t.Errorf("%+v", c)
		}
	})
}

// TestQuestion holds a solicitation's checksum, which the nodes' kernels drop if it is wrong: over all of it and the pseudo
// header it comes out as zero.
func TestQuestion(t *testing.T) {
	source, target := netip.MustParseAddr("fd00:99::1"), netip.MustParseAddr("fd00:99::1:abcd")
	frame := Question(target, source, MAC{2, 0, 0, 0, 0, 1})
	if want := unhex(t, "3333ffffabcd"[:4]+"ff01abcd"); string(frame[:6]) != string(want) {
		t.Errorf("sent to %x, want the group of the target, %x", frame[:6], want)
	}
	body := frame[HeaderSize:]
	if sum := checksum(body[8:24], body[24:40], body[40:]); sum != 0 {
		t.Errorf("checksum is off by %04x", sum)
	}
}

// TestPing answers a ping of either family by hand.
func TestPing(t *testing.T) {
	request := Ping(0x1234, true)
	if sum := internetChecksum(request); sum != 0 {
		t.Errorf("checksum is off by %04x", sum)
	}
	header := unhex(t, "45000020 00000000 40010000 0a638001 0a630002")
	reply := append(header, request...)
	if _, ok := ParseReply(reply, true); ok {
		t.Error("a request is taken for a reply")
	}
	reply[20] = 0
	if n, ok := ParseReply(reply, true); !ok || n != 0x1234 {
		t.Errorf("%x, %t", n, ok)
	}
	if _, ok := ParseReply(reply[:28], true); ok {
		t.Error("a short reply is read")
	}
	reply = Ping(0x1234, false)
	reply[0] = 129
	if n, ok := ParseReply(reply, false); !ok || n != 0x1234 {
		t.Errorf("%x, %t", n, ok)
	}
	reply[5]++
	if _, ok := ParseReply(reply, false); ok {
		t.Error("another's reply is taken for ours")
	}
}

// TestTags adds VLAN tags and removes the same tags.
func TestTags(t *testing.T) {
	frame := Question(netip.MustParseAddr("10.99.128.1"), netip.MustParseAddr("10.99.0.1"), MAC{2, 0, 0, 0, 0, 1})
	for _, vlans := range [][]uint16{nil, {7}, {4094}, {100, 200}} {
		tagged := Tagged(frame, vlans...)
		got, bare := Untagged(tagged)
		if !slices.Equal(got, vlans) || !bytes.Equal(bare, frame) {
			t.Errorf("%v: tags %v of %x", vlans, got, bare)
		}
		if c, ok := ParseClaim(tagged); !ok || !slices.Equal(c.VLANs, vlans) || c.MAC != (MAC{2, 0, 0, 0, 0, 1}) || !c.Request {
			t.Errorf("%v: %+v, %t", vlans, c, ok)
		}
	}
	outer := Tagged(frame, 100, 200)
	if want := unhex(t, "88a8 0064 8100 00c8 0806"); !bytes.Equal(outer[12:22], want) {
		t.Errorf("tags %x, want %x", outer[12:22], want)
	}
}

// TestAnswer reads the answers to questions of both families, and finds no answer to other frames.
func TestAnswer(t *testing.T) {
	asker, owner := MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}
	for target, source := range map[string]string{"10.99.128.1": "10.99.0.1", "fd00:99::1:1": "fd00:99::1"} {
		addr, from := netip.MustParseAddr(target), netip.MustParseAddr(source)
		question := Question(addr, from, asker)
		answer, got, ok := Answer(question, owner)
		c, read := ParseClaim(answer)
		if !ok || !read || got != addr || MAC(answer) != asker || c.Addr != addr || c.To != from || c.MAC != owner || c.Announced || c.Request {
			t.Errorf("%s: %+v, %t, %t", target, c, ok, read)
		}
		if addr.Is6() && c.Option != owner {
			t.Errorf("%s: the option has %s", target, c.Option)
		}
		for name, frame := range map[string][]byte{
			"its own": Question(addr, from, owner), "an announcement": Announcement(addr, asker), "a ping": Echo(addr, from, owner, asker, 0),
		} {
			if _, _, ok := Answer(frame, owner); ok {
				t.Errorf("%s: %s is answered", target, name)
			}
		}
		if c, ok := ParseClaim(Announcement(addr, owner)); !ok || !c.Announced || c.Request || c.MAC != owner {
			t.Errorf("%s: announced as %+v, %t", target, c, ok)
		}
	}
}

// TestTrace reads a trace with tshark, which prints the time, the size and the kind of each frame.
func TestTrace(t *testing.T) {
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "trace.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var trace Trace
	addr, from, mac := netip.MustParseAddr("fd00:99::1:1"), netip.MustParseAddr("fd00:99::1"), MAC{2, 0, 0, 0, 0, 1}
	for i, frame := range [][]byte{Question(addr, from, mac), Announcement(addr, mac), Echo(addr, from, mac, mac, 1000), Question(addr, from, mac)} {
		trace.Add(time.Unix(int64(i), 5), frame)
	}
	if err := trace.Write(file, time.Unix(1, 0), time.Unix(3, 0)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-r", file.Name(), "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "icmpv6.type", "-e", "icmpv6.checksum.status").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "1.000000005\t86\t136\t1") || !strings.HasPrefix(lines[1], "2.000000005\t1066\t128") {
		t.Errorf("tshark reads %q", lines)
	}
}

// TestLog waits for a claim, and takes claims in the order of their arrival.
func TestLog(t *testing.T) {
	var l Log
	start := time.Now()
	claims, changed := l.Watch(start)
	if len(claims) != 0 {
		t.Errorf("an empty log has %v", claims)
	}
	l.Add(Claim{At: start.Add(2), MAC: MAC{2}})
	<-changed
	l.Add(Claim{At: start.Add(1), MAC: MAC{1}})
	l.Add(Claim{At: start.Add(-1), MAC: MAC{3}})
	if got := l.Since(start); len(got) != 2 || got[0].MAC != (MAC{1}) || got[1].MAC != (MAC{2}) {
		t.Errorf("since the start: %v", got)
	}
	if got := l.Take(); len(got) != 3 || got[0].MAC != (MAC{3}) {
		t.Errorf("took %v", got)
	}
	if got := l.Take(); len(got) != 0 {
		t.Errorf("took %v again", got)
	}
}
