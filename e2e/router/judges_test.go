package router_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// attributes are flags of gobgp for the path attributes.
var attributes = []string{"community", "65535:0,64512:7", "large-community", "64512:1:2", "med", "20"}

// TestJudges has gobgpd announce in place of the speakers, and checks the judges: the reading of sessions, paths and
// kernel routes, the watch of routes, and the prober.
func TestJudges(t *testing.T) {
	t.Parallel()
	needs(t, router.GoBGP)
	e := newEnvironment(t, wire.Options{Nodes: 2, Config: "address-pools: []\n", Unstarted: true})
	var routers []*router.Router
	for i, kind := range installed(t, router.FRR, router.BIRD, router.OpenBGPD) {
		routers = append(
			routers,
			e.router(router.Options{Kind: kind, Station: 4 + i, ASN: routerASN, Neighbors: e.Neighbors(nodeASN)}),
		)
	}
	announcers := []*announcer{e.announce(0), e.announce(1)}
	for _, a := range announcers {
		a.add(vip4, attributes...)
		a.add(vip6)
	}
	for _, r := range routers {
		t.Run(r.Kind.String(), func(t *testing.T) { checkReading(t, e.in(t), r, announcers) })
	}
}

// TestFaultsAreSeen sends an UPDATE with an attribute that ends after the message, and expects tshark to say so.
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	needs(t)
	for _, program := range []string{"tcpdump", "tshark"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	lab, err := wire.New(wire.Options{Nodes: 2, Config: "address-pools: []\n", Unstarted: true, Logs: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	e := &environment{Cluster: &router.Cluster{Lab: lab}, t: t}
	file := filepath.Join(t.TempDir(), "lan.pcap")
	capture, err := router.NewCapture(t.Context(), lab, file)
	e.must(err)
	station, err := lab.NewStation(4)
	e.must(err)
	var listener net.Listener
	e.must(station.Do(func() (err error) { listener, err = net.Listen("tcp", ":179"); return err }))
	t.Cleanup(func() { _ = listener.Close() })
	var conn net.Conn
	target := netip.AddrPortFrom(wire.StationAddresses(4)[0].Addr(), 179).String()
	e.must(lab.Do(0, func() (err error) { conn, err = net.Dial("tcp", target); return err }))
	update := []byte{0, 0, 0, 4, 0x40, 1, 9, 0} // ORIGIN of nine bytes, of which one is there
	message := append(bytes.Repeat([]byte{0xff}, 16), 0, byte(19+len(update)), 2)
	_, err = conn.Write(append(message, update...))
	e.must(err)
	node := []netip.Addr{wire.LANAddress(0).Addr()}
	e.eventually("a fault", func(ctx context.Context) error {
		faults, packets, err := router.Faults(ctx, file, node)
		if err == nil && len(faults) == 0 {
			err = fmt.Errorf("no fault in %d packets", packets)
		}
		return err
	})
	if faults, _, err := router.Faults(t.Context(), file, []netip.Addr{wire.LANAddress(1).Addr()}); err != nil ||
		len(faults) > 0 {
		t.Errorf("faults of a node that sent nothing: %v, %v", faults, err)
	}
	capture.Close()
}

// checkReading compares what is read of a router with what gobgpd announces.
func checkReading(t *testing.T, e *environment, r *router.Router, announcers []*announcer) {
	e.sessionsUp(r)
	for i, p := range e.awaitPaths(r, vip4, 2) {
		want := router.Path{
			From:        wire.LANAddress(i).Addr(),
			NextHop:     wire.LANAddress(i).Addr(),
			ASPath:      []uint32{nodeASN},
			MED:         20,
			HasMED:      true,
			LocalPref:   p.LocalPref,
			Communities: []string{"64512:7", "65535:0"},
			Large:       []string{"64512:1:2"},
		}
		if fmt.Sprint(p) != fmt.Sprint(want) {
			t.Errorf("path %+v, want %+v", p, want)
		}
	}
	for i, p := range e.awaitPaths(r, vip6, 2) {
		if p.From != wire.LANAddress(i).Addr() || p.NextHop != wire.LANAddress6(i).Addr() || p.HasMED ||
			len(p.Communities) > 0 {
			t.Errorf("path %+v", p)
		}
	}
	if all, err := r.Prefixes(t.Context(), false); err != nil ||
		!slices.Equal(all, []netip.Prefix{router.HostPrefix(vip4)}) {
		t.Errorf("prefixes %v, %v", all, err)
	}
	if !r.Kind.HasKernel() {
		return
	}
	e.awaitKernel(r, vip4, 0, 1)
	client := e.client(r)
	prober := e.probe(client, vip4)
	e.must(prober.AwaitAnswers(t.Context(), 200))
	watch := e.watch(r)
	start := time.Now()
	announcers[0].remove(vip4)
	gone, err := watch.Await(t.Context(), start, func(v router.RouteEvent) bool {
		return v.Prefix == router.HostPrefix(vip4) && !v.Deleted &&
			slices.Equal(v.Hops, []netip.Addr{wire.LANAddress(1).Addr()})
	})
	e.must(err)
	e.awaitKernel(r, vip4, 1)
	cut := time.Now()
	e.must(e.Cut(1, wire.LAN))
	e.must(wire.Pause(t.Context(), 200*time.Millisecond))
	e.must(e.Join(1, wire.LAN))
	e.must(prober.AwaitAnswers(t.Context(), 200))
	traffic := prober.Stop()
	t.Logf("the route changed after %v; %v", gone.At.Sub(start), traffic)
	if n := len(traffic.Lost); n < 100 || traffic.Outage(cut) < 150*time.Millisecond || traffic.Moved == 0 ||
		len(traffic.Nodes) != 2 {
		t.Errorf("%v, an outage of %v, of a node that was cut off for 200 ms", traffic, traffic.Outage(cut))
	}
	announcers[0].add(vip4, attributes...)
	e.awaitKernel(r, vip4, 0, 1)
}

// announcer is a gobgpd on a node.
type announcer struct {
	e      *environment
	number int
}

// announce starts an announcer with all routers of the tests as neighbours.
func (e *environment) announce(number int) *announcer {
	e.t.Helper()
	addr := wire.LANAddress(number).Addr()
	text := fmt.Sprintf("[global.config]\n as = %d\n router-id = %q\n", nodeASN, addr)
	for station := 4; station < 8; station++ {
		text += fmt.Sprintf(
			"[[neighbors]]\n[neighbors.config]\n neighbor-address = %q\n peer-as = %d\n[neighbors.timers.config]\n connect-retry = 1\n idle-hold-time-after-reset = 1\n",
			wire.StationAddresses(station)[0].Addr(),
			routerASN,
		)
		for _, family := range []string{"ipv4-unicast", "ipv6-unicast"} {
			text += fmt.Sprintf("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\n afi-safi-name = %q\n", family)
		}
	}
	file := filepath.Join(e.t.TempDir(), "gobgpd.toml")
	e.must(os.WriteFile(file, []byte(text), 0o600))
	e.must(e.StartAt(number, exec.Command("gobgpd", "-f", file, "--api-hosts", "127.0.0.1:50051", "--pprof-disable")))
	a := &announcer{e, number}
	e.eventually("gobgpd answers", func(ctx context.Context) error { return a.gobgp(ctx, "global") })
	return a
}

func (a *announcer) gobgp(ctx context.Context, args ...string) error {
	_, err := a.e.OutputAt(ctx, a.number, "gobgp", args...)
	return err
}

func (a *announcer) rib(verb string, addr netip.Addr, more ...string) {
	a.e.t.Helper()
	family, hop := "ipv4", wire.LANAddress(a.number).Addr()
	if addr.Is6() {
		family, hop = "ipv6", wire.LANAddress6(a.number).Addr()
	}
	a.e.must(
		a.gobgp(
			a.e.t.Context(),
			append(
				[]string{
					"global",
					"rib",
					"-a",
					family,
					verb,
					router.HostPrefix(addr).String(),
					"nexthop",
					hop.String(),
				},
				more...)...),
	)
}

func (a *announcer) add(addr netip.Addr, more ...string) { a.e.t.Helper(); a.rib("add", addr, more...) }

func (a *announcer) remove(addr netip.Addr) { a.e.t.Helper(); a.rib("del", addr) }
