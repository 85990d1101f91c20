package wire_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// forbidden is the node that the pool's node-selectors leave out; restarted is one that they allow.
const (
	restarted = 1
	forbidden = 2
)

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
	for _, n := range []int{0, restarted} {
		e.label(n, "announces", "yes")
	}
	owners := e.startAll()
	if state {
		e.putState()
	}
	breaks(e)
	e.must(wire.Pause(t.Context(), time.Second)) // the speakers hear of it
	e.unmoved("after the configuration was lost", e.hear(time.Second, nothing), owners)

	again := func(n int) error {
		if err := e.Kill(n); err != nil {
			return err
		}
		return e.Start(n, nil)
	}
	e.unmoved("after a cold start on a node that the pool forbids",
		e.hear(watched, func() error { return again(forbidden) }), owners)
	e.unmoved("after rollouts on a node that the pool forbids and on one that it allows", e.hear(watched, func() error {
		if err := e.Rollout(t.Context(), forbidden); err != nil {
			return err
		}
		return e.Rollout(t.Context(), restarted)
	}), owners)

	// What the killed speaker had goes to the other node that the pool allows, and stays there.
	e.must(again(restarted))
	left, err := e.Rest(t.Context(), startBound, e.addrs)
	e.must(err)
	e.allowed("after a cold start on a node that the pool allows", left)
	e.unmoved("after a cold start on a node that the pool allows", e.hear(watched, nothing), left)
	if !cluster {
		return
	}
	for n := range e.Nodes() {
		e.must(e.Kill(n))
	}
	all := e.startAll()
	e.allowed("after a start of all speakers", all)
	e.unmoved("after a start of all speakers", e.hear(watched, nothing), all)
}

// allowed fails the test if the node that the pool forbids owns an address.
func (e environment) allowed(when string, owners map[netip.Addr]wire.MAC) {
	e.t.Helper()
	macs := e.MACs()
	for a, mac := range owners {
		if i := slices.Index(macs, mac); i < 0 || i == forbidden {
			e.t.Errorf("%s: %s is at %s, which the pool forbids", when, a, fmt.Sprintf("node-%d", i))
		}
	}
}
