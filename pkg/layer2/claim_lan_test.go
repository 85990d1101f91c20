package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

func TestClaimsAreHeard(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	registry := prometheus.NewPedanticRegistry()
	o := layer2.Options{Registerer: registry, Heard: func(c layer2.Claim) { claims <- c }}
	inBubble(t, o, func(t *testing.T, l *lab) {
		stranger := l.lan.Host("stranger", lantest.Linux, client4)
		eth1 := l.node.Add("eth1", subnet4, subnet6)
		l.set(vip4, vip6)
		l.pass(time.Minute)
		if n := len(claims); n != 0 {
			t.Fatalf("%d claims heard of this node's own two interfaces", n)
		}
		stranger.Probe(vip4)
		stranger.Probe(vip6)
		stranger.Announce(netip.MustParseAddr("192.0.2.81"))
		synctest.Wait()
		if n := len(claims); n != 0 {
			t.Fatalf("%d claims heard of probes and of other addresses", n)
		}
		l.lan.Cut("node/eth1", true)
		stranger.Announce(vip4)
		stranger.Announce(vip6)
		synctest.Wait()
		want := []layer2.Claim{
			{Addr: vip4, MAC: stranger.MAC(), Interface: "eth0", Form: layer2.Request},
			{Addr: vip6, MAC: stranger.MAC(), Interface: "eth0", Form: layer2.Advertisement},
		}
		got := []layer2.Claim{<-claims, <-claims}
		slices.SortFunc(got, func(a, b layer2.Claim) int { return a.Addr.Compare(b.Addr) })
		if !slices.Equal(got, want) {
			t.Errorf("heard %+v, want %+v", got, want)
		}
		l.pass(2 * time.Second)
		stranger.Send(arpOf(arp.OperationReply, eth1.MAC(), stranger.MAC(), vip4, eth1.MAC(), vip4))
		stranger.Send(arpOf(arp.OperationReply, l.eth0.MAC(), stranger.MAC(), vip4, l.eth0.MAC(), client4))
		synctest.Wait()
		if c := <-claims; c.Form != layer2.Reply {
			t.Errorf("heard %+v, want a reply", c)
		}
	})
	if n, err := testutil.GatherAndCount(registry, "lanlord_layer2_claims_total"); err != nil || n != 2 {
		t.Errorf("%d series of claims, %v, want 2", n, err)
	}
}

func TestClaimsAreLimited(t *testing.T) {
	var claims []layer2.Claim
	heard := make(chan layer2.Claim, 10000)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { heard <- c }}, func(t *testing.T, l *lab) {
		l.set(vip4)
		strangers := make([]*lantest.Host, 10)
		for i := range strangers {
			strangers[i] = l.lan.Host("stranger", lantest.Linux, client4)
		}
		for range 100 { // for 10 s
			for _, s := range strangers {
				s.Announce(vip4)
			}
			l.pass(100 * ms)
		}
		close(heard)
	})
	for c := range heard {
		claims = append(claims, c)
	}
	if n := len(claims); n < 36 || n > 44 {
		t.Errorf("%d of 1,000 claims passed on in 10 s, want four a second", n)
	}
}

// arpOf encodes an ARP packet with any fields.
func arpOf(op arp.Operation, to, sender layer2.MAC, senderIP netip.Addr, target layer2.MAC, targetIP netip.Addr) []byte {
	p, err := arp.NewPacket(op, sender[:], senderIP, target[:], targetIP)
	if err != nil {
		panic(err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		panic(err)
	}
	f := ethernet.Frame{Destination: to[:], Source: sender[:], EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}

// TestWatchedAddresses requires that the announcer reports claims of watched addresses, in every form, and sends
// nothing for these addresses.
func TestWatchedAddresses(t *testing.T) {
	claims := make(chan layer2.Claim, 100)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { claims <- c }}, func(t *testing.T, l *lab) {
		peer := l.lan.Host("peer", lantest.Linux, client4)
		l.a.Set([]layer2.Target{{Addr: vip4, Mode: layer2.Watch}, {Addr: vip6, Mode: layer2.Watch}})
		synctest.Wait()
		if _, ok := peer.Resolve(vip4); ok {
			t.Error("an address that is only watched is answered")
		}
		l.pass(10 * time.Second)
		if n := len(l.lan.From("node/eth0")); n != 0 {
			t.Errorf("%d frames sent for addresses that are only watched", n)
		}
		group := netip.MustParseAddr("ff02::1:ff00:80")
		if slices.Contains(l.eth0.Groups(), group) {
			t.Error("joined the group of an address that is only watched")
		}
		for _, frame := range []struct {
			form layer2.Form
			send func()
		}{
			{layer2.Request, func() { peer.Announce(vip4) }},
			{layer2.Reply, func() {
				peer.Send(arpOf(arp.OperationReply, l.eth0.MAC(), peer.MAC(), vip4, l.eth0.MAC(), subnet4.Addr()))
			}},
			{layer2.Advertisement, func() { peer.Announce(vip6) }},
		} {
			frame.send()
			synctest.Wait()
			select {
			case c := <-claims:
				if c.MAC != peer.MAC() || c.Interface != "eth0" || c.Form != frame.form || c.Mode != layer2.Watch {
					t.Errorf("heard %+v, want a %s of the peer's", c, frame.form)
				}
			default:
				t.Errorf("a %s was not heard", frame.form)
			}
			l.pass(2 * time.Second)
		}
		// From watching to answering without a gap, and back.
		l.set(vip4)
		if mac, ok := peer.Resolve(vip4); !ok || mac != l.eth0.MAC() {
			t.Errorf("resolved to %s, %t after the address was taken", mac, ok)
		}
		peer.Announce(vip4)
		synctest.Wait()
		if c := <-claims; c.Mode != layer2.Answer {
			t.Errorf("heard %+v, want a claim of an address that is answered for", c)
		}
	})
}

// TestClaimsOfAWholeNode makes a peer take over 5,000 addresses at once, and requires a report of each claim.
func TestClaimsOfAWholeNode(t *testing.T) {
	heard := make(chan layer2.Claim, 20000)
	inBubble(t, layer2.Options{Heard: func(c layer2.Claim) { heard <- c }}, func(t *testing.T, l *lab) {
		peer := l.lan.Host("peer", lantest.Linux, client4)
		var targets []layer2.Target
		for i := range 5000 {
			targets = append(targets, layer2.Target{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Mode: layer2.Watch})
		}
		l.a.Set(targets)
		synctest.Wait()
		for i, target := range targets {
			peer.Announce(target.Addr)
			if i%1000 == 999 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := len(heard); n != len(targets) {
			t.Errorf("heard of %d addresses, want %d", n, len(targets))
		}
	})
}
