package layer2_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// lab is a segment in memory with one node that runs an announcer. A lab lives in a bubble of synctest.
type lab struct {
	t    *testing.T
	lan  *lantest.LAN
	node *lantest.Node
	eth0 *lantest.NIC
	a    *layer2.Announcer
	stop func()
}

var (
	subnet4 = netip.MustParsePrefix("192.0.2.1/24")
	subnet6 = netip.MustParsePrefix("2001:db8::1/64")
	vip4    = netip.MustParseAddr("192.0.2.80")
	vip6    = netip.MustParseAddr("2001:db8::80")
	client4 = netip.MustParseAddr("192.0.2.200")

	// The subnets of other networks.
	elsewhere4 = netip.MustParsePrefix("198.51.100.1/24")
	elsewhere6 = netip.MustParsePrefix("2001:db8:1::1/64")
)

// newLab starts an announcer on a node with one interface after the prepare functions, and prints the segment's trace
// if the test fails.
func newLab(t *testing.T, o layer2.Options, prepare ...func(*layer2.Announcer)) *lab {
	t.Helper()
	l := &lab{t: t, lan: lantest.New(1)}
	l.node = l.lan.Node("node")
	l.eth0 = l.node.Add("eth0", subnet4, subnet6)
	o.Network = l.node
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	l.a = layer2.New(o)
	for _, f := range prepare {
		f(l.a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.a.Run(ctx) }()
	l.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil after cancel", err)
		}
		done <- nil
	}
	t.Cleanup(func() {
		l.stop()
		if t.Failed() {
			t.Log("\n" + l.lan.String())
		}
	})
	synctest.Wait()
	return l
}

// set gives the announcer the addresses and waits until the announcer has settled.
func (l *lab) set(addrs ...netip.Addr) {
	var targets []layer2.Target
	for _, addr := range addrs {
		targets = append(targets, layer2.Target{Addr: addr})
	}
	l.a.Set(targets)
	synctest.Wait()
}

// setEverywhere gives the announcer the addresses for all interfaces.
func (l *lab) setEverywhere(announced bool, addrs ...netip.Addr) {
	var targets []layer2.Target
	for _, addr := range addrs {
		targets = append(targets, layer2.Target{Addr: addr, Interfaces: []string{"*"}, Announced: announced})
	}
	l.a.Set(targets)
	synctest.Wait()
}

// pass lets time pass.
func (l *lab) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// announced returns the times at which the named interface announced addr, counted from since, one entry for each
// frame.
func (l *lab) announced(name string, addr netip.Addr, since time.Duration) []time.Duration {
	var times []time.Duration
	for _, f := range l.lan.From(name) {
		if f.At >= since && f.Announces(addr) {
			times = append(times, f.At-since)
		}
	}
	return times
}

// inBubble runs a test body with exact times.
func inBubble(t *testing.T, o layer2.Options, body func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { body(t, newLab(t, o)) })
}
