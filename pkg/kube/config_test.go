package kube

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	refused   = "address-pools: 7"
	otherPool = "address-pools:\n- {name: other, protocol: layer2, addresses: [192.168.56.20-192.168.56.29]}\n"
)

// inUse returns the name of the pool in the configuration in use, or "none" without a configuration.
func inUse(s cluster.Snapshot) string {
	if s.Config == nil {
		return "none"
	}
	return s.Config.Pools[0].Name
}

// TestStartWithoutValidConfig starts a Store while the user's ConfigMap is refused or missing, with each state of
// lanlord-state.
func TestStartWithoutValidConfig(t *testing.T) {
	user, missing := configMap(refused), (runtime.Object)(nil)
	for _, test := range []struct {
		name        string
		user, state runtime.Object
		want        string
		version     string // of the configuration in use
		problem     string
		logged      string
	}{
		{"refused, nothing accepted yet", user, missing, "none", "0", "address-pools", ""},
		{"missing, nothing accepted yet", missing, missing, "none", "0", "there is no ConfigMap", ""},
		{"refused, with a last one", user, stateMap("config", onePool, "config-version", "42"), "lan", "42",
			"the newest ConfigMap is refused, and the last accepted configuration, from resourceVersion 42, is in use: ", ""},
		{"missing, with a last one", missing, stateMap("config", onePool, "config-version", "42"), "lan", "42",
			"the ConfigMap is missing, and the last accepted configuration, from resourceVersion 42, is in use: there is no ConfigMap", ""},
		{"the last one is not valid", user, stateMap("config", refused, "config-version", "42"), "none", "0", "address-pools",
			"configmap=lanlord-system/lanlord-state entry=config"},
		{"the last one has no version", user, stateMap("config", onePool), "lan", "0", "from resourceVersion 0, is in use", ""},
		{"its version is no number", user, stateMap("config", onePool, "config-version", "x"), "lan", "0", "from resourceVersion 0, is in use", ""},
		{"its version is of another cluster", user, stateMap("config", onePool, "config-version", "999"), "lan", "0", "resourceVersion 0, is in use", ""},
		{"only nodes in it", user, stateMap("nodes", "{}"), "none", "0", "address-pools", ""},
		{"empty", user, stateMap(), "none", "0", "address-pools", ""},
		{"the user's is valid", configMap(otherPool), stateMap("config", onePool, "config-version", "42"), "other", "101", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newFakeAPI()
			for _, o := range []runtime.Object{test.user, test.state} {
				if o != nil {
					api.put(o)
				}
			}
			inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
				snapshot := s.Snapshot()
				if got := inUse(snapshot); got != test.want || versionText(s) != test.version {
					t.Errorf("%s from %s, want %s from %s", got, versionText(s), test.want, test.version)
				}
				problem := ""
				if err := snapshot.ConfigState.Problem; err != nil {
					problem = err.Error()
				}
				if !strings.Contains(problem, test.problem) || test.problem == "" && problem != "" {
					t.Errorf("problem %q, want %q", problem, test.problem)
				}
				if s.configStale() != (test.problem != "") || s.configLoaded() != (test.want != "none") || (s.configHash() != 0) != s.configLoaded() {
					t.Errorf("metrics: stale %t, loaded %t, hash %f", s.configStale(), s.configLoaded(), s.configHash())
				}
				if n := log.count("an entry of a ConfigMap"); (n == 1) != (test.logged != "") || !strings.Contains(log.text.String(), test.logged) {
					t.Errorf("%d log lines, want %q in\n%s", n, test.logged, log.text.String())
				}
			})
		})
	}
}

// TestConfigFallsBack changes the inputs of a running Store one after the other.
func TestConfigFallsBack(t *testing.T) {
	api := newFakeAPI(configMap(onePool))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, log *lines) {
		wakes.take()
		expect := func(when, want string, woken bool) {
			t.Helper()
			if n := wakes.take(); n > 0 != woken {
				t.Errorf("%s: %d wake-ups", when, n)
			}
			if got := inUse(s.Snapshot()); got != want {
				t.Errorf("%s: %s is in use, want %s", when, got, want)
			}
		}
		first := s.Snapshot().Config
		expect("valid", "lan", false)
		api.put(stateMap("config", otherPool, "config-version", "50"))
		expect("an older one in lanlord-state", "lan", false)
		api.put(configMap(refused))
		expect("refused, and lanlord-state has an older one", "lan", true)
		if s.Snapshot().Config != first {
			t.Error("the last valid configuration was replaced")
		}
		api.put(stateMap("config", otherPool, "config-version", "103"))
		expect("lanlord-state has one that was valid meanwhile", "other", true)
		s.Offer(onePool, 102)
		expect("an older one is offered", "other", false)
		api.put(stateMap("config", refused, "config-version", "104"))
		api.put(stateMap("config", onePool, "config-version", "7"))
		api.remove(stateMap())
		expect("lanlord-state is broken, old, and gone", "other", false)
		api.put(configMap(otherPool))
		expect("the same text, valid", "other", true)
		if p := s.Snapshot().ConfigState.Problem; p != nil {
			t.Errorf("problem %v", p)
		}
		api.remove(configMap(""))
		expect("missing", "other", true)
		if n := log.count("an entry of a ConfigMap"); n != 1 {
			t.Errorf("%d lines for one invalid text:\n%s", n, log.text.String())
		}
	})
}

// TestOffer offers a configuration to a Store, before and after the Store reads an older or a newer configuration in
// lanlord-state.
func TestOffer(t *testing.T) {
	for _, test := range []struct {
		name, user, offered string
		version             uint64
		want                string
	}{
		{"newer than lanlord-state", refused, otherPool, 43, "other"},
		{"older than lanlord-state", refused, otherPool, 41, "lan"},
		{"not valid", refused, refused, 43, "lan"},
		{"none", refused, "", 0, "lan"},
		{"the user's is valid", onePool, otherPool, 999, "lan"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newFakeAPI(configMap(test.user), stateMap("config", onePool, "config-version", "42"))
			inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
				wakes.take()
				s.Offer(test.offered, test.version)
				if got := inUse(s.Snapshot()); got != test.want {
					t.Errorf("%s is in use, want %s", got, test.want)
				}
				if n := wakes.take(); n > 0 != (test.want == "other") {
					t.Errorf("%d wake-ups", n)
				}
				text, version := s.ConfigText()
				if cfg := s.Snapshot().Config; (text == otherPool) != (test.want == "other") || cfg == nil {
					t.Errorf("text %q of version %d is in use", text, version)
				}
			})
			// The next process gets the offer first.
			s := newQuietStore()
			s.Offer(test.offered, test.version)
			if text, version := s.ConfigText(); text != "" || version != 0 || s.Snapshot().Config != nil {
				t.Errorf("%q is in use before the ConfigMap was listed", text)
			}
			for _, err := range []error{
				s.saved.Replace([]any{api.objects["configmaps"]["lanlord-system/"+StateConfigMap]}, "200"),
				s.configMaps.Replace([]any{configMap(test.user)}, "200"),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := inUse(s.Snapshot()); got != test.want {
				t.Errorf("offered first: %s is in use, want %s", got, test.want)
			}
		})
	}
}

// TestConfigVersions compares nodes whose configurations differ.
func TestConfigVersions(t *testing.T) {
	of := func(texts ...string) *Store {
		s := newQuietStore()
		for i, text := range texts {
			o := configMap(text)
			o.ResourceVersion = string(rune('1' + i))
			if err := s.configMaps.Replace([]any{o}, o.ResourceVersion); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	versions := func(s *Store) cluster.Versions { return s.Snapshot().Versions }
	none, old, current, relabelled, back := of(), of(onePool), of(onePool, otherPool), of(onePool, otherPool, otherPool), of(onePool, otherPool, onePool)
	for name, less := range map[string][2]*Store{
		"no configuration": {none, old}, "an old configuration": {old, current}, "a text that came back": {current, back},
	} {
		if a, b := versions(less[0]), versions(less[1]); !a.Less(b) || b.Less(a) {
			t.Errorf("%s: %+v is not less than %+v", name, a.Config, b.Config)
		}
	}
	for name, same := range map[string][2]*Store{"only labels": {current, relabelled}, "the same text again": {old, back}} {
		if a, b := versions(same[0]), versions(same[1]); a.Less(b) || b.Less(a) {
			t.Errorf("%s: %+v differs from %+v", name, a.Config, b.Config)
		}
	}
}

// TestConfigAfterBackup restores the API server's data from a backup with an older ConfigMap.
func TestConfigAfterBackup(t *testing.T) {
	s := newQuietStore()
	newest, restored := configMap(otherPool), configMap(onePool)
	newest.ResourceVersion, restored.ResourceVersion = "900", "300"
	broken := configMap(refused)
	broken.ResourceVersion = "310"
	saved := stateMap("config", onePool, "config-version", "300")
	saved.ResourceVersion = "301"
	for i, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return s.configMaps.Replace([]any{newest}, "1000") }, "other"},
		{func() error {
			return s.saved.Replace([]any{stateMap("config", otherPool, "config-version", "900")}, "1000")
		}, "other"},
		{func() error { return s.configMaps.Replace([]any{restored}, "400") }, "lan"},
		{func() error { return s.saved.Replace([]any{saved}, "400") }, "lan"},
		{func() error { return s.configMaps.Update(broken) }, "lan"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := inUse(s.Snapshot()); got != step.want {
			t.Errorf("step %d: %s is in use, want %s", i, got, step.want)
		}
	}
	if got := s.Snapshot().Config.PoolOf(netip.MustParseAddr("192.168.56.11")); got == nil {
		t.Error("the restored pool is not in use")
	}
}

// TestStateForbidden checks that the Store works without the right to read lanlord-state. The manifest of an older
// version does not grant the right.
func TestStateForbidden(t *testing.T) {
	api := newFakeAPI(configMap(onePool), service("s"))
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, StateConfigMap, errors.New("no"))
	api.PrependReactor("list", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		fields := action.(clienttesting.ListAction).GetListRestrictions().Fields
		if name, _ := fields.RequiresExactMatch("metadata.name"); name == StateConfigMap {
			return true, nil, forbidden
		}
		return false, nil, nil
	})
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		synctest.Wait()
		if got := inUse(s.Snapshot()); got != "lan" {
			t.Errorf("%s is in use", got)
		}
		if n := log.count("resource=configmaps/lanlord-state"); n != 1 {
			t.Errorf("%d lines for the right that is missing:\n%s", n, log.text.String())
		}
	})
}
