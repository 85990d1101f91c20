package kube

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

const (
	mac7 = `{"macs":["02:00:00:00:00:07"]}`
	mac8 = `{"macs":["02:00:00:00:00:08"]}`
)

// keeping runs test while a leading controller keeps the state.
func keeping(t *testing.T, api *fakeAPI, test func(t *testing.T, s *Store, log *lines)) {
	t.Helper()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			if err := s.KeepState(ctx); err != nil {
				t.Errorf("KeepState: %v", err)
			}
		})
		test(t, s, log)
	})
}

// expectKept compares lanlord-state, and the number of patches.
func expectKept(t *testing.T, api *fakeAPI, when string, patches int, config, version, nodes string) {
	t.Helper()
	data, n := api.kept()
	if n != patches || data["config"] != config || data["config-version"] != version || data["nodes"] != nodes {
		t.Errorf("%s: %d patches, want %d; %q, want %q of %s and %s", when, n, patches, data, config, version, nodes)
	}
}

// TestKeepState follows lanlord-state from its creation through all changes.
func TestKeepState(t *testing.T) {
	api := newFakeAPI(node("n1", "10.0.0.1"), pod("speaker-1", "n1", mac7), pod("speaker-2", "n2", mac8), configMap(onePool))
	keeping(t, api, func(t *testing.T, s *Store, _ *lines) {
		const n1, both = `{"n1":{"macs":["02:00:00:00:00:07"]}}`, `{"n1":{"macs":["02:00:00:00:00:07"]},"n2":{"macs":["02:00:00:00:00:08"]}}`
		expectKept(t, api, "first", 1, onePool, "104", n1)
		if got := macsOf(s.Snapshot()); got != "n1: 7; " {
			t.Errorf("the Store reads %q", got)
		}

		api.put(node("n2", "10.0.0.2"))
		expectKept(t, api, "within the pause", 0, onePool, "104", n1)
		time.Sleep(keepPause)
		expectKept(t, api, "a Node has joined", 1, onePool, "104", both)

		time.Sleep(time.Minute)
		labels := configMap(onePool)
		labels.Labels = map[string]string{"a": "b"}
		api.put(labels)
		api.put(pod("speaker-1", "n1", `{"macs":["02:00:00:00:00:07"],"gateways":["10.0.0.9"]}`))
		api.put(configMap(refused))
		api.remove(configMap(""))
		time.Sleep(time.Minute)
		expectKept(t, api, "nothing new", 0, onePool, "104", both)

		version := api.put(configMap(otherPool))
		api.remove(pod("speaker-2", "n2", ""))
		expectKept(t, api, "another configuration, and a speaker is gone", 1, otherPool, version, both)
		time.Sleep(factsLinger)
		expectKept(t, api, "gone for long", 1, otherPool, version, n1)

		time.Sleep(keepPause)
		api.remove(stateMap())
		expectKept(t, api, "deleted", 1, otherPool, version, n1)
		time.Sleep(keepPause)
		api.put(stateMap("config", refused, "nodes", "nonsense"))
		expectKept(t, api, "broken by hand", 1, otherPool, version, n1)
		time.Sleep(keepPause)
		api.put(stateMap("config", onePool, "config-version", version, "nodes", "{}"))
		expectKept(t, api, "exchanged by hand", 1, otherPool, version, n1)
	})
}

// TestKeepStateNeverGoesBack checks a leading controller with an old, refused or missing ConfigMap.
func TestKeepStateNeverGoesBack(t *testing.T) {
	for name, user := range map[string]*corev1.ConfigMap{"refused": configMap(refused), "missing": nil} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI(stateMap("config", onePool, "config-version", "42", "nodes", "{}"))
			if user != nil {
				api.put(user)
			}
			keeping(t, api, func(t *testing.T, s *Store, _ *lines) {
				time.Sleep(time.Minute)
				expectKept(t, api, "later", 0, onePool, "42", "{}")
			})
		})
	}
	t.Run("nothing was ever accepted", func(t *testing.T) {
		api := newFakeAPI(configMap(refused))
		keeping(t, api, func(t *testing.T, s *Store, _ *lines) {
			expectKept(t, api, "first", 1, "", "", "{}")
			if s.Snapshot().Config != nil {
				t.Error("there is a configuration")
			}
		})
	})
	t.Run("old", func(t *testing.T) {
		old := configMap(otherPool)
		old.ResourceVersion = "80"
		api := newFakeAPI(configMap(onePool), stateMap("config", onePool, "config-version", "101", "nodes", "{}"))
		lagging := laggingConfigMap{api, old}
		synctest.Test(t, func(t *testing.T) {
			s := New(Options{Client: lagging, Namespace: "lanlord-system", ConfigMap: "config", Nodes: true, Speakers: true, Log: textLog(&lines{})})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { _ = s.Run(ctx) })
			if err := s.WaitSynced(ctx); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { _ = s.KeepState(ctx) })
			time.Sleep(time.Minute)
			expectKept(t, api, "later", 0, onePool, "101", "{}")
		})
	})
}

// laggingConfigMap is an API server with an old version of the user's ConfigMap in its cache.
type laggingConfigMap struct {
	*fakeAPI
	old *corev1.ConfigMap
}

func (a laggingConfigMap) of(r Request) bool {
	return r.Resource == configMaps && strings.HasSuffix(r.Options.FieldSelector, "=config")
}

func (a laggingConfigMap) Do(ctx context.Context, r Request) (runtime.Object, error) {
	if r.Verb == VerbList && a.of(r) {
		list := &corev1.ConfigMapList{Items: []corev1.ConfigMap{*a.old}}
		list.ResourceVersion = "90"
		return list, nil
	}
	return a.fakeAPI.Do(ctx, r)
}

func (a laggingConfigMap) Watch(ctx context.Context, r Request) (watch.Interface, error) {
	if a.of(r) {
		return watch.NewFake(), nil
	}
	return a.fakeAPI.Watch(ctx, r)
}

// TestKeepStateRetries loses the API server, and competes with another writer.
func TestKeepStateRetries(t *testing.T) {
	api := newFakeAPI(configMap(onePool), node("n1", "10.0.0.1"), pod("speaker-1", "n1", mac7))
	failures := 3
	api.PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		failures--
		return failures >= 0, nil, errors.New("try later")
	})
	keeping(t, api, func(t *testing.T, s *Store, log *lines) {
		time.Sleep(time.Minute)
		expectKept(t, api, "after failures", 1, onePool, "101", `{"n1":{"macs":["02:00:00:00:00:07"]}}`)
		if n := log.count("not kept; trying again"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log.text.String())
		}
		// The watch lags behind the write of another process: the API server refuses the patch, and KeepState repeats
		// the patch after the watch has caught up.
		api.hold("configmaps")
		api.put(stateMap("config", onePool, "config-version", "101", "nodes", "{}"))
		api.put(pod("speaker-1", "n1", mac8))
		time.Sleep(4 * time.Second)
		expectKept(t, api, "behind", 0, onePool, "101", "{}")
		api.release("configmaps")
		time.Sleep(conflictPause)
		expectKept(t, api, "caught up", 1, onePool, "101", `{"n1":{"macs":["02:00:00:00:00:07","02:00:00:00:00:08"]}}`)
	})
}

// TestKeepStateAdoptsNodes starts a controller while a node is down: the MAC addresses of the node stay for a while.
func TestKeepStateAdoptsNodes(t *testing.T) {
	const both = `{"n1":{"macs":["02:00:00:00:00:07"]},"n2":{"macs":["02:00:00:00:00:08"]}}`
	api := newFakeAPI(configMap(onePool), node("n1", "10.0.0.1"), node("n2", "10.0.0.2"), pod("speaker-1", "n1", mac7),
		stateMap("config", onePool, "config-version", "101", "nodes", both))
	keeping(t, api, func(t *testing.T, s *Store, _ *lines) {
		expectKept(t, api, "first", 0, onePool, "101", both)
		time.Sleep(factsLinger - time.Second)
		expectKept(t, api, "just before", 0, onePool, "101", both)
		time.Sleep(2 * time.Second)
		expectKept(t, api, "after", 1, onePool, "101", `{"n1":{"macs":["02:00:00:00:00:07"]}}`)
	})
}

// TestKeepStateOfItself names lanlord-state as the user's ConfigMap: Lanlord writes nothing there.
func TestKeepStateOfItself(t *testing.T) {
	api := newFakeAPI(stateMap("config", onePool))
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		s := New(Options{Client: api, Namespace: "lanlord-system", ConfigMap: StateConfigMap, Nodes: true, Speakers: true, Log: textLog(log)})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { _ = s.Run(ctx) })
		if err := s.WaitSynced(ctx); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _ = s.KeepState(ctx) })
		time.Sleep(time.Minute)
		if _, patches := api.kept(); patches > 0 || log.count("is not kept") != 1 || inUse(s.Snapshot()) != "lan" {
			t.Errorf("%d patches; %s", patches, log.text.String())
		}
	})
}

// TestKeepGossipSecret deletes the Secret while the controller runs.
func TestKeepGossipSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var created int
		there, broken := true, false
		set := func(exists, fails bool) {
			mu.Lock()
			defer mu.Unlock()
			there, broken = exists, fails
		}
		api := newFakeAPI()
		api.PrependReactor("create", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case broken:
				return true, nil, errors.New("try later")
			case there:
				return true, nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, GossipSecret)
			}
			there = true
			created++
			return true, action.(clienttesting.CreateAction).GetObject(), nil
		})
		log := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- KeepGossipSecret(ctx, api, "lanlord-system", textLog(log)) }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if created != 0 {
			t.Error("a Secret that exists was created")
		}
		set(false, true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := log.count("trying again"); n != 1 {
			t.Errorf("%d lines for one failure", n)
		}
		set(false, false)
		time.Sleep(secretInterval)
		synctest.Wait()
		if created != 1 || log.count("gossip key created") != 1 {
			t.Errorf("created %d times:\n%s", created, log.text.String())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%v, want nil when its context ends", err)
		}
	})
}
