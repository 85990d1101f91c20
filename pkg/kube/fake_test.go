package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/lanlord/lanlord/pkg/metallb"
)

// TestMain removes the error handler of client-go that sleeps until a millisecond has passed since the last error in
// the process. Real time and the time of a bubble are decades apart.
func TestMain(m *testing.M) {
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	m.Run()
}

// fakeAPI adds to client-go's fake the missing parts of an API server: one increasing resourceVersion for all objects,
// watches that begin at the end of a list and can be held back, and patches of a Service's status with an optimistic
// lock.
type fakeAPI struct {
	fakeClient

	mu       sync.Mutex
	version  int64
	objects  map[string]map[string]runtime.Object // by resource, then by namespace/name
	log      map[string][]watch.Event
	watchers map[string][]*fakeWatch
	held     map[string]bool
	down     error            // the error of lists and watches
	refused  map[string]error // the error for one resource
	patches  []string
	// undefined holds the resources of MetalLB without a CustomResourceDefinition.
	undefined map[string]bool
}

// fakeWatch is one watch that has delivered the log up to next.
type fakeWatch struct {
	events chan watch.Event
	once   sync.Once
	next   int
}

func (w *fakeWatch) ResultChan() <-chan watch.Event { return w.events }
func (w *fakeWatch) Stop()                          {}
func (w *fakeWatch) end()                           { w.once.Do(func() { close(w.events) }) }

func newFakeAPI(objects ...runtime.Object) *fakeAPI {
	a := &fakeAPI{
		fakeClient: fakeClient{fake.NewClientset()},
		version:    100,
		objects:    make(map[string]map[string]runtime.Object),
		log:        make(map[string][]watch.Event),
		watchers:   make(map[string][]*fakeWatch),
		held:       make(map[string]bool),
		refused:    make(map[string]error),
	}
	lists := map[string]func() runtime.Object{
		"services":       func() runtime.Object { return &corev1.ServiceList{} },
		"nodes":          func() runtime.Object { return &corev1.NodeList{} },
		"namespaces":     func() runtime.Object { return &corev1.NamespaceList{} },
		"pods":           func() runtime.Object { return &corev1.PodList{} },
		"configmaps":     func() runtime.Object { return &corev1.ConfigMapList{} },
		"secrets":        func() runtime.Object { return &corev1.SecretList{} },
		"endpointslices": func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		"gateways":       func() runtime.Object { return &gatewayList{} },
	}
	for resource, list := range lists {
		a.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			o, err := a.listed(resource, list())
			return true, o, err
		})
		a.PrependWatchReactor(resource, func(action clienttesting.Action) (bool, watch.Interface, error) {
			w, err := a.watch(resource, action.(clienttesting.WatchActionImpl).ListOptions.ResourceVersion)
			return true, w, err
		})
	}
	a.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		o, err := a.patch(action.(clienttesting.PatchActionImpl))
		return true, o, err
	})
	a.PrependReactor("patch", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		o, err := a.patchPod(action.(clienttesting.PatchActionImpl))
		return true, o, err
	})
	a.reactToConfigMaps()
	a.reactToCustom()
	for _, o := range objects {
		a.put(o)
	}
	return a
}

func resourceOf(o runtime.Object) string {
	switch o := o.(type) {
	case *customObject:
		for _, k := range metallb.Kinds() {
			if k.Name == o.Kind {
				return k.Plural
			}
		}
	case *corev1.Service:
		return "services"
	case *corev1.Node:
		return "nodes"
	case *corev1.Namespace:
		return "namespaces"
	case *corev1.Pod:
		return "pods"
	case *corev1.ConfigMap:
		return "configmaps"
	case *corev1.Secret:
		return "secrets"
	case *discoveryv1.EndpointSlice:
		return "endpointslices"
	case *gateway:
		return "gateways"
	}
	panic(fmt.Sprintf("no resource for %T", o))
}

// put creates or replaces an object, and returns its new resourceVersion.
func (a *fakeAPI) put(o runtime.Object) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.store(resourceOf(o), o.DeepCopyObject())
}

func (a *fakeAPI) store(resource string, o runtime.Object) string {
	kind := watch.Modified
	m, _ := meta.Accessor(o)
	if a.objects[resource] == nil {
		a.objects[resource] = make(map[string]runtime.Object)
	}
	key := m.GetNamespace() + "/" + m.GetName()
	if a.objects[resource][key] == nil {
		kind = watch.Added
	}
	a.version++
	m.SetResourceVersion(strconv.FormatInt(a.version, 10))
	a.objects[resource][key] = o
	a.log[resource] = append(a.log[resource], watch.Event{Type: kind, Object: o.DeepCopyObject()})
	a.pump(resource)
	return m.GetResourceVersion()
}

// remove deletes the object with the name of o.
func (a *fakeAPI) remove(o runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	resource := resourceOf(o)
	m, _ := meta.Accessor(o)
	key := m.GetNamespace() + "/" + m.GetName()
	last := a.objects[resource][key].DeepCopyObject()
	delete(a.objects[resource], key)
	a.version++
	lastMeta, _ := meta.Accessor(last)
	lastMeta.SetResourceVersion(strconv.FormatInt(a.version, 10))
	a.log[resource] = append(a.log[resource], watch.Event{Type: watch.Deleted, Object: last})
	a.pump(resource)
}

// hold holds the events of a resource back until release.
func (a *fakeAPI) hold(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[resource] = true
}

func (a *fakeAPI) release(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[resource] = false
	a.pump(resource)
}

// fail makes lists and watches return err, and ends all watches. A nil err restores them.
func (a *fakeAPI) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = err
	for resource, ws := range a.watchers {
		for _, w := range ws {
			w.end()
		}
		a.watchers[resource] = nil
	}
}

func (a *fakeAPI) pump(resource string) {
	if a.held[resource] {
		return
	}
	for _, w := range a.watchers[resource] {
		for ; w.next < len(a.log[resource]); w.next++ {
			w.events <- a.log[resource][w.next]
		}
	}
}

func (a *fakeAPI) listed(resource string, list runtime.Object) (runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := cmp.Or(a.refused[resource], a.down); err != nil {
		return nil, err
	}
	var items []runtime.Object
	for _, o := range a.objects[resource] {
		items = append(items, o.DeepCopyObject())
	}
	if err := meta.SetList(list, items); err != nil {
		return nil, err
	}
	m, _ := meta.ListAccessor(list)
	m.SetResourceVersion(strconv.FormatInt(a.version, 10))
	return list, nil
}

func (a *fakeAPI) watch(resource, version string) (watch.Interface, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := cmp.Or(a.refused[resource], a.down); err != nil {
		return nil, err
	}
	w := &fakeWatch{events: make(chan watch.Event, 1<<14)}
	w.next = slices.IndexFunc(a.log[resource], func(e watch.Event) bool {
		m, _ := meta.Accessor(e.Object)
		return older(version, m.GetResourceVersion())
	})
	if w.next < 0 {
		w.next = len(a.log[resource])
	}
	a.watchers[resource] = append(a.watchers[resource], w)
	a.pump(resource)
	return w, nil
}

// patch applies the rules of the API server: uid and resourceVersion must match the object, and only the status
// subresource accepts patches.
func (a *fakeAPI) patch(p clienttesting.PatchActionImpl) (runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	group := schema.GroupResource{Resource: "services"}
	if p.Subresource != "status" || p.PatchType != types.StrategicMergePatchType {
		return nil, apierrors.NewForbidden(group, p.Name, fmt.Errorf("only services/status may be patched"))
	}
	a.patches = append(a.patches, string(p.Patch))
	old, ok := a.objects["services"][p.Namespace+"/"+p.Name].(*corev1.Service)
	if !ok {
		return nil, apierrors.NewNotFound(group, p.Name)
	}
	next := &corev1.Service{}
	if err := mergePatch(old, p.Patch, next); err != nil {
		return nil, err
	}
	if next.UID != old.UID || next.ResourceVersion != old.ResourceVersion {
		return nil, apierrors.NewConflict(group, p.Name, fmt.Errorf("the object has been modified"))
	}
	next.Spec = old.Spec
	a.store("services", next)
	return next.DeepCopy(), nil
}

func mergePatch(old *corev1.Service, patch []byte, next *corev1.Service) error {
	text, err := json.Marshal(old)
	if err != nil {
		return err
	}
	text, err = strategicpatch.StrategicMergePatch(text, patch, &corev1.Service{})
	if err != nil {
		return err
	}
	return json.Unmarshal(text, next)
}

// lines is a target for log handlers. Tests read the text.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// counter counts calls of Wake.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

// take waits until everything in the bubble is idle, and returns the number of calls since the last take.
func (c *counter) take() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

// inBubble runs test with a synced Store on a fake API server. The Store watches all kinds.
func inBubble(t *testing.T, api *fakeAPI, test func(t *testing.T, s *Store, wakes *counter, log *lines)) {
	t.Helper()
	inBubbleOf(t, api, "", test)
}

// inBubbleOf is like inBubble, for a Store with its configuration in MetalLB's resources in the namespace. With an
// empty namespace, the configuration is in the ConfigMap.
func inBubbleOf(t *testing.T, api *fakeAPI, namespace string, test func(t *testing.T, s *Store, wakes *counter, log *lines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		wakes, log := &counter{}, &lines{}
		s := New(Options{
			Client: api, Namespace: "lanlord-system", ConfigMap: "config", MetalLB: namespace, Component: "lanlord-test", Host: "here",
			Nodes: true, Namespaces: true, Speakers: true, Endpoints: true, Secret: true, Gateways: true, Wake: wakes.add,
			Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wg.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		if err := s.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		if wakes.take() == 0 {
			t.Error("not woken when synced")
		}
		test(t, s, wakes, log)
	})
}

// service returns a Service of type LoadBalancer in namespace "a".
func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1"},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		},
	}
}

func configMap(text string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lanlord-system", Name: "config", UID: "uid-config"},
		Data:       map[string]string{"config": text},
	}
}

func textLog(l *lines) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// signal is a log handler that closes seen at the first record.
type signal struct{ seen chan struct{} }

func (s *signal) logger() *slog.Logger { return slog.New(s) }

func (s *signal) Enabled(context.Context, slog.Level) bool { return true }

func (s *signal) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return nil
	}
	select {
	case s.seen <- struct{}{}:
	default:
	}
	return nil
}

func (s *signal) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *signal) WithGroup(string) slog.Handler      { return s }

// custom returns a resource of MetalLB in the namespace metallb-system.
func custom(kind, name, spec string) *customObject {
	o := &customObject{Spec: runtime.RawExtension{Raw: []byte(spec)}}
	o.Kind, o.Namespace, o.Name, o.UID = kind, "metallb-system", name, types.UID("uid-"+name)
	return o
}

// reactToCustom serves the kinds of MetalLB that are not in a.undefined.
func (a *fakeAPI) reactToCustom() {
	a.undefined = make(map[string]bool)
	missing := func(resource string) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.undefined[resource] {
			return apierrors.NewNotFound(schema.GroupResource{Group: metallbGroup, Resource: resource}, "")
		}
		return nil
	}
	for _, k := range metallb.Kinds() {
		a.PrependReactor("list", k.Plural, func(clienttesting.Action) (bool, runtime.Object, error) {
			if err := missing(k.Plural); err != nil {
				return true, nil, err
			}
			o, err := a.listed(k.Plural, new(customList))
			return true, o, err
		})
		a.PrependWatchReactor(k.Plural, func(action clienttesting.Action) (bool, watch.Interface, error) {
			if err := missing(k.Plural); err != nil {
				return true, nil, err
			}
			w, err := a.watch(k.Plural, action.(clienttesting.WatchActionImpl).ListOptions.ResourceVersion)
			return true, w, err
		})
	}
}

// define sets whether the CustomResourceDefinition of a kind exists. Without the definition, the watches of the kind
// end.
func (a *fakeAPI) define(resource string, exists bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.undefined[resource] = !exists
	if !exists {
		for _, w := range a.watchers[resource] {
			w.end()
		}
		a.watchers[resource] = nil
	}
}
