package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/notify"
)

// TestClaimsWithoutEndAreAnswered lets two hosts claim an address in turn, without a second between two claims. The
// owner announces the address as often as allowed and no more, and the Service gets an Event.
func TestClaimsWithoutEndAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {refresh: 1h}\n", []string{"a", "b", "c"}, addr4)
		time.Sleep(70 * time.Second)
		owner := v.only(addr4)
		x := v.lan.Host("x", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		y := v.lan.Host("y", lantest.Linux, netip.MustParseAddr("10.0.0.252"))
		frames := len(v.lan.Trace())
		const lasts = 60 * time.Second
		for range int(lasts / time.Second) {
			x.Announce(addr4)
			time.Sleep(500 * time.Millisecond)
			y.Announce(addr4)
			time.Sleep(500 * time.Millisecond)
		}
		synctest.Wait()
		// Each defence begins a schedule of announcements, two frames each time.
		announced := 0
		for _, f := range v.lan.Trace()[frames:] {
			if f.From == owner.name+"/eth0" && f.Announces(addr4) {
				announced++
			}
		}
		const frame, rounds = 2, 5
		if least, most := int(lasts/defendInterval)*frame, int(lasts/defendInterval+1)*frame*rounds; announced < least || announced > most {
			t.Errorf("the owner announced its address with %d frames while it was claimed for %v, want %d to %d\n%s", announced, lasts, least, most, v.lan)
		}
		if now := v.only(addr4); now != owner {
			t.Errorf("%s has the address, which was %s's", now.name, owner.name)
		}
		warnings := 0
		for _, e := range v.told() {
			if e.Reason == notify.ConflictReason && e.Object.Name == "s0" {
				warnings++
			}
		}
		if most := 2 * int(lasts/defendInterval+1); warnings == 0 || warnings > most {
			t.Errorf("%d Events tell of the conflict, want some, and %d at most", warnings, most)
		}
	})
}

// TestFasterStranger has a host answer for an address before its owner does, while another node, which the election names, waits: the
// address stays where it is, as long as the owner answers at all.
func TestFasterStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr4)
		winner := v.speakers[v.speakers["a"].loop.Status().Placements[0].Owner]
		winner.die()
		time.Sleep(3 * time.Second)
		owner := v.only(addr4)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		stranger.Own(addr4, true)
		v.lan.Delay(owner.name+"/eth0", 5*time.Millisecond, 0)
		winner.boot()
		time.Sleep(10 * strangerBound)
		stranger.Own(addr4, false)
		v.lan.Delay(owner.name+"/eth0", 0, 0)
		synctest.Wait()
		if now := v.only(addr4); now != owner {
			t.Errorf("%s has taken the address from %s, which has answered all the time\n%s", now.name, owner.name, v.lan)
		}
	})
}

// TestManyClaimsCostFewSteps lets a host claim many addresses all the time. The owners defend all addresses together.
func TestManyClaimsCostFewSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs []netip.Addr
		for i := range 100 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i)}))
		}
		v := newTestCluster(t, "layer2: {refresh: 1h}\n", []string{"a"}, addrs...)
		time.Sleep(70 * time.Second)
		p := v.speakers["a"]
		x := v.lan.Host("x", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		looks := 0
		p.mu.Lock()
		p.snapped = func() { looks++ }
		p.mu.Unlock()
		const lasts = 20 * time.Second
		for range int(lasts / (10 * time.Millisecond)) {
			x.Announce(addrs[int(time.Now().UnixMilli()/10)%len(addrs)])
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if most := int(lasts/defendPause) * 3; looks == 0 || looks > most {
			t.Errorf("the speaker decided %d times because of claims in %v, want some, and %d at most", looks, lasts, most)
		}
	})
}

// claimAs sends the announcement of a node from another station.
func claimAs(h *lantest.Host, mac layer2.MAC, addr netip.Addr) {
	a, from := addr.As4(), h.MAC()
	frame := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, mac[:], a[:], mac[:], a[:])
	h.Send(frame)
}

// TestBorrowedMAC lets a foreign host claim an address for a while with the MAC address of a node that does not own the
// address. No node can distinguish these claims from the node's own claims, so the owner may yield. Soon after the last
// claim, exactly one node answers.
func TestBorrowedMAC(t *testing.T) {
	for _, c := range []struct {
		name     string
		failback string
		// waits means that the elected node is the node whose MAC address the foreign host uses, and that the node
		// waits for the owner.
		waits bool
		back  time.Duration
	}{
		{"of the owner's peer", "60s", false, 3 * time.Second},
		{"of the owner's peer, failback never", "never", false, 3 * time.Second},
		{"of the node that waits", "never", true, reassurance + 3*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "layer2: {failback: "+c.failback+", refresh: 1h}\n", []string{"a", "b", "c"}, addr4)
				winner := v.speakers[v.speakers["a"].loop.Status().Placements[0].Owner]
				if c.waits {
					winner.die()
					time.Sleep(3 * time.Second)
					winner.boot()
				}
				time.Sleep(70 * time.Second)
				owner := v.only(addr4)
				x := v.lan.Host("x", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
				for range 30 {
					for _, p := range v.speakers {
						if p != owner && (p == winner) == c.waits {
							claimAs(x, p.nic.MAC(), addr4)
						}
					}
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(c.back)
				synctest.Wait()
				v.only(addr4)
			})
		})
	}
}
