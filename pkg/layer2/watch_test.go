package layer2

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// TestWatchedVerdicts requires the right verdicts on claims of watched and probed addresses, and no answers.
func TestWatchedVerdicts(t *testing.T) {
	none, group := netip.IPv4Unspecified(), solicitedNode(watched6)
	probed4, probed6 := netip.MustParseAddr("192.0.2.91"), netip.MustParseAddr("2001:db8::91")
	fromWatched6 := func(target netip.Addr, options ...ndp.Option) []byte {
		return ndpBytes(t, groupMACOf(target), askerMAC, watched6, solicitedNode(target), solicitation(target, options...))
	}
	claim := func(addr netip.Addr, form Form, mode Mode) Claim {
		return Claim{Addr: addr, MAC: askerMAC, Interface: "eth0", Form: form, Mode: mode}
	}
	answering := func(c Claim) Claim {
		c.Answer = true
		return c
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  Verdict
		claim Claim
	}{
		{"gratuitous request", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, watched4, MAC{}, watched4), Watched, claim(watched4, Request, Watch)},
		{"gratuitous reply", arpBytes(t, arp.OperationReply, broadcast, askerMAC, watched4, askerMAC, watched4), Watched, claim(watched4, Reply, Watch)},
		{"reply to us", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, watched4, ourMAC, asker4), Watched, answering(claim(watched4, Reply, Watch))},
		{"question by its user", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, watched4, MAC{}, free4), Watched, claim(watched4, Request, Watch)},
		{"question by its user to us", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, watched4, MAC{}, held4), Answered, claim(watched4, Request, Watch)},
		{"question for it", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, watched4), NotOurs, Claim{}},
		{"probe for it", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, watched4), NotOurs, Claim{}},
		{"from our other interface", arpBytes(t, arp.OperationRequest, broadcast, otherMAC, watched4, MAC{}, watched4), NotOurs, Claim{}},
		{"reply for a probed address", arpBytes(t, arp.OperationReply, ourMAC, askerMAC, probed4, ourMAC, none), ProbeReply, answering(claim(probed4, Reply, Answer))},
		{"request from a probed address", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, probed4, MAC{}, asker4), ProbeReply, claim(probed4, Request, Answer)},
		{"probe for a probed address", arpBytes(t, arp.OperationRequest, broadcast, askerMAC, none, MAC{}, probed4), NotOurs, claim(probed4, Probing, Answer)},
		{"our other interface probes it", arpBytes(t, arp.OperationRequest, broadcast, otherMAC, none, MAC{}, probed4), NotOurs, Claim{}},
		{"advertisement", naFrom(t, askerMAC, watched6, lladdr(ndp.Target, askerMAC)), Watched, claim(watched6, Advertisement, Watch)},
		{"advertisement of a probed address", naFrom(t, askerMAC, probed6), ProbeReply, claim(probed6, Advertisement, Answer)},
		{"solicitation from it", fromWatched6(free6), Watched, claim(watched6, Solicitation, Watch)},
		{"solicitation from it for ours", fromWatched6(held6), Answered, claim(watched6, Solicitation, Watch)},
		{"solicitation from our other interface", fromWatched6(free6, lladdr(ndp.Source, otherMAC)), NotOurs, Claim{}},
		{"solicitation for it", ndpBytes(t, groupMACOf(watched6), askerMAC, asker6, group, solicitation(watched6)), NotOurs, Claim{}},
		{"detection of it", ndpBytes(t, groupMACOf(watched6), askerMAC, netip.IPv6Unspecified(), group, solicitation(watched6)), NotOurs, Claim{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := testTable()
			table.asked = &inquiries{}
			for _, addr := range []netip.Addr{probed4, probed6} {
				table.asked.add(newInquiry(addr, ProbeOptions{}, 0))
			}
			var h handler = arpHandlerFor(t)
			if c.frame[ethType+1] != 6 {
				h = ndpHandlerFor(t)
			}
			reply, v, got := h.handle(table, c.frame)
			if v != c.want || got != c.claim || (reply != nil) != (v == Answered) {
				t.Errorf("%s, claim %+v, %d bytes of reply, want %s, %+v", v, got, len(reply), c.want, c.claim)
			}
		})
	}
}

// TestHearingAllocatesNothing follows the path of a packet reader, from the frame to the inquiries.
func TestHearingAllocatesNothing(t *testing.T) {
	table := testTable()
	table.asked = &inquiries{}
	for i := range 5000 {
		table.asked.add(newInquiry(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), ProbeOptions{}, 0))
	}
	q := newInquiry(free4, ProbeOptions{}, 0)
	table.asked.add(q)
	h := arpHandlerFor(t)
	for name, c := range map[string]struct {
		frame []byte
		want  Verdict
	}{
		"watched":     {arpBytes(t, arp.OperationReply, broadcast, askerMAC, watched4, askerMAC, watched4), Watched},
		"probe reply": {arpBytes(t, arp.OperationReply, ourMAC, askerMAC, free4, ourMAC, asker4), ProbeReply},
		"foreign":     {arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, netip.MustParseAddr("192.0.2.250")), NotOurs},
	} {
		allocs := testing.AllocsPerRun(1000, func() {
			_, v, claim := h.handle(table, c.frame)
			if v != c.want {
				t.Fatalf("%s: %s, want %s", name, v, c.want)
			}
			table.asked.hear(claim)
		})
		if allocs != 0 {
			t.Errorf("%s: %.1f allocations, want none", name, allocs)
		}
	}
	if n := len(q.heard); n != sightings {
		t.Errorf("%d sightings wait for the caller, want as many as there is room for: %d", n, sightings)
	}
}

// TestInquiries adds and removes many inquiries, several for one address.
func TestInquiries(t *testing.T) {
	var all inquiries
	var list []*inquiry
	for i := range 3000 {
		q := newInquiry(netip.AddrFrom4([4]byte{10, 0, byte(i / 2 >> 8), byte(i / 2)}), ProbeOptions{}, 1)
		list = append(list, q)
		all.add(q)
	}
	for i, q := range list {
		if n := len(all.of(q.addr)); n != 2-i%2 {
			t.Fatalf("%d inquiries for %s, want %d", n, q.addr, 2-i%2)
		}
		all.hear(Claim{Addr: q.addr, MAC: askerMAC})
		if s := <-q.heard; s.claim.MAC != askerMAC {
			t.Fatalf("heard %+v", s)
		}
		all.remove(q)
	}
	if all.of(list[0].addr) != nil || all.count.Load() != 0 {
		t.Error("something is left after everything was removed")
	}
	if (*inquiries)(nil).of(held4) != nil {
		t.Error("nothing knows an inquiry")
	}
}

// TestClaimsAreForgotten requires that addresses with old claims take no memory.
func TestClaimsAreForgotten(t *testing.T) {
	l, now := claimLimits{}, time.Unix(0, 0)
	l.allow(now, Claim{Addr: held4, MAC: askerMAC})
	l.allow(now.Add(claimWindow), Claim{Addr: free4, MAC: askerMAC})
	l.forget(now.Add(claimWindow + 1))
	if _, ok := l[free4]; !ok || len(l) != 1 {
		t.Errorf("%d addresses remembered, want the newer one", len(l))
	}
}

// TestNormalizeModes requires that the announcer answers for an address that is both watched and answered for.
func TestNormalizeModes(t *testing.T) {
	got := normalize([]Target{
		{Addr: held4, Mode: Watch}, {Addr: held4}, {Addr: held6, Mode: Watch},
		{Addr: watched4, Mode: Watch, Announced: true}, {Addr: watched4, Announced: true}, {Addr: watched4, Mode: Watch},
		{Addr: watched6, Announced: true}, {Addr: watched6},
		{Addr: free4, Mode: Watch, Announced: true},
	})
	want := []Target{
		{Addr: held4}, {Addr: watched4, Announced: true}, {Addr: free4, Mode: Watch}, {Addr: held6, Mode: Watch}, {Addr: watched6},
	}
	slices.SortFunc(want, func(a, b Target) int { return a.Addr.Compare(b.Addr) })
	if !slices.EqualFunc(got, want, Target.equal) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
