package router_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lanlord/lanlord/e2e/router"
)

// TestUnnumbered has two nodes with a cable to FRR each, and link-local addresses only. Router advertisements lead to
// the router, and the IPv4 routes have IPv6 next hops (RFC 8950).
func TestUnnumbered(t *testing.T) {
	t.Parallel()
	needs(t, router.FRR)
	e := speakers(
		t,
		2,
		"peers:\n"+router.Peer(4, "name: uplink", "peer-interface: up*", "peer-asn: external")+router.Pool(),
	)
	station, err := e.NewStation(4)
	e.must(err)
	e.senders = nil
	if canCapture(t) {
		file := filepath.Join(t.TempDir(), "cables.pcap")
		c, err := router.NewCaptureAt(t.Context(), station, file)
		e.must(err)
		t.Cleanup(func() {
			c.Close()
			faultless(t, file, nil)
		})
	}
	var neighbors []router.Neighbor
	for i := range e.Nodes() {
		far := fmt.Sprintf("node%d", i)
		e.must(e.Connect(i, "up0", station, far))
		neighbors = append(neighbors, router.Neighbor{Interface: far, ASN: nodeASN})
	}
	r, err := router.StartAt(
		t.Context(),
		station,
		router.Options{Kind: router.FRR, Station: 4, ASN: routerASN, Neighbors: neighbors},
	)
	e.must(err)
	t.Cleanup(r.Close)
	e.put(router.Service{Name: "four", Addr: vip4}, router.On(0))
	e.put(router.Service{Name: "six", Addr: vip6}, router.On(0))
	e.startSpeakers()
	e.eventually("the routes by two cables", func(ctx context.Context) error {
		all, err := r.Kernel(ctx)
		if err != nil {
			return err
		}
		for _, vip := range []netip.Addr{vip4, vip6} {
			hops := all[router.HostPrefix(vip)]
			if len(hops) != 2 || slices.ContainsFunc(hops, func(a netip.Addr) bool { return !a.IsLinkLocalUnicast() }) {
				sessions, err := r.Sessions(ctx)
				return fmt.Errorf("%s by %v; sessions %+v, %v", vip, hops, sessions, err)
			}
		}
		return nil
	})
}
