package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// TestStandstill freezes the owner until another node has taken over, and then lets the owner run. The owner reads a
// question from before, answers neither that question nor a new one, learns of the new owner, and releases the address.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr4)
		time.Sleep(10 * time.Second)
		owner := v.only(addr4)
		owner.nic.Freeze(true)
		v.client.Ask(addr4)
		time.Sleep(3 * time.Second)
		successor := v.only(addr4)
		if successor == owner {
			t.Fatal("nobody took over")
		}
		frames := len(v.lan.Trace())
		owner.nic.Freeze(false)
		for range 50 {
			v.client.Ask(addr4)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		for _, f := range v.lan.Trace()[frames:] {
			if f.From == owner.name+"/eth0" && (f.Answers(addr4) || f.Announces(addr4)) {
				t.Errorf("after the standstill: %s", f)
			}
		}
		if now := v.only(addr4); now != successor {
			t.Errorf("%s has the address, want %s", now.name, successor.name)
		}
	})
}

// TestStandstillAlone freezes the owner for so short a time that no node has taken over. The owner probes the address,
// and goes on.
func TestStandstillAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a"}, addr4, addr6)
		time.Sleep(10 * time.Second)
		owner := v.only(addr4)
		owner.nic.Freeze(true)
		v.client.Ask(addr4)
		time.Sleep(600 * time.Millisecond)
		owner.nic.Freeze(false)
		time.Sleep(150 * time.Millisecond)
		for _, a := range []netip.Addr{addr4, addr6} {
			if v.only(a) != owner {
				t.Errorf("%s is not answered for after the standstill", a)
			}
		}
	})
}

// TestStandstillBesideStranger freezes the owner while a foreign host answers for its address. The owner goes on: a
// foreign host does not get the address.
func TestStandstillBesideStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a"}, addr4)
		time.Sleep(10 * time.Second)
		owner := v.only(addr4)
		stranger := v.lan.Host("stranger", lantest.Linux, netip.MustParseAddr("10.0.0.251"))
		owner.nic.Freeze(true)
		stranger.Own(addr4, true)
		v.client.Ask(addr4)
		time.Sleep(600 * time.Millisecond)
		owner.nic.Freeze(false)
		time.Sleep(100 * time.Millisecond)
		frames := len(v.lan.Trace())
		stranger.Announce(addr4)
		v.client.Ask(addr4)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if !slices.ContainsFunc(v.lan.Trace()[frames:], func(f lantest.Frame) bool { return f.From == owner.name+"/eth0" && f.Answers(addr4) }) {
			t.Errorf("the owner does not answer any more\n%s", v.lan)
		}
	})
}

// TestStaleSilence freezes the owner until the other nodes have asked for its address without an answer, and then
// freezes these nodes while the owner runs. The other nodes ask again, and nothing moves.
func TestStaleSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr4)
		time.Sleep(10 * time.Second)
		owner := v.only(addr4)
		frames := len(v.lan.Trace())
		owner.nic.Freeze(true)
		for questions := 0; questions < 2; {
			time.Sleep(time.Millisecond)
			questions = 0
			for name, n := range v.asked(addr4, v.lan.Trace()[frames:]) {
				if name != owner.name {
					questions += n
				}
			}
		}
		time.Sleep(37 * time.Millisecond) // the next that they act on is the silence, 3 ms later
		v.mu.Lock()
		for _, p := range v.speakers {
			if p != owner {
				p.stall = 400 * time.Millisecond
			}
		}
		v.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		owner.nic.Freeze(false)
		time.Sleep(10 * time.Second)
		for _, f := range v.lan.Trace()[frames:] {
			if f.From != owner.name+"/eth0" && (f.Answers(addr4) || f.Announces(addr4)) {
				t.Fatalf("not by the owner, %s: %s", owner.name, f)
			}
		}
		if now := v.only(addr4); now != owner {
			t.Errorf("%s has the address, want %s", now.name, owner.name)
		}
	})
}
