package layer2_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

// wire is a segment with one client and one node that runs an announcer, either in memory or made by the kernel.
type wire interface {
	// set gives the announcer the whole set of addresses.
	set(addrs ...netip.Addr)
	// mac returns the node's hardware address, and setMAC changes the address.
	mac() layer2.MAC
	setMAC(layer2.MAC)
	// setLink gives the node's interface a carrier or removes the carrier.
	setLink(up bool)
	// resolve asks for addr as a client without a cache entry.
	resolve(addr netip.Addr) (layer2.MAC, bool)
	// neighbor returns the entry in the client's cache, without asking.
	neighbor(addr netip.Addr) (layer2.MAC, bool)
	// confirm asks only the station in the client's cache whether the station still has addr.
	confirm(addr netip.Addr) bool
	// taken does duplicate address detection for addr.
	taken(addr netip.Addr) bool
	// eventually waits until ok returns true, for at most some seconds.
	eventually(what string, ok func() bool)
}

// scenario tests the rules that apply on every wire.
func scenario(t *testing.T, w wire) {
	both := []netip.Addr{vip4, vip6}
	first := w.mac()
	knows := func(addr netip.Addr, mac layer2.MAC) func() bool {
		return func() bool { got, ok := w.neighbor(addr); return ok && got == mac }
	}
	for _, addr := range both {
		if w.taken(addr) {
			t.Errorf("%s is taken before it is announced", addr)
		}
	}
	w.set(both...)
	for _, addr := range both {
		w.eventually("an answer for "+addr.String(), func() bool { mac, ok := w.resolve(addr); return ok && mac == first })
		if !w.confirm(addr) {
			t.Errorf("%s is not confirmed to a neighbour that asks for it directly", addr)
		}
		if !w.taken(addr) {
			t.Errorf("duplicate address detection finds %s free", addr)
		}
	}

	second := layer2.MAC{0x02, 0xaa, 0, 0, 0, 0x02}
	w.setMAC(second)
	for _, addr := range both {
		w.eventually("the new MAC of "+addr.String()+" in the client's cache", knows(addr, second))
		if mac, ok := w.resolve(addr); !ok || mac != second {
			t.Errorf("%s is answered with %s, want the new MAC %s", addr, mac, second)
		}
	}

	w.setLink(false)
	w.setLink(true)
	for _, addr := range both {
		w.eventually("an answer for "+addr.String()+" after the link was down", func() bool { _, ok := w.resolve(addr); return ok })
	}

	w.set(vip6)
	w.eventually("silence for "+vip4.String(), func() bool { _, ok := w.resolve(vip4); return !ok })
	if _, ok := w.resolve(vip6); !ok {
		t.Errorf("%s, which stayed in the set, is no longer answered", vip6)
	}
	w.set()
	w.eventually("silence for "+vip6.String(), func() bool { _, ok := w.resolve(vip6); return !ok })
	for _, addr := range both {
		if w.taken(addr) {
			t.Errorf("%s is taken after it was removed", addr)
		}
	}
}

// memory is the wire of a lab.
type memory struct {
	*lab
	client *lantest.Host
}

func (m memory) mac() layer2.MAC           { return m.eth0.MAC() }
func (m memory) setMAC(mac layer2.MAC)     { m.eth0.SetMAC(mac); synctest.Wait() }
func (m memory) setLink(up bool)           { m.eth0.SetUp(up); synctest.Wait() }
func (m memory) confirm(a netip.Addr) bool { return m.client.Confirm(a) }

func (m memory) neighbor(a netip.Addr) (layer2.MAC, bool) { return m.client.Neighbor(a) }

func (m memory) taken(a netip.Addr) bool { _, ok := m.client.Probe(a); return ok }

func (m memory) resolve(a netip.Addr) (layer2.MAC, bool) {
	m.client.Forget(a)
	return m.client.Resolve(a)
}

// eventually does not wait: in memory, everything has happened once all goroutines wait.
func (m memory) eventually(what string, ok func() bool) {
	m.t.Helper()
	if !ok() {
		m.t.Errorf("no %s", what)
	}
}

func TestScenarioInMemory(t *testing.T) {
	for _, kind := range []lantest.Kind{lantest.Linux, lantest.Junos} {
		t.Run(kind.String(), func(t *testing.T) {
			inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
				scenario(t, memory{l, l.lan.Host("client", kind, client4)})
			})
		})
	}
}

// TestTakeoverReachesEveryKindOfNeighbor moves an address from one node to another: no host asks, and all hosts must
// follow.
func TestTakeoverReachesEveryKindOfNeighbor(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		hosts := []*lantest.Host{
			l.lan.Host("linux", lantest.Linux, client4),
			l.lan.Host("junos", lantest.Junos, client4.Next()),
		}
		old := l.lan.Host("old", lantest.Linux, netip.MustParseAddr("192.0.2.2"))
		old.Own(vip4, true)
		old.Own(vip6, true)
		for _, h := range hosts {
			for _, addr := range []netip.Addr{vip4, vip6} {
				if mac, ok := h.Resolve(addr); !ok || mac != old.MAC() {
					t.Fatalf("%s is at %s, want it at the old owner", addr, mac)
				}
			}
		}
		old.Own(vip4, false)
		old.Own(vip6, false)
		l.set(vip4, vip6)
		for i, h := range hosts {
			for _, addr := range []netip.Addr{vip4, vip6} {
				if mac, _ := h.Neighbor(addr); mac != l.eth0.MAC() {
					t.Errorf("host %d holds %s for %s right after the takeover, want the new owner's", i, mac, addr)
				}
			}
		}
	})
}

// TestRepeatsReachLateNeighbors loses the first announcements.
func TestRepeatsReachLateNeighbors(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Junos, client4)
		l.set(vip4, vip6)
		client.Resolve(vip4)
		client.Resolve(vip6)
		l.pass(time.Minute)

		next := layer2.MAC{0x02, 0xbb, 0, 0, 0, 1}
		l.lan.Cut("client", true)
		l.eth0.SetMAC(next)
		l.pass(900 * ms)
		l.lan.Cut("client", false)
		if mac, _ := client.Neighbor(vip4); mac == next {
			t.Fatal("the client heard through a cut link")
		}
		l.pass(100 * ms)
		for _, addr := range []netip.Addr{vip4, vip6} {
			if mac, _ := client.Neighbor(addr); mac != next {
				t.Errorf("the client holds %s for %s after the repeat at 1 s, want %s", mac, addr, next)
			}
		}
	})
}

// TestLossyLink tests a client that loses half of all frames of any kind: five rounds get through.
func TestLossyLink(t *testing.T) {
	inBubble(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		l.set(vip4)
		client.Resolve(vip4)
		next := layer2.MAC{0x02, 0xbb, 0, 0, 0, 1}
		l.lan.Lose("client", 0.5)
		l.eth0.SetMAC(next)
		l.pass(10 * time.Second)
		if mac, _ := client.Neighbor(vip4); mac != next {
			t.Errorf("the client holds %s after all rounds, want %s", mac, next)
		}
		lost := slices.ContainsFunc(l.lan.From("node/eth0"), func(f lantest.Frame) bool { return len(f.To) == 0 })
		if !lost {
			t.Error("nothing was lost, so nothing was tested")
		}
	})
}

// TestPartition shows that a separated part of the segment hears nothing, and that Announce repairs this after the
// partition.
func TestPartition(t *testing.T) {
	inBubble(t, layer2.Options{Refresh: -1}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		other := l.lan.Host("other", lantest.Linux, client4.Next())
		l.set(vip4)
		client.Resolve(vip4)
		l.pass(time.Minute)
		l.lan.Partition("client", "other")
		other.Own(vip4, true)
		other.Announce(vip4)
		if mac, _ := client.Neighbor(vip4); mac != other.MAC() {
			t.Fatalf("the client holds %s, want the owner on its side", mac)
		}
		l.lan.Heal()
		other.Own(vip4, false)
		l.a.Announce([]netip.Addr{vip4})
		synctest.Wait()
		if mac, _ := client.Neighbor(vip4); mac != l.eth0.MAC() {
			t.Errorf("the client holds %s after the partition healed, want the owner %s", mac, l.eth0.MAC())
		}
	})
}
