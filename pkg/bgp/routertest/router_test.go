package routertest

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// open is the OPEN of a speaker of AS 64512.
func open() wire.Open {
	o := wire.Open{ASN: 64512, HoldTime: 90 * time.Second, RouterID: netip.MustParseAddr("10.0.0.7")}
	o.Capabilities = &wire.Capabilities{
		Multiprotocol: true, Families: [wire.FamilyCount]bool{true, true}, RouteRefresh: true, FourByteASN: true,
	}
	return o
}

// up returns a router with an established session.
func up(t *testing.T, o Options) *Router {
	t.Helper()
	o.ASN, o.PeerASN = 64513, 64512
	r := New(o)
	r.Connect()
	r.Receive(open().Append(nil))
	r.Receive(wire.AppendKeepalive(nil))
	if !r.Established() || len(r.Violations()) > 0 {
		t.Fatalf("not established: %v", r.Violations())
	}
	return r
}

// announcement returns an UPDATE with prefixes.
func announcement(e wire.Encoding, prefixes ...string) []byte {
	f := wire.FamilyOf(netip.MustParsePrefix(prefixes[0]).Addr())
	attributes, err := e.Attributes(&wire.Route{LocalPref: 100}, f)
	if err != nil {
		panic(err)
	}
	u := e.Announce(nil, f, attributes)
	for _, p := range prefixes {
		u.Add(netip.MustParsePrefix(p))
	}
	return u.End()
}

func encoding() wire.Encoding {
	return wire.Encoding{LocalASN: 64512, External: true, FourByteASN: true,
		NextHop: [wire.FamilyCount]netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")}}
}

// TestStrict has the router find each error of a speaker.
func TestStrict(t *testing.T) {
	other, internal, extended, normal := encoding(), encoding(), encoding(), encoding()
	other.LocalASN = 64999
	internal.External = false
	extended.NextHop[wire.IPv4] = extended.NextHop[wire.IPv6]
	attributes, err := normal.Attributes(&wire.Route{}, wire.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	path4 := normal.Announce(nil, wire.IPv4, append(attributes, 0xc0, 17, 6, 2, 1, 0, 0, 0xfc, 0))
	path4.Add(netip.MustParsePrefix("192.0.2.1/32"))
	good := announcement(encoding(), "192.0.2.1/32")
	swapped := append([]byte(nil), good...)
	copy(swapped[23:], good[27:36]) // AS_PATH before ORIGIN
	copy(swapped[32:], good[23:27])
	withdraw := func() []byte {
		e := encoding()
		u := e.Withdraw(nil, wire.IPv4)
		u.Add(netip.MustParsePrefix("192.0.2.9/32"))
		return u.End()
	}()
	for _, test := range []struct {
		name  string
		sent  []byte
		finds string
	}{
		{"again", append(append([]byte(nil), good...), good...), "without a change"},
		{"twice", announcement(encoding(), "192.0.2.1/32", "192.0.2.1/32"), "twice"},
		{"another AS", announcement(other, "192.0.2.1/32"), "AS_PATH"},
		{"LOCAL_PREF", announcement(internal, "192.0.2.1/32"), "LOCAL_PREF"},
		{"RFC 8950", announcement(extended, "192.0.2.1/32"), "RFC 8950"},
		{"AS4_PATH", path4.End(), "AS4_PATH to a router"},
		{"order", swapped, "comes after"},
		{"never announced", withdraw, "was not announced"},
		{"End-of-RIB twice", wire.AppendEndOfRIB(wire.AppendEndOfRIB(nil, wire.IPv6), wire.IPv6), "too many"},
		{"refresh", wire.AppendRouteRefresh(nil, wire.IPv4), "only announces"},
		{"second OPEN", open().Append(nil), "second OPEN"},
		{"garbage", append(good[:30:30], make([]byte, 40)...), "not valid"},
	} {
		r := up(t, Options{})
		r.Receive(test.sent)
		if v := strings.Join(r.Violations(), "; "); !strings.Contains(v, test.finds) {
			t.Errorf("%s: %q", test.name, v)
		}
	}
	only := up(t, Options{Only: []wire.Family{wire.IPv6}})
	only.Receive(good)
	if v := only.Violations(); len(v) == 0 {
		t.Error("a family that is not negotiated was taken")
	}
	fine := up(t, Options{})
	fine.Receive(good)
	if v := fine.Violations(); len(v) > 0 || fine.String() != "192.0.2.1/32 via 10.0.0.7 path 64512\n" {
		t.Errorf("%v, %s", v, fine)
	}
	if d := fine.Differences(nil, encoding().NextHop); len(d) != 1 {
		t.Errorf("differences: %v", d)
	}
	if d := fine.Differences([]wire.Route{
		{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Prepend: 1}, {Prefix: netip.MustParsePrefix("192.0.2.2/32")},
	}, encoding().NextHop); len(d) != 2 {
		t.Errorf("differences: %v", d)
	}
}

// TestStale keeps routes after a loss, for one restart, until they expire or the End-of-RIB comes.
func TestStale(t *testing.T) {
	r := up(t, Options{GracefulRestart: &wire.GracefulRestart{Time: time.Minute}})
	r.Receive(announcement(encoding(), "192.0.2.1/32"))
	r.Disconnect()
	if len(r.RIB()) != 0 {
		t.Error("a speaker without graceful restart has stale routes")
	}
	with := open()
	with.Capabilities.GracefulRestart = &wire.GracefulRestart{
		Time: time.Minute, Families: [wire.FamilyCount]bool{true, true},
	}
	for _, end := range []func(){
		r.ExpireStale,
		func() {
			r.Connect()
			r.Receive(wire.AppendEndOfRIB(wire.AppendKeepalive(with.Append(nil)), wire.IPv4))
		},
		func() { // lost a second time
			r.Connect()
			r.Receive(wire.AppendKeepalive(with.Append(nil)))
			r.Disconnect()
		},
	} {
		r.Connect()
		r.Receive(wire.AppendKeepalive(with.Append(nil)))
		r.Receive(announcement(encoding(), "192.0.2.1/32"))
		r.Disconnect()
		if !strings.Contains(r.String(), "stale") {
			t.Errorf("not stale: %s", r)
		}
		end()
		if len(r.RIB()) != 0 {
			t.Errorf("left: %s", r)
		}
		r.Disconnect()
	}
	if v := r.Violations(); len(v) > 0 {
		t.Error(v)
	}
}

// TestServe speaks over a connection.
func TestServe(t *testing.T) {
	ours, theirs := net.Pipe()
	r := New(Options{ASN: 64513, PeerASN: 64512})
	link := r.Link(theirs)
	done := make(chan error, 1)
	go func() { done <- link.Serve() }()
	var f wire.Framer
	next := func() wire.Type {
		t.Helper()
		buf := make([]byte, 4096)
		for {
			if m, ok, err := f.Next(); ok || err != nil {
				return m.Type
			}
			n, err := ours.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			f.Write(buf[:n])
		}
	}
	write := func(b []byte) {
		t.Helper()
		if _, err := ours.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	write(open().Append(nil))
	if a, b := next(), next(); a != wire.TypeOpen || b != wire.TypeKeepalive {
		t.Fatalf("answered %v %v", a, b)
	}
	write(wire.AppendKeepalive(nil))
	write(announcement(encoding(), "192.0.2.1/32"))
	write(wire.AppendKeepalive(nil))
	if got := next(); got != wire.TypeKeepalive || len(r.RIB()) != 1 {
		t.Fatalf("answered %v, routes %s", got, r)
	}
	go func() {
		if err := link.Refresh(wire.IPv4); err != nil {
			t.Error(err)
		}
		if err := link.Notify(wire.Notification{Code: 6, Subcode: 2}); err != nil {
			t.Error(err)
		}
	}()
	if a, b := next(), next(); a != wire.TypeRouteRefresh || b != wire.TypeNotification {
		t.Fatalf("answered %v %v", a, b)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || len(r.RIB()) != 0 {
		t.Errorf("%v, routes %s", err, r)
	}
}
