package controller

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

var (
	x = netip.MustParseAddr("10.0.0.1")
	y = netip.MustParseAddr("10.0.0.2")
)

func key(name string) cluster.Key { return cluster.Key{Namespace: "default", Name: name} }

// with returns a Service with these addresses.
func with(name, version string, addrs ...netip.Addr) *cluster.Service {
	return &cluster.Service{Key: key(name), UID: "uid-" + name, Version: version, Managed: true, Ingress: addrs}
}

func expectResting(t *testing.T, what string, got, want []allocator.Rest) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: resting are %v, want %v", what, got, want)
	}
}

// TestMemoryOfARest checks that a cool-down ends when another Service gets the address, and that the other Service owns
// the next cool-down.
func TestMemoryOfARest(t *testing.T) {
	m, start := newMemory(), time.Unix(0, 0)
	m.observe([]*cluster.Service{with("a", "1", x)}, start)
	expectResting(t, "while it is held", m.resting(start, time.Minute), nil)
	m.observe(nil, start.Add(time.Second))
	expectResting(t, "when it was released", m.resting(start, time.Minute), []allocator.Rest{{Addr: x, Holder: key("a")}})
	m.observe([]*cluster.Service{with("b", "2", x)}, start.Add(2*time.Second))
	expectResting(t, "when another has it", m.resting(start, time.Minute), nil)
	m.observe(nil, start.Add(3*time.Second))
	expectResting(t, "when that one released it", m.resting(start, time.Minute), []allocator.Rest{{Addr: x, Holder: key("b")}})
	if got, want := m.expiry(time.Minute), start.Add(63*time.Second); !got.Equal(want) {
		t.Errorf("the rest ends at %v, want %v", got, want)
	}
	expectResting(t, "a minute later", m.resting(start.Add(63*time.Second), time.Minute), nil)
	if got := m.expiry(time.Minute); !got.IsZero() {
		t.Errorf("with nothing resting a rest ends at %v", got)
	}
}

// TestMemoryOfSharing checks that the cool-down of an address begins when no Service has the address any longer, and
// belongs to the Services that had the address last.
func TestMemoryOfSharing(t *testing.T) {
	m, start := newMemory(), time.Unix(0, 0)
	m.observe([]*cluster.Service{with("a", "1", x), with("b", "1", x), with("c", "1", x)}, start)
	m.observe([]*cluster.Service{with("b", "1", x), with("c", "1", x)}, start)
	expectResting(t, "while some have it", m.resting(start, time.Minute), nil)
	m.observe(nil, start)
	expectResting(t, "when nobody has it", m.resting(start, time.Minute), []allocator.Rest{{Addr: x, Holder: key("b")}, {Addr: x, Holder: key("c")}})
	m.observe([]*cluster.Service{with("c", "2", x)}, start)
	expectResting(t, "when one has it again", m.resting(start, time.Minute), nil)
}

// TestMemoryOfDoubts checks that the addresses of all unconfirmed writes stay reserved until a snapshot shows the
// outcome.
func TestMemoryOfDoubts(t *testing.T) {
	now := time.Unix(0, 0)
	update := func(version string, addr netip.Addr) cluster.Update {
		return cluster.Update{Key: key("a"), UID: "uid-a", Version: version, Ingress: []netip.Addr{addr}}
	}
	firm := func(addrs ...netip.Addr) (rests []allocator.Rest) {
		for _, addr := range addrs {
			rests = append(rests, allocator.Rest{Addr: addr, Holder: key("a"), Firm: true})
		}
		return rests
	}
	m := newMemory()
	m.doubt(update("1", x))
	m.doubt(update("1", y))
	m.observe([]*cluster.Service{with("a", "1")}, now)
	expectResting(t, "two writes to one version", m.resting(now, time.Minute), firm(x, y))
	m.observe([]*cluster.Service{with("a", "2", y)}, now)
	expectResting(t, "a new version", m.resting(now, time.Minute), nil)
	m.doubt(update("2", netip.MustParseAddr("10.0.0.3")))
	m.doubt(update("3", x))
	m.observe([]*cluster.Service{with("a", "3", y)}, now)
	expectResting(t, "a write to a newer version", m.resting(now, time.Minute), firm(x))
	m.observe(nil, now)
	expectResting(t, "the Service is gone", m.resting(now, time.Minute), []allocator.Rest{{Addr: y, Holder: key("a")}})
}
