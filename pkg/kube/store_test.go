package kube

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const onePool = `address-pools:
- name: lan
  protocol: layer2
  addresses: [192.168.56.11-192.168.56.13]
`

func node(name, ip string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid", Labels: map[string]string{"zone": "1"}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}},
	}
}

// slice returns an EndpointSlice of the Service a/service with one ready endpoint on each node.
func slice(name, service string, nodes ...string) *discoveryv1.EndpointSlice {
	o := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "a", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, n := range nodes {
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{NodeName: &n})
	}
	return o
}

// terminating returns the conditions of an endpoint that still serves while it terminates.
func terminating() discoveryv1.EndpointConditions {
	return discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
}

func names(services []*cluster.Service) string {
	var ns []string
	for _, s := range services {
		ns = append(ns, s.Key.String())
	}
	return strings.Join(ns, " ")
}

// TestSnapshotsShare changes one Service of three, and the endpoints of another Service: the third Service is not
// copied.
func TestSnapshotsShare(t *testing.T) {
	api := newFakeAPI(configMap(""), service("a"), service("b"), service("c"), slice("b-1", "b", "n1"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		before := s.Snapshot().Services
		changed := service("a")
		changed.Annotations = map[string]string{AddressesAnnotation: "10.0.0.1"}
		api.put(changed)
		api.put(slice("b-1", "b", "n2"))
		synctest.Wait()
		after := s.Snapshot().Services
		if !slices.Equal(after[0].Requested, addrs("10.0.0.1")) || !slices.Equal(after[1].ServingNodes, []string{"n2"}) {
			t.Errorf("%+v, %+v do not show the changes", *after[0], *after[1])
		}
		if len(before[0].Requested) > 0 || !slices.Equal(before[1].ServingNodes, []string{"n1"}) {
			t.Errorf("%+v, %+v were changed in a snapshot", *before[0], *before[1])
		}
		if after[2] != before[2] {
			t.Error("a Service that has not changed was copied")
		}
	})
}

// TestTerminatingEndpoint stops the only Pod of one node of two. The node has no ready endpoint at once, which wakes
// the reader, and no serving endpoint after the end of the Pod.
func TestTerminatingEndpoint(t *testing.T) {
	api := newFakeAPI(configMap(""), service("b"), slice("b-1", "b", "n1", "n2"), slice("b-2", "b", "n2"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		for _, step := range []struct {
			name           string
			first          func(o *discoveryv1.EndpointSlice)
			serving, ready []string
		}{
			{"both run", nil, []string{"n1", "n2"}, []string{"n1", "n2"}},
			{"n1 stops", func(o *discoveryv1.EndpointSlice) { o.Endpoints[0].Conditions = terminating() },
				[]string{"n1", "n2"}, []string{"n2"}},
			{"n2 has another one that runs", func(o *discoveryv1.EndpointSlice) {
				o.Endpoints[0].Conditions, o.Endpoints[1].Conditions = terminating(), terminating()
			}, []string{"n1", "n2"}, []string{"n2"}},
			{"n1 has stopped", func(o *discoveryv1.EndpointSlice) { o.Endpoints = o.Endpoints[1:] }, []string{"n2"}, []string{"n2"}},
		} {
			before := s.Snapshot().Services[0]
			wakes.take()
			if step.first != nil {
				o := slice("b-1", "b", "n1", "n2")
				step.first(o)
				api.put(o)
				synctest.Wait()
			}
			b := s.Snapshot().Services[0]
			if !slices.Equal(b.ServingNodes, step.serving) || !slices.Equal(b.ReadyNodes, step.ready) {
				t.Errorf("%s: serving %q, ready %q, want %q and %q", step.name, b.ServingNodes, b.ReadyNodes, step.serving, step.ready)
			}
			if woken := wakes.take() > 0; woken == sameService(before, b) {
				t.Errorf("%s: woken: %t", step.name, woken)
			}
			if slices.Equal(b.ServingNodes, b.ReadyNodes) && &b.ServingNodes[0] != &b.ReadyNodes[0] {
				t.Errorf("%s: two copies of the same nodes", step.name)
			}
		}
	})
}

func TestSnapshot(t *testing.T) {
	clusterIP := service("internal")
	clusterIP.Spec.Type = corev1.ServiceTypeClusterIP
	api := newFakeAPI(service("z"), service("b"), clusterIP, configMap(onePool), node("n2", "10.0.0.2"), node("n1", "10.0.0.1"),
		slice("b-1", "b", "n2", "n1", "n2"), slice("b-2", "b", "n3"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		snapshot := s.Snapshot()
		if got := names(snapshot.Services); got != "a/b a/z" {
			t.Errorf("Services %s, want a/b a/z", got)
		}
		b := snapshot.Services[0]
		if !b.HasServing || !slices.Equal(b.ServingNodes, []string{"n1", "n2", "n3"}) {
			t.Errorf("endpoints of a/b: %t %q, want those of both slices", b.HasServing, b.ServingNodes)
		}
		if snapshot.Services[1].HasServing {
			t.Error("a/z has endpoints, and should have none")
		}
		if len(snapshot.Nodes) != 2 || snapshot.Nodes[0].Name != "n1" {
			t.Errorf("Nodes %v, want n1 and n2", snapshot.Nodes)
		}
		if snapshot.Config == nil || len(snapshot.Config.Pools) != 1 || snapshot.ConfigState.Problem != nil {
			t.Errorf("configuration %v, %v", snapshot.Config, snapshot.ConfigState)
		}

		api.remove(service("z"))
		api.put(service("m"))
		api.put(service("a"))
		clusterIP.Spec.Type = corev1.ServiceTypeLoadBalancer
		api.put(clusterIP)
		if n := wakes.take(); n == 0 {
			t.Error("no wake-up for new Services")
		}
		if got := names(s.Snapshot().Services); got != "a/a a/b a/internal a/m" {
			t.Errorf("Services %s", got)
		}
		if got := names(snapshot.Services); got != "a/b a/z" {
			t.Errorf("the earlier snapshot now shows %s", got)
		}
	})
}

// TestNamespaces checks that snapshots have the labels of namespaces, and that only a change of labels wakes the
// reader.
func TestNamespaces(t *testing.T) {
	namespace := func(name string, labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	api := newFakeAPI(namespace("web", map[string]string{"team": "a"}), namespace("api", nil))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		see := func(want ...cluster.Namespace) {
			t.Helper()
			if got := s.Snapshot().Namespaces; !reflect.DeepEqual(got, want) {
				t.Errorf("namespaces %v, want %v", got, want)
			}
		}
		see(cluster.Namespace{Name: "api"}, cluster.Namespace{Name: "web", Labels: map[string]string{"team": "a"}})
		annotated := namespace("web", map[string]string{"team": "a"})
		annotated.Annotations = map[string]string{"a": "b"}
		api.put(annotated)
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups for an annotation", n)
		}
		api.put(namespace("web", map[string]string{"team": "b"}))
		api.remove(namespace("api", nil))
		if n := wakes.take(); n == 0 {
			t.Error("no wake-up for a label")
		}
		see(cluster.Namespace{Name: "web", Labels: map[string]string{"team": "b"}})
	})
}

func TestNoWakeForNothing(t *testing.T) {
	api := newFakeAPI(service("s"), node("n1", "10.0.0.1"), slice("s-1", "s", "n1"), configMap(onePool))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		before := s.Snapshot()

		heartbeat := node("n1", "10.0.0.1")
		heartbeat.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.Now()}}
		api.put(heartbeat)
		owned := service("s")
		owned.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		owned.Annotations = map[string]string{"someone/else": "1"}
		version := api.put(owned)
		twice := slice("s-1", "s", "n1", "n1")
		api.put(twice)
		api.put(slice("other-1", "other", "n1")) // of a Service outside of Lanlord
		labelled := configMap(onePool)
		labelled.Labels = map[string]string{"a": "b"}
		api.put(labelled)
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups for changes that change nothing", n)
		}

		after := s.Snapshot()
		if after.Services[0].Version != version {
			t.Errorf("version %s, want %s: a write would be refused", after.Services[0].Version, version)
		}
		like := slices.Clone(after.Services)
		like[0] = new(*like[0])
		like[0].Version = before.Services[0].Version
		if !reflect.DeepEqual(like, before.Services) || !reflect.DeepEqual(after.Nodes, before.Nodes) {
			t.Errorf("snapshot\n%+v\nwant\n%+v", after, before)
		}
		if after.Config != before.Config {
			t.Error("the same text was taken for a new configuration")
		}
	})
}

func TestWakes(t *testing.T) {
	api := newFakeAPI(service("s"), node("n1", "10.0.0.1"), slice("s-1", "s", "n1"), configMap(onePool))
	excluded := node("n1", "10.0.0.1")
	excluded.Labels[corev1.LabelNodeExcludeBalancers] = ""
	local := service("s")
	local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: GossipSecret},
		Data:       map[string][]byte{"key-2": []byte("bbbb"), "key-1": []byte("aaaa")},
	}
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		for _, step := range []struct {
			what string
			do   func()
		}{
			{"a Node's label", func() { api.put(excluded) }},
			{"a Service's spec", func() { api.put(local) }},
			{"an endpoint on another node", func() { api.put(slice("s-1", "s", "n2")) }},
			{"a slice that moves to another Service", func() { api.put(slice("s-1", "other", "n2")) }},
			{"the configuration", func() { api.put(configMap("")) }},
			{"no configuration", func() { api.remove(configMap("")) }},
			{"the keys", func() { api.put(secret) }},
			{"a Node that goes", func() { api.remove(excluded) }},
			{"a Service that goes", func() { api.remove(local) }},
		} {
			step.do()
			if n := wakes.take(); n != 1 {
				t.Errorf("%s: %d wake-ups, want 1", step.what, n)
			}
		}
		if got := fmt.Sprintf("%s", s.GossipKeys()); got != "[aaaa bbbb]" {
			t.Errorf("keys %s, want them in the order of their names", got)
		}
		if last := s.Snapshot(); len(last.Services)+len(last.Nodes) != 0 {
			t.Errorf("something is left: %+v", last)
		}
	})
}

// TestGossipKeys exchanges a key by the documented steps: each step wakes the reader once, and the first key encrypts.
func TestGossipKeys(t *testing.T) {
	secret := func(entries ...string) *corev1.Secret {
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: GossipSecret}, Data: map[string][]byte{}}
		for _, entry := range entries {
			name, key, _ := strings.Cut(entry, "=")
			o.Data[name] = []byte(key)
		}
		return o
	}
	annotated := secret("key-1=new", "key-2=old")
	annotated.Annotations = map[string]string{"rotated": "yes"}
	other := secret("key-1=theirs")
	other.Name = "other"
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, log *lines) {
		wakes.take()
		for _, step := range []struct {
			what  string
			do    func()
			want  string
			wakes int
		}{
			{"none yet", func() {}, "[]", 0},
			{"made", func() { api.put(secret("key-1=old")) }, "[old]", 1},
			{"added", func() { api.put(secret("key-1=old", "key-2=new")) }, "[old new]", 1},
			{"swapped", func() { api.put(secret("key-1=new", "key-2=old")) }, "[new old]", 1},
			{"annotated", func() { api.put(annotated) }, "[new old]", 0},
			{"another Secret", func() { api.put(other) }, "[new old]", 0},
			{"removed", func() { api.put(secret("key-1=new")) }, "[new]", 1},
			{"renamed", func() { api.put(secret("a=new")) }, "[new]", 0},
			{"emptied", func() { api.put(secret()) }, "[new]", 0},
			{"deleted", func() { api.remove(secret()) }, "[new]", 0},
			{"made again as it was", func() { api.put(secret("key-1=new")) }, "[new]", 0},
			{"deleted again", func() { api.remove(secret()) }, "[new]", 0},
			{"made anew", func() { api.put(secret("key-1=newer", "key-2=b", "key-10=c")) }, "[newer c b]", 1},
		} {
			step.do()
			n := wakes.take()
			if got := fmt.Sprintf("%s", s.GossipKeys()); got != step.want || n != step.wakes {
				t.Errorf("%s: %s after %d wake-ups, want %s after %d", step.what, got, n, step.want, step.wakes)
			}
		}
		if n := log.count("the last ones stay in use"); n != 2 {
			t.Errorf("%d lines of keys that are gone, want 2:\n%s", n, log.text.String())
		}
	})
}

func TestConfigState(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		state := func() cluster.Snapshot {
			synctest.Wait()
			return s.Snapshot()
		}
		missing := state()
		if p := missing.ConfigState.Problem; p == nil || !strings.Contains(p.Error(), `no ConfigMap "config" in the namespace "lanlord-system"`) ||
			!strings.Contains(p.Error(), "create configmap config") {
			t.Errorf("problem %v, want what is missing and how to make it", p)
		}
		if missing.Config != nil || missing.ConfigState.Object.UID != "" || missing.ConfigState.Version != "" {
			t.Errorf("%+v, want nothing known", missing.ConfigState)
		}

		version := api.put(configMap(onePool))
		good := state()
		if good.Config == nil || good.ConfigState.Problem != nil || good.ConfigState.Version != version || good.ConfigState.Object.UID != "uid-config" {
			t.Errorf("%+v, want it in use", good.ConfigState)
		}

		version = api.put(configMap("address-pools: 7"))
		bad := state()
		if bad.Config != good.Config || bad.ConfigState.Problem == nil || bad.ConfigState.Version != version {
			t.Errorf("%+v, want the last good one and the problem of the newest", bad.ConfigState)
		}

		api.remove(configMap(""))
		if gone := state(); gone.Config != good.Config || gone.ConfigState.Problem == nil || gone.ConfigState.Object.UID != "" {
			t.Errorf("%+v, want the last good one and that it is missing", gone.ConfigState)
		}

		misnamed := configMap("")
		misnamed.Data = map[string]string{"config.yaml": onePool}
		api.put(misnamed)
		unread := state()
		if p := unread.ConfigState.Problem; unread.Config != good.Config || p == nil || !strings.Contains(p.Error(), `it has "config.yaml", which is not read`) {
			t.Errorf("%+v, want the last good one, and the entry that is not read", unread.ConfigState)
		}

		for _, text := range []string{"", "# nothing\n", "address-pools: []\n", "address-pools:\n", "allocation: {withdraw-all: true}\n"} {
			api.put(configMap(text))
			if empty := state(); empty.Config != good.Config || empty.ConfigState.Problem == nil ||
				!strings.Contains(empty.ConfigState.Problem.Error(), "withdraw the address of every Service") {
				t.Errorf("%q: %+v, want the last good one: most often a template has rendered to nothing", text, empty.ConfigState)
			}
		}
		api.put(configMap("address-pools: []\nallocation: {withdraw-all: true}\n"))
		if empty := state(); empty.ConfigState.Problem != nil || len(empty.Config.Pools) != 0 {
			t.Errorf("%+v, want no pools and no problem", empty.ConfigState)
		}
	})
}

func TestAPIServerAway(t *testing.T) {
	api := newFakeAPI(service("s"), configMap(onePool))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, log *lines) {
		api.fail(&apiDown{})
		time.Sleep(10 * time.Minute)
		if s.Connected() {
			t.Error("connected while the API server is away")
		}
		if got := names(s.Snapshot().Services); got != "a/s" {
			t.Errorf("Services %s, want what was known", got)
		}
		api.fail(nil)
		api.put(service("t"))
		time.Sleep(20 * time.Second)
		if !s.Connected() {
			t.Error("not connected 20 s after the API server came back")
		}
		if got := names(s.Snapshot().Services); got != "a/s a/t" {
			t.Errorf("Services %s, want the new one too", got)
		}
		if away, back := log.count("out of reach"), log.count("answers again"); away != 1 || back != 1 {
			t.Errorf("%d lines for going and %d for coming back, want 1 each:\n%s", away, back, log.text.String())
		}
		if n := log.count("\n"); n != 2 {
			t.Errorf("%d lines in all:\n%s", n, log.text.String())
		}
	})
}

// TestWatchesComeBackTogether makes the API server unreachable for so long that each watch waits for another number of
// seconds. When the API server is back, all watches ask as soon as one has asked.
func TestWatchesComeBackTogether(t *testing.T) {
	for _, c := range []struct {
		away  time.Duration
		fails error
	}{
		{7 * time.Second, &apiDown{}}, {31 * time.Second, &apiDown{}}, {3 * time.Minute, &apiDown{}},
		{5 * time.Second, apierrors.NewResourceExpired("gone")}, {time.Minute, apierrors.NewInternalError(errors.New("no leader"))},
		{10 * time.Second, nil}, // watches live for a second
	} {
		api := newFakeAPI()
		inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
			for range c.away / time.Second {
				api.fail(c.fails)
				time.Sleep(time.Second)
			}
			api.fail(nil)
			time.Sleep(wakeInterval)
			for i := range 60 {
				api.put(service(fmt.Sprint("t", i)))
				api.put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i)}})
				time.Sleep(250 * time.Millisecond)
				synctest.Wait()
				snap := s.Snapshot()
				if len(snap.Services) != len(snap.Nodes) {
					t.Fatalf("%d Services and %d Nodes are known", len(snap.Services), len(snap.Nodes))
				}
			}
			if n := len(s.Snapshot().Services); n != 60 {
				t.Errorf("%d Services are known, want 60", n)
			}
		})
	}
}

// apiDown is a refused connection in the form of client-go.
type apiDown struct{}

func (*apiDown) Error() string { return "dial tcp: connection refused" }
func (*apiDown) Unwrap() error { return syscall.ECONNREFUSED }

func TestForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.fail(apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no")))
		log := &lines{}
		s := New(Options{Client: api, Namespace: "n", ConfigMap: "c", Log: textLog(log)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		err := s.WaitSynced(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "configmaps, configmaps/lanlord-state, services") || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("%v, want the time-out, what is missing, and why", err)
		}
		if n := log.count("refuses"); n != 3 {
			t.Errorf("%d lines, want one for each of the three watches:\n%s", n, log.text.String())
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v, want nil when its context ends", err)
		}
	})
}

func TestEvent(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		s.Event(cluster.Event{
			Object:  cluster.ObjectRef{Kind: "Service", Namespace: "a", Name: "s", UID: "u"},
			Warning: true, Reason: "PoolFull", Message: "no address is left",
		})
		synctest.Wait()
		list, err := api.CoreV1().Events("a").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%d Events, %v, want 1", len(list.Items), err)
		}
		e := list.Items[0]
		if e.Type != "Warning" || e.Reason != "PoolFull" || e.Message != "no address is left" ||
			e.InvolvedObject.Kind != "Service" || e.InvolvedObject.Name != "s" || e.InvolvedObject.UID != "u" ||
			e.Source.Component != "lanlord-test" || e.Source.Host != "here" {
			t.Errorf("%+v", e)
		}
	})
}

// TestEventsArePaced sends the Events of many Services one after the other, without a loss.
func TestEventsArePaced(t *testing.T) {
	api := newFakeAPI()
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		const many = 400
		for i := range many {
			name := fmt.Sprint("s", i)
			s.Event(cluster.Event{Object: cluster.ObjectRef{Kind: "Service", Namespace: "a", Name: name, UID: name}, Reason: "Assigned", Message: name})
		}
		sent := func() (names []string) {
			synctest.Wait()
			for _, action := range api.Actions() {
				if action.Matches("create", "events") {
					names = append(names, action.(clienttesting.CreateAction).GetObject().(*corev1.Event).InvolvedObject.Name)
				}
			}
			return names
		}
		if n := len(sent()); n != eventBurst {
			t.Errorf("%d at once, want %d", n, eventBurst)
		}
		time.Sleep(2 * time.Second)
		if n := len(sent()); n < eventBurst+2*eventRate-1 || n > eventBurst+2*eventRate+1 {
			t.Errorf("%d after two seconds", n)
		}
		time.Sleep(time.Minute)
		names := sent()
		if len(names) != many {
			t.Fatalf("%d of %d", len(names), many)
		}
		for i, name := range names {
			if name != fmt.Sprint("s", i) {
				t.Fatalf("%s is number %d", name, i)
			}
		}
	})
}

func TestEventNeverBlocks(t *testing.T) {
	s := New(Options{Client: newFakeAPI(), Log: textLog(&lines{})})
	for range eventQueue + 10 {
		s.Event(cluster.Event{})
	}
}
