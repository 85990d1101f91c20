package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// FuzzFramer reads the same stream whole and in two pieces: the messages must be the same, and nothing may panic.
func FuzzFramer(f *testing.F) {
	f.Add(AppendKeepalive(AppendKeepalive(nil)), 7)
	f.Add(AppendEndOfRIB(AppendRouteRefresh(nil, IPv6), IPv6), 20)
	f.Add(Notification{Code: 6, Subcode: 2, Data: []byte{1, 'a'}}.Append(nil), 19)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		cut = min(max(cut, 0), len(stream))
		whole, wholeErr := frames(stream)
		parts, partsErr := frames(stream[:cut], stream[cut:])
		if (wholeErr == nil) != (partsErr == nil) || !bytes.Equal(whole, parts) {
			t.Errorf("whole: % x %v; in pieces: % x %v", whole, wholeErr, parts, partsErr)
		}
	})
}

// frames returns the types and bodies of all messages, until an error.
func frames(pieces ...[]byte) (all []byte, err error) {
	var f Framer
	for _, piece := range pieces {
		f.Write(piece)
		for {
			m, ok, err := f.Next()
			if err != nil {
				return all, err
			}
			if !ok {
				break
			}
			all = append(append(all, byte(m.Type)), m.Body...)
		}
	}
	return all, nil
}

// FuzzOpen holds that an OPEN that is read can be written and read again, and that errors have a NOTIFICATION.
func FuzzOpen(f *testing.F) {
	f.Add(open()[HeaderLen:])
	f.Add(open(2, 6, 65, 4, 0, 1, 0, 0)[HeaderLen:])
	f.Add(Open{65000, 90 * time.Second, netip.MustParseAddr("10.0.0.7"), &Capabilities{
		Multiprotocol: true, Families: [FamilyCount]bool{true, true}, RouteRefresh: true, FourByteASN: true,
		ExtendedNextHop: true,
		GracefulRestart: &GracefulRestart{Time: time.Second, Families: [FamilyCount]bool{true, true}},
	}}.Append(nil)[HeaderLen:])
	f.Add(message(TypeOpen, 4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 1, 0, 0)[HeaderLen:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 10 {
			return // the framer lets none through
		}
		o, err := ParseOpen(body)
		if err != nil {
			if invalid, ok := errors.AsType[*Error](err); !ok || invalid.Notification.Code != CodeOpen {
				t.Errorf("% x: %v", body, err)
			}
			return
		}
		again, err := ParseOpen(o.Append(nil)[HeaderLen:])
		fourByte := o.Capabilities != nil && o.Capabilities.FourByteASN
		if err != nil || fourByte && again.ASN != o.ASN || again.HoldTime != o.HoldTime {
			t.Errorf("%+v became %+v: %v", o, again, err)
		}
	})
}

// FuzzUpdate holds that CheckUpdate accepts what the library accepts, and never panics.
func FuzzUpdate(f *testing.F) {
	e := Encoding{LocalASN: 64512, NextHop: bothHops()}
	for _, text := range []string{"192.0.2.0/24", "2001:db8::/32"} {
		p := netip.MustParsePrefix(text)
		attributes, err := e.Attributes(&Route{Prefix: p}, FamilyOf(p.Addr()))
		if err != nil {
			f.Fatal(err)
		}
		u := e.Announce(nil, FamilyOf(p.Addr()), attributes)
		u.Add(p)
		f.Add(u.End()[HeaderLen:])
		u = e.Withdraw(nil, FamilyOf(p.Addr()))
		u.Add(p)
		f.Add(u.End()[HeaderLen:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 4 || len(body) > MaxLen-HeaderLen {
			return
		}
		err := CheckUpdate(body)
		if err == nil {
			return
		}
		if invalid, ok := errors.AsType[*Error](err); !ok || invalid.Notification.Code != CodeUpdate {
			t.Errorf("% x: %v", body, err)
		}
		if accepts(body) {
			t.Errorf("% x: %v, and the library accepts it", body, err)
		}
	})
}

// accepts tells whether the library reads an UPDATE without an error.
func accepts(body []byte) bool {
	m, err := bgp.ParseBGPMessage(message(TypeUpdate, body...))
	if err != nil {
		return false
	}
	families := map[bgp.Family]bgp.BGPAddPathMode{bgp.RF_IPv4_UC: 0, bgp.RF_IPv6_UC: 0}
	ok, err := bgp.ValidateUpdateMsg(m.Body.(*bgp.BGPUpdate), families, false, false, false)
	return ok && err == nil
}

// FuzzNotification holds that every NOTIFICATION has words, without control characters.
func FuzzNotification(f *testing.F) {
	f.Add([]byte{6, 2, 3, 'a', '\n', 'b'})
	f.Add([]byte{6, 9, 6, 9, 6, 9, 6, 2})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 2 {
			return
		}
		text := ParseNotification(body).String()
		if text == "" || bytes.ContainsAny([]byte(text), "\n\r\x00\x1b") {
			t.Errorf("% x: %q", body, text)
		}
	})
}
