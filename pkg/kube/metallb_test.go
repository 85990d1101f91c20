package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/metallb"
)

const metallbNS = "metallb-system"

// allPools is the spec of an advertisement of all pools.
const allPools = `{}`

// poolSpec returns the spec of a pool.
func poolSpec(addresses string) string { return fmt.Sprintf(`{"addresses":[%q]}`, addresses) }

// settledSet waits until every change of the resources is converted.
func settledSet() {
	time.Sleep(quietLimit + emptiedTime)
	synctest.Wait()
}

// pools returns the names of the pools in use.
func pools(s *Store) string {
	cfg := s.Snapshot().Config
	if cfg == nil {
		return "none"
	}
	var names []string
	for _, p := range cfg.Pools {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

// TestResourcesAreTheConfiguration follows the resources through good, bad, and good changes.
func TestResourcesAreTheConfiguration(t *testing.T) {
	api := newFakeAPI(custom("IPAddressPool", "b", poolSpec("192.0.2.16/28")),
		custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), custom("L2Advertisement", "all", allPools), configMap(onePool))
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		if got := pools(s); got != "a b" {
			t.Fatalf("the pools are %s", got)
		}
		text, version := s.ConfigText()
		if !metallb.IsLive(text) || version == 0 {
			t.Errorf("version %d of\n%s", version, text)
		}
		if c := s.Configuration(); c.Origin() != "the set of MetalLB's resources in the namespace metallb-system" || c.Stale {
			t.Errorf("the status is %+v", c)
		}
		bad := custom("IPAddressPool", "c", poolSpec("192.0.2.0/29"))
		at := api.put(bad)
		settledSet()
		state := s.Snapshot().ConfigState
		if pools(s) != "a b" || state.Problem == nil || state.Version != at || wakes.take() == 0 {
			t.Fatalf("pools %s, state %+v at %s", pools(s), state, at)
		}
		want := cluster.ObjectRef{APIVersion: "metallb.io/v1beta1", Kind: "IPAddressPool", Namespace: metallbNS, Name: "c", UID: "uid-c"}
		if len(state.Objects) != 1 || state.Objects[0].Object != want ||
			!strings.HasPrefix(state.Objects[0].Message, "addresses[0]: ") {
			t.Errorf("the problems are %+v", state.Objects)
		}
		// The whole set is refused: valid resources in the set wait, too.
		api.put(custom("IPAddressPool", "d", poolSpec("192.0.2.128/28")))
		settledSet()
		if pools(s) != "a b" {
			t.Errorf("of a refused set are used %s", pools(s))
		}
		api.put(custom("IPAddressPool", "c", poolSpec("192.0.2.32/28")))
		settledSet()
		state = s.Snapshot().ConfigState
		if pools(s) != "a b c d" || state.Problem != nil || state.Objects != nil {
			t.Errorf("pools %s, state %+v", pools(s), state)
		}
	})
}

// TestSetIsTakenOverAsAWhole applies a pool and then its advertisement. The Store uses no state in between.
func TestSetIsTakenOverAsAWhole(t *testing.T) {
	api := newFakeAPI(custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), custom("L2Advertisement", "a", `{"ipAddressPools":["a"]}`))
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		wakes.take()
		api.put(custom("IPAddressPool", "b", poolSpec("192.0.2.16/28")))
		time.Sleep(quietTime / 2)
		synctest.Wait()
		if pools(s) != "a" {
			t.Errorf("after the pool: %s", pools(s))
		}
		api.put(custom("L2Advertisement", "b", `{"ipAddressPools":["b"]}`))
		time.Sleep(quietTime)
		synctest.Wait()
		if n := wakes.take(); n != 1 || pools(s) != "a b" || len(s.Snapshot().Config.Pools[1].NodeSelectors) != 0 {
			t.Errorf("%d times woken, pools %s", n, pools(s))
		}
		// Changes without a pause do not delay the conversion forever.
		for i := range 30 {
			api.put(custom("Community", "x", fmt.Sprintf(`{"communities":[{"name":"x","value":"65000:%d"}]}`, i)))
			time.Sleep(quietTime * 3 / 4)
		}
		if synctest.Wait(); wakes.take() < 2 {
			t.Error("a set that changes all the time is never converted")
		}
	})
}

// TestMetadataDoNotWake changes irrelevant metadata.
func TestMetadataDoNotWake(t *testing.T) {
	pool := custom("IPAddressPool", "a", poolSpec("192.0.2.0/28"))
	api := newFakeAPI(pool, custom("L2Advertisement", "all", allPools))
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		wakes.take()
		_, version := s.ConfigText()
		pool.Annotations = map[string]string{"a": "b"}
		api.put(pool)
		settledSet()
		if _, after := s.ConfigText(); wakes.take() != 0 || after != version {
			t.Errorf("an annotation wakes, or moves the version from %d to %d", version, after)
		}
	})
}

// TestDeletedDefinitions deletes the CustomResourceDefinitions as the API server does, the resources first, in every
// order of the two kinds, and creates the definitions again. The configuration stays all the time.
func TestDeletedDefinitions(t *testing.T) {
	pool, ad := custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), custom("L2Advertisement", "all", allPools)
	bgp := custom("BGPAdvertisement", "all", allPools)
	for _, order := range [][]*customObject{{pool, ad}, {ad, pool}, {ad}, {pool}} {
		api := newFakeAPI(pool, ad, bgp)
		inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, log *lines) {
			before, _ := s.ConfigText()
			same := func(when string) {
				t.Helper()
				if text, _ := s.ConfigText(); text != before || s.Snapshot().Config == nil {
					t.Fatalf("%s, the configuration is\n%s", when, text)
				}
			}
			for _, o := range order {
				api.remove(o)
				time.Sleep(time.Second) // the API server polls until the resources are gone
				same("after the resources of " + o.Kind)
				api.define(resourceOf(o), false)
			}
			settledSet()
			same("without definitions")
			problem := fmt.Sprint(s.Snapshot().ConfigState.Problem)
			if !strings.Contains(problem, "no CustomResourceDefinition "+resourceOf(order[0])+".metallb.io") && len(order) == 1 {
				t.Errorf("the problem is %s", problem)
			}
			for _, o := range order {
				api.define(resourceOf(o), true)
			}
			if order[0] != ad || len(order) > 1 { // a set without L2Advertisements is valid
				time.Sleep(2 * absentRetry)
				same("with definitions that have no resources")
			}
			for _, o := range order {
				api.put(o)
			}
			time.Sleep(2 * absentRetry)
			settledSet()
			same("in the end")
			if err := s.Snapshot().ConfigState.Problem; err != nil {
				t.Errorf("in the end there is the problem %v", err)
			}
			api.put(custom("IPAddressPool", "b", poolSpec("192.0.2.16/28")))
			settledSet()
			if pools(s) != "a b" {
				t.Errorf("a new pool is not heeded: %s", pools(s))
			}
		})
	}
}

// TestLastAdvertisementOfAKind checks that an intended deletion of the last advertisement of a kind takes effect.
func TestLastAdvertisementOfAKind(t *testing.T) {
	ad := custom("L2Advertisement", "all", allPools)
	api := newFakeAPI(custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), ad, custom("BGPAdvertisement", "all", allPools))
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		api.remove(ad)
		time.Sleep(emptiedTime - time.Millisecond)
		synctest.Wait()
		if p := s.Snapshot().Config.Pools[0]; !p.Layer2 || !p.BGP {
			t.Errorf("too early: %+v", p)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if p := s.Snapshot().Config.Pools[0]; p.Layer2 || !p.BGP {
			t.Errorf("too late: %+v", p)
		}
	})
}

// TestWithoutDefinitions starts without MetalLB's CustomResourceDefinitions. The Store is synced, uses the
// configuration in lanlord-state, and takes over the resources after their creation.
func TestWithoutDefinitions(t *testing.T) {
	api := newFakeAPI(stateMap(stateConfig, onePool, stateVersion, "50"))
	for _, k := range metallb.Kinds() {
		api.define(k.Plural, false)
	}
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, log *lines) {
		state := s.Snapshot().ConfigState
		problem := fmt.Sprint(state.Problem)
		if pools(s) != "lan" || !strings.Contains(problem, "no CustomResourceDefinition ipaddresspools.metallb.io, ") {
			t.Fatalf("pools %s, problem %s", pools(s), problem)
		}
		if strings.Contains(problem, " addresspools") {
			t.Errorf("AddressPool is asked for, which newer versions do not have: %v", state.Problem)
		}
		if ref := state.Objects[0].Object; ref.Kind != "Namespace" || ref.Name != metallbNS {
			t.Errorf("the problem is told of %+v", ref)
		}
		for _, k := range metallb.Kinds() {
			api.define(k.Plural, !k.Optional)
		}
		api.put(custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")))
		api.put(custom("L2Advertisement", "all", allPools))
		time.Sleep(2 * absentRetry)
		settledSet()
		if pools(s) != "a" || s.Snapshot().ConfigState.Problem != nil {
			t.Errorf("pools %s, state %+v", pools(s), s.Snapshot().ConfigState)
		}
	})
}

// TestVersionsOfSets compares the versions of two nodes. A newer set wins even after the deletion of its newest
// resource, and equal sets have equal versions whenever a node has listed them.
func TestVersionsOfSets(t *testing.T) {
	pool, ad := custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), custom("L2Advertisement", "all", allPools)
	extra := custom("IPAddressPool", "b", poolSpec("192.0.2.16/28"))
	api := newFakeAPI(pool, ad, extra)
	var old, watching, fresh cluster.Versions
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		old = s.Snapshot().Versions
		api.remove(extra)
		settledSet()
		watching = s.Snapshot().Versions
	})
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, _ *lines) { fresh = s.Snapshot().Versions })
	if !old.Less(watching) || watching.Less(old) || !old.Less(fresh) || fresh.Less(old) {
		t.Errorf("old %+v, watching %+v, fresh %+v", old.Config, watching.Config, fresh.Config)
	}
	if watching.Config.Hash != fresh.Config.Hash || watching.Less(fresh) || fresh.Less(watching) {
		t.Errorf("the same set differs: %+v, %+v", watching.Config, fresh.Config)
	}
}

// TestOtherSourceComesLast starts with a saved configuration of the other kind of source and with a newer version. The
// Store uses the saved configuration only while its own kind of source has none, and overwrites the saved configuration
// afterwards.
func TestOtherSourceComesLast(t *testing.T) {
	live, err := metallb.ConvertObjects(metallbNS, [][]byte{
		[]byte(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"theirs"},` +
			`"spec":{"addresses":["192.0.2.0/28"]}}`),
		[]byte(`{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"all"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	api := newFakeAPI()
	api.put(configMap(onePool)) // older than the saved configuration from MetalLB's resources
	api.put(stateMap(stateConfig, live.Text, stateVersion, "102"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		if pools(s) != "lan" {
			t.Fatalf("the pools are %s", pools(s))
		}
		want, _, _ := s.keptState(nil)
		if want[stateConfig] != onePool {
			t.Errorf("lanlord-state would keep %q", want[stateConfig])
		}
		api.put(configMap("address-pools: 1"))
		synctest.Wait()
		if pools(s) != "lan" {
			t.Errorf("in place of a bad ConfigMap is used %s", pools(s))
		}
	})
	api = newFakeAPI(configMap("address-pools: 1"), stateMap(stateConfig, live.Text, stateVersion, "101"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		if pools(s) != "theirs" {
			t.Errorf("with nothing else is used %s", pools(s))
		}
	})
}

// TestFreshSet checks that a new leader waits for the conversion.
func TestFreshSet(t *testing.T) {
	api := newFakeAPI(custom("IPAddressPool", "a", poolSpec("192.0.2.0/28")), custom("L2Advertisement", "all", allPools))
	inBubbleOf(t, api, metallbNS, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		api.hold("ipaddresspools")
		api.put(custom("IPAddressPool", "b", poolSpec("192.0.2.16/28")))
		done := make(chan error, 1)
		go func() { done <- s.WaitFresh(context.Background()) }()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		default:
		}
		api.release("ipaddresspools")
		if err := <-done; err != nil || pools(s) != "a b" {
			t.Errorf("%v, pools %s", err, pools(s))
		}
	})
}

// TestCustomRights lists the requests of the watches of MetalLB's resources, all in one namespace.
func TestCustomRights(t *testing.T) {
	s := New(Options{
		Client: newFakeAPI(), Namespace: "lanlord-system", ConfigMap: "config", MetalLB: metallbNS, Log: textLog(&lines{}),
	})
	var plurals []string
	for _, w := range s.watches {
		if w.resource == configMaps && w.name != StateConfigMap {
			t.Errorf("the ConfigMap %s is watched", w.name)
		}
		if w.kind != nil {
			plurals = append(plurals, w.resource.Name)
			if w.namespace != metallbNS {
				t.Errorf("%s are watched in %q", w.resource.Name, w.namespace)
			}
		}
	}
	if slices.Sort(plurals); len(plurals) != len(metallb.Kinds()) {
		t.Errorf("watched are %v", plurals)
	}
}
