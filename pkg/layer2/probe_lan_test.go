package layer2_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

var (
	free4 = netip.MustParseAddr("192.0.2.81")
	free6 = netip.MustParseAddr("2001:db8::81")
	// labRanges holds all addresses of the lab.
	labRanges = []layer2.Range{
		{From: netip.MustParseAddr("192.0.2.0"), To: netip.MustParseAddr("192.0.2.255")},
		{From: netip.MustParseAddr("2001:db8::"), To: netip.MustParseAddr("2001:db8::ffff:ffff")},
	}
)

// inProbeLab is inBubble with ranges.
func inProbeLab(t *testing.T, o layer2.Options, body func(t *testing.T, l *lab)) {
	t.Helper()
	inBubble(t, o, func(t *testing.T, l *lab) {
		l.a.SetRanges(labRanges)
		synctest.Wait()
		body(t, l)
	})
}

// questions returns the times of the node's questions for addr, counted from the first question.
func (l *lab) questions(addr netip.Addr) (times []time.Duration) {
	for _, f := range l.lan.From("node/eth0") {
		if text := lantest.Describe(f.Data); strings.Contains(text, "who has "+addr.String()+"?") {
			times = append(times, f.At)
		}
	}
	for i := len(times) - 1; i >= 0; i-- {
		times[i] -= times[0]
	}
	return times
}

func TestProbeSilence(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		client := l.lan.Host("client", lantest.Linux, client4)
		client.Resolve(subnet4.Addr())
		for _, addr := range []netip.Addr{free4, free6} {
			began := time.Now()
			f, err := l.a.Probe(t.Context(), addr, layer2.ProbeOptions{})
			if err != nil || f.Outcome != layer2.Silent || len(f.Heard) != 0 || !slices.Equal(f.Asked, []string{"eth0"}) {
				t.Errorf("%s: %+v, %v, want silence on eth0", addr, f, err)
			}
			if d, last := time.Since(began), f.Last.Sub(began); d != 80*ms || last != 40*ms {
				t.Errorf("%s: silence after %v, the last question after %v, want 80 and 40 ms", addr, d, last)
			}
			if got, want := l.questions(addr), []time.Duration{0, 40 * ms}; !slices.Equal(got, want) {
				t.Errorf("%s: asked at %v, want %v", addr, got, want)
			}
			if _, ok := client.Neighbor(addr); ok {
				t.Errorf("%s: a client knows the address after it was probed", addr)
			}
		}
	})
}

// TestProbeFrames checks every field of the questions.
func TestProbeFrames(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		mac, peer := l.eth0.MAC(), l.lan.Host("peer", lantest.Linux, client4)
		linkLocal := l.a.Interfaces()[0].LinkLocal
		ns := &ndp.NeighborSolicitation{TargetAddress: free6, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac[:]}}}
		group := netip.MustParseAddr("ff02::1:ff00:81")
		none, all := layer2.MAC{}, layer2.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		for _, c := range []struct {
			name string
			addr netip.Addr
			to   layer2.MAC
			want []byte
		}{
			{"ARP", free4, none, arpOf(arp.OperationRequest, all, mac, netip.IPv4Unspecified(), none, free4)},
			{"ARP to one", free4, peer.MAC(), arpOf(arp.OperationRequest, peer.MAC(), mac, netip.IPv4Unspecified(), peer.MAC(), free4)},
			{"NDP", free6, none, lantest.NDPFrame(layer2.MAC{0x33, 0x33, 0xff, 0, 0, 0x81}, mac, linkLocal, group, ns)},
			{"NDP to one", free6, peer.MAC(), lantest.NDPFrame(peer.MAC(), mac, linkLocal, free6, ns)},
		} {
			if _, err := l.a.Probe(t.Context(), c.addr, layer2.ProbeOptions{To: c.to, Count: 1}); err != nil {
				t.Fatal(err)
			}
			sent := l.lan.From("node/eth0")
			if got := sent[len(sent)-1].Data; string(got) != string(c.want) {
				t.Errorf("%s: sent\n%x, want\n%x", c.name, got, c.want)
			}
		}
	})
}

// TestProbeFindsTheHolder asks for addresses of hosts of each kind, and of another announcer.
func TestProbeFindsTheHolder(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		host := l.lan.Host("host", lantest.Junos, client4)
		host.Own(free6, true)
		peer := l.lan.Node("peer")
		nic := peer.Add("eth0", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64"))
		other := layer2.New(layer2.Options{Network: peer})
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { _ = other.Run(ctx) })
		defer done.Wait()
		defer cancel()
		other.Set([]layer2.Target{{Addr: vip4}, {Addr: vip6}})
		synctest.Wait()
		for _, to := range []bool{false, true} {
			for addr, mac := range map[netip.Addr]layer2.MAC{client4: host.MAC(), free6: host.MAC(), vip4: nic.MAC(), vip6: nic.MAC()} {
				form := layer2.Reply
				if addr.Is6() {
					form = layer2.Advertisement
				}
				o := layer2.ProbeOptions{}
				if to {
					o.To = mac
				}
				began := time.Now()
				f, err := l.a.Probe(t.Context(), addr, o)
				want := []layer2.Sighting{{MAC: mac, Interface: "eth0", Form: form}}
				if err != nil || f.Outcome != layer2.Taken || !slices.Equal(f.Heard, want) || time.Since(began) != 0 {
					t.Errorf("%s (to one: %t): %+v, %v after %v, want %+v at once", addr, to, f, err, time.Since(began), want)
				}
			}
		}
	})
}

func TestProbeOfOurOwn(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		l.a.Set([]layer2.Target{{Addr: vip4}, {Addr: free4, Mode: layer2.Watch}})
		synctest.Wait()
		if f, err := l.a.Probe(t.Context(), vip4, layer2.ProbeOptions{}); !errors.Is(err, layer2.ErrHeld) || f.Outcome != layer2.Unasked {
			t.Errorf("%+v, %v, want that it is held here", f, err)
		}
		if f, err := l.a.Probe(t.Context(), free4, layer2.ProbeOptions{}); err != nil || f.Outcome != layer2.Silent {
			t.Errorf("watched: %+v, %v, want silence", f, err)
		}
	})
}

// TestProbeContested makes another station do duplicate address detection at the same time.
func TestProbeContested(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		rival := l.lan.Host("rival", lantest.Linux, client4)
		var done sync.WaitGroup
		defer done.Wait()
		done.Go(func() {
			time.Sleep(10 * ms)
			rival.Probe(free4)
		})
		f, err := l.a.Probe(t.Context(), free4, layer2.ProbeOptions{})
		want := []layer2.Sighting{{MAC: rival.MAC(), Interface: "eth0", Form: layer2.Probing, After: 10 * ms}}
		if err != nil || f.Outcome != layer2.Contested || !slices.Equal(f.Heard, want) {
			t.Errorf("%+v, %v, want %+v", f, err, want)
		}
	})
}

// TestProbeLingers makes two stations answer, the second station late.
func TestProbeLingers(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		first, second := l.lan.Host("first", lantest.Linux, client4), l.lan.Host("second", lantest.Linux, client4.Next())
		first.Own(free4, true)
		var done sync.WaitGroup
		defer done.Wait()
		done.Go(func() {
			time.Sleep(15 * ms)
			second.Announce(free4)
			second.Announce(free4)
		})
		f, err := l.a.Probe(t.Context(), free4, layer2.ProbeOptions{Linger: 20 * ms})
		want := []layer2.Sighting{
			{MAC: first.MAC(), Interface: "eth0", Form: layer2.Reply},
			{MAC: second.MAC(), Interface: "eth0", Form: layer2.Request, After: 15 * ms},
		}
		if err != nil || f.Outcome != layer2.Taken || !slices.Equal(f.Heard, want) {
			t.Errorf("%+v, %v, want %+v", f, err, want)
		}
	})
}

// TestProbeCannotAsk requires that a probe without a question never reports silence.
func TestProbeCannotAsk(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		probe := func(ctx context.Context, what string, addr netip.Addr, o layer2.ProbeOptions, want error) {
			t.Helper()
			f, err := l.a.Probe(ctx, addr, o)
			if !errors.Is(err, want) || f.Outcome != layer2.Unasked {
				t.Errorf("%s: %+v, %v, want %v", what, f, err, want)
			}
		}
		live := t.Context()
		probe(live, "nothing", netip.Addr{}, layer2.ProbeOptions{}, layer2.ErrNotAsked)
		probe(live, "a group", netip.MustParseAddr("224.0.0.1"), layer2.ProbeOptions{}, layer2.ErrNotAsked)
		probe(live, "no interface", free4, layer2.ProbeOptions{Interfaces: []string{"eth7"}}, layer2.ErrNotAsked)
		probe(live, "out of the ranges", netip.MustParseAddr("198.51.100.1"), layer2.ProbeOptions{}, layer2.ErrNotAsked)
		l.eth0.SetIPv6(false)
		synctest.Wait()
		probe(live, "no IPv6", free6, layer2.ProbeOptions{}, layer2.ErrNotAsked)
		gone, cancel := context.WithTimeout(live, 60*ms)
		defer cancel()
		probe(gone, "too little time", free4, layer2.ProbeOptions{}, context.DeadlineExceeded)
		l.node.Refuse(syscall.EPERM)
		l.eth0.Break(syscall.ENETDOWN)
		synctest.Wait()
		probe(live, "no socket", free4, layer2.ProbeOptions{}, layer2.ErrNotAsked)
		l.eth0.SetUp(false)
		synctest.Wait()
		probe(live, "no carrier", free4, layer2.ProbeOptions{}, layer2.ErrNotAsked)
	})
}

// TestProbeWhileTheInterfaceGoes requires that a probe ends at once with an error when the interface goes away.
func TestProbeWhileTheInterfaceGoes(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		var done sync.WaitGroup
		defer done.Wait()
		done.Go(func() {
			time.Sleep(10 * ms)
			l.eth0.SetUp(false)
		})
		if f, err := l.a.Probe(t.Context(), free4, layer2.ProbeOptions{}); !errors.Is(err, layer2.ErrNotAsked) || f.Outcome != layer2.Unasked {
			t.Errorf("%+v, %v, want an error: the second question was not sent", f, err)
		}
	})
}

// TestProbeThousands probes 3,000 addresses at once, a third of them taken. The bucket holds the frames of one second,
// 5,000.
func TestProbeThousands(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		host := l.lan.Host("host", lantest.Linux, client4)
		const n = 3000
		addrs := make([]netip.Addr, n)
		for i := range addrs {
			addrs[i] = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 13: 1, 14: byte(i >> 8), 15: byte(i)})
			host.Own(addrs[i], i%3 == 0)
		}
		var done sync.WaitGroup
		findings := make([]layer2.Finding, n)
		began := time.Now()
		for i, addr := range addrs {
			done.Go(func() { findings[i], _ = l.a.Probe(t.Context(), addr, layer2.ProbeOptions{}) })
		}
		done.Wait()
		for i, f := range findings {
			want := layer2.Silent
			if i%3 == 0 {
				want = layer2.Taken
			}
			if f.Outcome != want {
				t.Fatalf("%s: %s, want %s", addrs[i], f.Outcome, want)
			}
		}
		if d := time.Since(began); d != 80*ms {
			t.Errorf("all is known after %v, want 80 ms", d)
		}
	})
}

// TestProbeObeysTheRate probes ten addresses on a port that may send ten frames a second. The port does not send the
// question of an abandoned probe.
func TestProbeObeysTheRate(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		l.a.SetRate(10)
		synctest.Wait()
		l.pass(time.Minute)
		var done sync.WaitGroup
		began := time.Now()
		for i := range 10 {
			done.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Second)
				defer cancel()
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
				if f, err := l.a.Probe(ctx, addr, layer2.ProbeOptions{}); err == nil && f.Outcome != layer2.Silent {
					t.Errorf("%s: %+v", addr, f)
				}
			})
		}
		done.Wait()
		if n, d := len(l.lan.From("node/eth0")), time.Since(began); n > 20 || n < 16 || d > 3*time.Second {
			t.Errorf("%d frames within %v, want about 20 at 10 a second", n, d)
		}
	})
}

// TestProbeOfOneHearsItOut asks only one station, over a slow cable, while another station claims the address all the
// time.
func TestProbeOfOneHearsItOut(t *testing.T) {
	inProbeLab(t, layer2.Options{}, func(t *testing.T, l *lab) {
		holder := l.lan.Host("holder", lantest.Linux, client4)
		holder.Own(free4, true)
		l.lan.Delay("holder", 20*ms, 0)
		stranger := l.lan.Host("stranger", lantest.Linux, client4.Next())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 50 {
				stranger.Announce(free4)
				time.Sleep(2 * ms)
			}
		}()
		f, err := l.a.Probe(t.Context(), free4, layer2.ProbeOptions{To: holder.MAC()})
		if err != nil || f.Outcome != layer2.Taken || !slices.ContainsFunc(f.Heard, func(s layer2.Sighting) bool { return s.MAC == holder.MAC() }) {
			t.Errorf("%+v, %v, want the holder %s among those that were heard", f, err, holder.MAC())
		}
		<-done
	})
}
