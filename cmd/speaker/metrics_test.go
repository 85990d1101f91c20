package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/daemon/daemontest"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/speaker"
)

var update = flag.Bool("update", false, "write what is found to testdata instead of comparing")

// alone is a node without peers, in a cluster with one Service.
type alone struct{ addr netip.Addr }

func (a alone) Members() []membership.Member {
	return []membership.Member{{Name: "a", State: membership.Ready}}
}
func (a alone) Settled() bool                     { return true }
func (a alone) SetState(membership.Report) error  { return nil }
func (a alone) Unreached() []membership.Unreached { return nil }
func (a alone) Ping(string) error                 { return nil }
func (a alone) Suspect(string, time.Duration)     {}
func (a alone) Tell(string, [8]uint64)            {}
func (a alone) Snapshot() cluster.Snapshot {
	return cluster.Snapshot{
		Nodes: []cluster.Node{{Name: "a"}},
		Services: []*cluster.Service{{
			Key: cluster.Key{Namespace: "default", Name: "web"}, Managed: true, AllocatedFrom: "a",
			Ingress: []netip.Addr{a.addr}, HasServing: true,
		}},
	}
}

// testRouters connects to a router that accepts the session, and to a router that refuses the session. No other address
// has a router.
type testRouters struct{}

var routerUp, routerRefuses = netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")

func (testRouters) Dial(_ context.Context, p bgp.Peer) (bgp.Connection, error) {
	options := routertest.Options{ASN: 64513, PeerASN: 64512}
	switch p.Address {
	case routerUp:
	case routerRefuses:
		options.Refuse = &wire.Notification{Code: wire.CodeCease, Subcode: wire.CeaseDeconfigured}
	default:
		return bgp.Connection{}, &bgp.DialError{Reason: bgp.Refused, Message: "nobody listens"}
	}
	near, far := net.Pipe()
	link := routertest.New(options).Link(far)
	go func() { _ = link.Serve() }()
	local := netip.MustParseAddr("192.0.2.200") // not an address of this machine, so that BFD sends nothing
	return bgp.Connection{Conn: near, Local: netip.AddrPortFrom(local, 40000), Remote: netip.AddrPortFrom(p.Address,
		p.Port),
		NextHop4: local, OnLink: true}, nil
}

func (testRouters) Adopt(bgp.Peer, *os.File) (bgp.Connection, error) {
	return bgp.Connection{}, errors.ErrUnsupported
}

func testPeer(name string, router netip.Addr) bgp.Peer {
	return bgp.Peer{
		Name: name, LocalASN: 64512, RemoteASN: 64513, Address: router, Port: 179,
		RouterID: netip.MustParseAddr("192.0.2.200"),
		HoldTime: 90 * time.Second, Ready: true, Routes: []bgp.Route{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}},
		BFD: &bfd.Profile{ReceiveInterval: time.Second, TransmitInterval: time.Second, DetectMultiplier: 3},
	}
}

// TestMetrics pins the names, types, labels and help of all metrics of the speaker. Tests of docs/metrics.md, the
// alerts and the dashboard use the same file.
func TestMetrics(t *testing.T) {
	registry := daemon.NewRegistry()
	client, err := kube.ConnectMeasured(daemontest.Unreachable(t), name, registry)
	if err != nil {
		t.Fatal(err)
	}
	flags := daemon.Flags{}
	log := flags.Logger(t.Output())
	store := kube.New(kube.Options{Client: client, Namespace: "lanlord-system", ConfigMap: "config", Log: log,
		Registerer: registry})
	node := lantest.New(1).Node("a")
	node.Add("eth0", netip.MustParsePrefix("192.0.2.200/24"))
	announcer := layer2.New(layer2.Options{Log: log, Registerer: registry, Network: node})
	if _, err := membership.New(membership.Options{
		Name: "a", Bind: netip.MustParseAddrPort("127.0.0.1:7950"), Keys: [][]byte{make([]byte, 32)}, Log: log,
		Registerer: registry,
	}); err != nil {
		t.Fatal(err)
	}
	has := alone{netip.MustParseAddr("192.0.2.1")}
	loop := speaker.New(speaker.Options{
		Self: "a", Source: has, Peers: has, Announcer: announcer, Event: store.Event, Log: log, Registerer: registry,
		AddressMetrics: true,
		Predecessor:    speaker.Predecessor{Succeeds: true, Addrs: []netip.Addr{has.addr}},
	})
	routers := bgp.New(bgp.Options{Log: log, Registerer: registry, Network: testRouters{}})
	routers.Set([]bgp.Peer{testPeer("established", routerUp), testPeer("refused", routerRefuses), testPeer("gone",
		netip.MustParseAddr("192.0.2.13"))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- daemon.RunTasks(ctx,
			daemon.Task{Name: "watch", Run: store.Run},
			daemon.Task{Name: "answer", Run: announcer.Run},
			daemon.Task{Name: "speak", Run: routers.Run},
			daemon.Task{Name: "decide", Run: loop.Run})
	}()
	store.Event(cluster.Event{Object: cluster.ObjectRef{Kind: "Node", Name: "n"}, Reason: "Test"})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		missing := 0
		for _, metric := range []string{"lanlord_speaker_announced", "lanlord_layer2_requests_total",
			"lanlord_events_total", "lanlord_bgp_prefixes_announced", "lanlord_bgp_session_changes_total",
			"lanlord_bgp_notifications_total", "lanlord_bgp_connect_failures_total", "lanlord_bfd_session_up"} {
			n, err := testutil.GatherAndCount(registry, metric)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				missing++
			}
		}
		if missing == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no address announced within a minute")
		}
	}
	daemontest.CheckMetrics(t, registry, "testdata/metrics.txt", *update)
	loop.HandOver()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
