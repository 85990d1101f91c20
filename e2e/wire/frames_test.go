package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
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
		claim, ok := parseClaim(unhex(t, c.frame))
		if ok != c.addr.IsValid() || ok && (claim.Addr != c.addr || claim.Announced != c.announced || claim.MAC != MAC{2, 0, 0, 0, 0, 1}) {
			t.Errorf("%s: %+v, %t", c.name, claim, ok)
		}
	}
}

// FuzzParseClaim reads whatever may be on a wire without failing.
func FuzzParseClaim(f *testing.F) {
	mac := MAC{2, 0, 0, 0, 0, 1}
	f.Add([]byte{})
	f.Add(question(netip.MustParseAddr("10.99.128.1"), netip.MustParseAddr("10.99.0.1"), mac)) // an asker claims its own address
	f.Add(question(netip.MustParseAddr("fd00:99::1:1"), netip.MustParseAddr("fd00:99::1"), mac))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if c, ok := parseClaim(frame); ok && (!c.Addr.IsValid() || c.Addr.IsUnspecified() && c.Addr.Is4()) {
			t.Errorf("%+v", c)
		}
	})
}

// TestQuestion holds a solicitation's checksum, which the nodes' kernels drop if it is wrong: over all of it and the pseudo
// header it comes out as zero.
func TestQuestion(t *testing.T) {
	source, target := netip.MustParseAddr("fd00:99::1"), netip.MustParseAddr("fd00:99::1:abcd")
	frame := question(target, source, MAC{2, 0, 0, 0, 0, 1})
	if want := unhex(t, "3333ffffabcd"[:4]+"ff01abcd"); string(frame[:6]) != string(want) {
		t.Errorf("sent to %x, want the group of the target, %x", frame[:6], want)
	}
	body := frame[etherHeader:]
	if sum := checksum([16]byte(body[8:24]), [16]byte(body[24:40]), body[40:]); sum != 0 {
		t.Errorf("checksum is off by %04x", sum)
	}
}

// TestPing answers a ping of either family by hand.
func TestPing(t *testing.T) {
	request := ping(0x1234, true)
	if sum := internetChecksum(request); sum != 0 {
		t.Errorf("checksum is off by %04x", sum)
	}
	header := unhex(t, "45000020 00000000 40010000 0a638001 0a630002")
	reply := append(header, request...)
	if _, ok := parseReply(reply, true); ok {
		t.Error("a request is taken for a reply")
	}
	reply[20] = 0
	if n, ok := parseReply(reply, true); !ok || n != 0x1234 {
		t.Errorf("%x, %t", n, ok)
	}
	if _, ok := parseReply(reply[:28], true); ok {
		t.Error("a short reply is read")
	}
	reply = ping(0x1234, false)
	reply[0] = 129
	if n, ok := parseReply(reply, false); !ok || n != 0x1234 {
		t.Errorf("%x, %t", n, ok)
	}
	reply[5]++
	if _, ok := parseReply(reply, false); ok {
		t.Error("another's reply is taken for ours")
	}
}
