package wire_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// forbidden is the node that the pool's node-selectors leave out. They allow the nodes before it.
const forbidden = 2

// configurationCases restart speakers while there is no valid configuration.
func configurationCases() (cases []inputCase) {
	for _, c := range []struct {
		name    string
		breaks  func(environment)
		state   bool
		cluster bool
	}{
		{"a broken ConfigMap and a restart move nothing, by what lanlord-state keeps", breakConfiguration, true, true},
		{"a deleted ConfigMap and a restart move nothing, by what lanlord-state keeps", deleteConfiguration, true, false},
		{"a speaker without any configuration takes nothing from anybody", breakConfiguration, false, false},
	} {
		cases = append(cases, inputCase{
			name: c.name,
			options: wire.Options{
				IPv4: 4, IPv6: 2, Layer2: "failback: never", Pool: `node-selectors: [{match-labels: {announces: "yes"}}]`,
			},
			check: func(t *testing.T, e environment) { checkConfiguration(t, e, c.breaks, c.state, c.cluster) },
		})
	}
	return cases
}

func breakConfiguration(e environment) {
	e.must(e.API().Put(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "config"}, Data: map[string]string{"config": "address-pools: ["},
	}))
}

func deleteConfiguration(e environment) {
	e.must(e.API().Delete("configmaps", types.NamespacedName{Namespace: systemNamespace, Name: "config"}))
}

// checkConfiguration restarts the speaker of a node that the pool forbids and then that of an owner, by a rollout and cold.
func checkConfiguration(t *testing.T, e environment, breaks func(environment), state, cluster bool) {
	for n := range forbidden {
		e.label(n, "announces", "yes")
	}
	owners := e.startAll()
	if state {
		e.putState()
	}
	breaks(e)
	e.must(wire.Pause(t.Context(), time.Second)) // the speakers hear of it
	owner := slices.Index(e.MACs(), owners[e.addrs[0]])
	e.allowed("at the start", owners)

	e.unmoved("after rollouts on an owner and on a node that the pool forbids", e.hear(watched/2, func() error {
		if err := e.Rollout(t.Context(), owner); err != nil {
			return err
		}
		return e.Rollout(t.Context(), forbidden)
	}), owners)
	e.unmoved("after a cold start on a node that the pool forbids", e.hear(watched/2, func() error {
		if err := e.Kill(forbidden); err != nil {
			return err
		}
		return e.Start(forbidden, nil)
	}), owners)

	// What a killed speaker had goes to the other node that the pool allows, and stays there.
	h := e.hear(watched, func() error { return e.Kill(owner) })
	for _, a := range e.addrs {
		if slices.Contains(h.Stations(a), e.MACs()[forbidden]) {
			t.Fatalf("%s was taken by a node that the pool forbids: %v", a, h.Stations(a))
		}
	}
	left, err := e.Rest(t.Context(), startBound, e.addrs)
	e.must(err)
	e.allowed("after an owner was killed", left)
	e.unmoved("after a cold start on a node that the pool allows", e.hear(watched, func() error { return e.Start(owner, nil) }), left)
	if !cluster {
		return
	}
	for n := range e.Nodes() {
		e.must(e.Kill(n))
	}
	all := e.startAll()
	e.allowed("after a start of all speakers", all)
	e.unmoved("after a start of all speakers", e.hear(watched/2, nothing), all)
}

// allowed fails the test if the node that the pool forbids owns an address.
func (e environment) allowed(when string, owners map[netip.Addr]wire.MAC) {
	e.t.Helper()
	macs := e.MACs()
	for a, mac := range owners {
		if i := slices.Index(macs, mac); i < 0 || i == forbidden {
			e.t.Fatalf("%s: %s is at %s, which the pool forbids", when, a, mac)
		}
	}
}
