package wire_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	// plannedBound is for how long a move may leave an address unanswered of which both nodes know that it is to happen.
	plannedBound = time.Second
	// movedSoon is the time for which addresses are heard after such a move.
	movedSoon = 4 * time.Second

	excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers"
)

// extra is the number of the first Service that is made only to be deleted.
const extra = 900

// deletionCases have one node watch a deletion that the other, restarted since, could not see. Its lists hold nothing as new.
func deletionCases() []inputCase {
	return []inputCase{
		{"an excluded node's addresses are taken by the node that did not see a deletion",
			wire.Options{Nodes: 2, IPv4: 4, IPv6: 2, Layer2: "failback: never"}, checkExclusionAfterDeletion},
		{"addresses follow Local endpoints to the node that did not see a deletion",
			wire.Options{Nodes: 3, IPv4: 4, Layer2: "failback: never"}, checkMoveAfterDeletion},
	}
}

// deletions are objects of each kind that speakers watch: how one is made, and deleted.
func (e environment) deletions() (names []string, remove []func() error) {
	e.t.Helper()
	e.must(e.AddService(extra, wire.PoolAddress(0, false)))
	e.must(e.AddService(extra+1, wire.PoolAddress(1, false)))
	e.must(e.API().Put(wire.Bystander(0)))
	service, slice := wire.ServiceKey(extra), wire.ServiceKey(extra+1)
	slice.Name += "-1"
	return []string{"Service", "EndpointSlice", "Node"}, []func() error{
		func() error { return e.API().Delete("services", service) },
		func() error { return e.API().Delete("endpointslices", slice) },
		func() error { return e.API().Delete("nodes", types.NamespacedName{Name: wire.Bystander(0).Name}) },
	}
}

// startAfter deletes an object while all speakers watch, and then restarts one that cannot know, and that has no address then.
func (e environment) startAfter(remove func() error, heir int) map[netip.Addr]wire.MAC {
	e.t.Helper()
	e.must(remove())
	e.must(wire.Pause(e.t.Context(), 500*time.Millisecond)) // the others hear of it
	e.must(e.Kill(heir))
	_, err := e.Rest(e.t.Context(), startBound, e.addrs)
	e.must(err)
	e.must(e.Start(heir, nil))
	owners, err := e.Rest(e.t.Context(), startBound, e.addrs)
	e.must(err)
	e.ready(len(e.Nodes()))
	return owners
}

func checkExclusionAfterDeletion(t *testing.T, e environment) {
	names, remove := e.deletions()
	e.startAll()
	for i, name := range names {
		heir := i % 2
		owner := 1 - heir
		owners := e.startAfter(remove[i], heir)
		for a, mac := range owners {
			if mac != e.MACs()[owner] {
				t.Fatalf("%s is at %s after the other speaker was restarted", a, mac)
			}
		}
		h := e.hear(movedSoon, func() error { e.label(owner, excludeLabel, ""); return nil })
		e.movedTo(fmt.Sprintf("after the deletion of a %s", name), h, heir)
		e.editNode(owner, func(n *corev1.Node) { delete(n.Labels, excludeLabel) })
	}
}

func checkMoveAfterDeletion(_ *testing.T, e environment) {
	names, remove := e.deletions()
	e.placeEndpoints(0)
	e.startAll()
	for i, name := range names {
		heir := 1 + i%2
		e.startAfter(remove[i], heir)
		h := e.hear(movedSoon, func() error { e.placeEndpoints(heir); return nil })
		e.movedTo(fmt.Sprintf("after the deletion of a %s", name), h, heir)
	}
}

// placeEndpoints gives the Services of the environment the externalTrafficPolicy Local, and their endpoints to a node.
func (e environment) placeEndpoints(number int) {
	e.t.Helper()
	for i := range e.addrs {
		key := wire.ServiceKey(i)
		e.edit("services", key, func(o runtime.Object) {
			o.(*corev1.Service).Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		})
		key.Name += "-1"
		e.edit("endpointslices", key, func(o runtime.Object) {
			o.(*discoveryv1.EndpointSlice).Endpoints[0].NodeName = &e.Nodes()[number]
		})
	}
}

// movedTo fails the test unless all addresses are at a node in the end, no third node had one, and none was dark for long.
func (e environment) movedTo(when string, h wire.Hearing, heir int) {
	e.t.Helper()
	for _, a := range e.addrs {
		stations := h.Stations(a)
		if len(stations) == 0 || stations[len(stations)-1] != e.MACs()[heir] || len(stations) > 2 {
			e.t.Errorf("%s: %s was claimed by %v; node-%d is to have it, which is %s", when, a, stations, heir, e.MACs()[heir])
		}
		if slices.Contains(stations, e.MACs()[heir]) && h.Moves(a) > 1 && h.Overlap(a) > 100*time.Millisecond {
			e.t.Errorf("%s: two nodes answered for %s for %v", when, a, h.Overlap(a))
		}
		if dark := h.Dark(a); dark > plannedBound+h.Starved {
			e.t.Errorf("%s: nobody answered for %s for %v", when, a, dark.Round(time.Millisecond))
		}
	}
	if e.t.Failed() {
		e.t.FailNow() // later steps would only repeat this
	}
}
