package layer2_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// announcer adds a node without addresses to answer for.
func (l *lab) announcer(name string, at netip.Prefix, o layer2.Options) (*layer2.Announcer, *lantest.NIC) {
	l.t.Helper()
	node := l.lan.Node(name)
	nic := node.Add("eth0", at)
	o.Network = node
	a := layer2.New(o)
	done := make(chan error, 1)
	go func() { done <- a.Run(l.t.Context()) }()
	l.t.Cleanup(func() { <-done })
	l.pass(time.Second)
	return a, nic
}

// TestHeartbeatsBetweenNodes sends heartbeats between two nodes, through faults of the wire and of the sender.
func TestHeartbeatsBetweenNodes(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		network := netip.MustParseAddr("192.0.2.0")
		other, nic := l.announcer("other", netip.MustParsePrefix("192.0.2.2/24"), layer2.Options{})
		own := []layer2.MAC{l.eth0.MAC()}
		theirs := []layer2.MAC{{2, 9, 9, 9, 9, 9}, nic.MAC()}
		to := l.a.Heartbeats(network, nic.MAC(), theirs)
		from := other.Heartbeats(network, own[0], own)
		if !to.Is(network, nic.MAC(), theirs) || to.Is(network, nic.MAC(), own) || to.Is(network, own[0], theirs) {
			t.Error("Is does not know the station")
		}
		if at, _ := from.Last(); !at.IsZero() {
			t.Errorf("a heartbeat at %s before the first", at)
		}
		for _, c := range []struct {
			name         string
			change, undo func()
			sent, heard  bool
		}{
			{"at rest", func() {}, func() {}, true, true},
			{"cut off", func() { l.lan.Cut("other/eth0", true) }, func() { l.lan.Cut("other/eth0", false) }, true, false},
			{"without carrier", func() { l.eth0.SetUp(false) }, func() { l.eth0.SetUp(true) }, false, false},
			{"with the carrier again", func() {}, func() {}, true, true},
			{"the receiver stands still", func() { nic.Freeze(true) }, func() { nic.Freeze(false) }, true, false},
			{"the first announcements wait for the rate", func() { l.a.SetRate(4); l.set(manyAddrs(100)...) },
				func() { l.a.SetRate(0); l.pass(10 * time.Second) }, false, false},
		} {
			c.change()
			l.pass(100 * ms)
			sent := time.Now()
			if got := to.Send(sent, 3*ms); got != c.sent {
				t.Errorf("%s: sent %t, want %t", c.name, got, c.sent)
			}
			l.pass(100 * ms)
			at, late := from.Last()
			if heard := at.Equal(sent) && late == 3*ms; heard != c.heard {
				t.Errorf("%s: heard %t, want %t: %s ago, late by %s", c.name, heard, c.heard, time.Since(at), late)
			}
			c.undo()
			l.pass(100 * ms)
		}
		// A heartbeat that waited for the frozen receiver counts from the time of its arrival.
		if at, _ := from.Last(); time.Since(at) < 10*time.Second {
			t.Errorf("the last heartbeat is %s old, want the one before the thaw", time.Since(at))
		}
		from.Close()
		to.Close()
		before, _ := from.Last()
		to.Send(time.Now(), 0)
		l.pass(100 * ms)
		if at, _ := from.Last(); !at.Equal(before) {
			t.Error("closed heartbeats hear")
		}
		for _, f := range l.lan.Trace() {
			if f.From == "other/eth0" {
				t.Errorf("a heartbeat was answered: %s", f)
			}
		}
		synctest.Wait()
	})
}

// TestHeartbeatsStop sends no heartbeat after a stall, until the loop resumes.
func TestHeartbeatsStop(t *testing.T) {
	inBubble(t, layer2.Options{Stood: func() {}}, func(t *testing.T, l *lab) {
		h := l.a.Heartbeats(netip.MustParseAddr("192.0.2.0"), layer2.MAC{2, 9, 9, 9, 9, 9}, nil)
		if !h.Send(time.Now(), 0) {
			t.Error("not sent at rest")
		}
		l.a.SetStall(174 * ms)
		if h.Send(time.Now().Add(250*ms), 0) {
			t.Error("sent after a stall")
		}
		l.a.Resume(l.a.Standstills())
		l.pass(100 * ms)
		if !h.Send(time.Now(), 0) {
			t.Error("not sent after the end of the stall")
		}
	})
}
