package apiserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
)

// kind is a type of objects that is served.
type kind struct {
	group, name, resource string
	make                  func() runtime.Object
}

var kinds = []kind{
	{"v1", "Node", "nodes", func() runtime.Object { return &corev1.Node{} }},
	{"v1", "Namespace", "namespaces", func() runtime.Object { return &corev1.Namespace{} }},
	{"coordination.k8s.io/v1", "Lease", "leases", func() runtime.Object { return &coordinationv1.Lease{} }},
	{"v1", "Service", "services", func() runtime.Object { return &corev1.Service{} }},
	{"v1", "ConfigMap", "configmaps", func() runtime.Object { return &corev1.ConfigMap{} }},
	{"v1", "Secret", "secrets", func() runtime.Object { return &corev1.Secret{} }},
	{"v1", "Pod", "pods", func() runtime.Object { return &corev1.Pod{} }},
	{"v1", "Event", "events", func() runtime.Object { return &corev1.Event{} }},
	{"discovery.k8s.io/v1", "EndpointSlice", "endpointslices", func() runtime.Object { return &discoveryv1.EndpointSlice{} }},
}

// stored is one version of an object. It is never changed.
type stored struct {
	key     types.NamespacedName
	uid     types.UID
	version uint64
	labels  labels.Set
	text    json.RawMessage
}

// change is what happened to one object: before is nil when it was created, after when it was deleted.
type change struct {
	version       uint64
	before, after *stored
}

// Server holds the objects. Its methods may be called at any time, and are what the cluster's administrator does; the
// speakers use it over HTTP. [New] makes one.
type Server struct {
	// mu guards the rest: every request is a goroutine of its own.
	mu      sync.Mutex
	version uint64
	objects map[string]map[types.NamespacedName]*stored
	changes map[string][]change
	// forgotten is the version of the last change that no watch is told of any more, trimmed that of the last one that is no
	// longer in changes.
	forgotten, trimmed uint64
	// changed is closed by the next change, and then another one.
	changed chan struct{}

	trouble atomic.Pointer[Trouble]
	// requests counts them, for every nth to meet a trouble.
	requests atomic.Uint64
	// hangUp is closed to end the watches there are, one of hangUps to end those of one client; mu guards them.
	hangUp  chan struct{}
	hangUps map[netip.Addr]chan struct{}
}

// New returns a Server without objects.
func New() *Server {
	return &Server{
		objects: make(map[string]map[types.NamespacedName]*stored),
		changes: make(map[string][]change),
		changed: make(chan struct{}),
		hangUp:  make(chan struct{}),
		hangUps: make(map[netip.Addr]chan struct{}),
	}
}

// Put creates the objects, or replaces those of the same names. Like a real API server it gives them a UID and a
// resourceVersion; the arguments are not changed.
func (s *Server) Put(objects ...runtime.Object) error {
	for _, o := range objects {
		i := slices.IndexFunc(kinds, func(k kind) bool { return reflect.TypeOf(k.make()) == reflect.TypeOf(o) })
		if i < 0 {
			return fmt.Errorf("no objects of type %T are served", o)
		}
		if _, err := s.put(kinds[i], o.DeepCopyObject(), nil); err != nil {
			return err
		}
	}
	return nil
}

// put stores o, which it fills in, unless allowed has something against that; it gets what is there now, nil for nothing.
func (s *Server) put(k kind, o runtime.Object, allowed func(before *stored) error) (*stored, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}
	before := s.objects[k.resource][key]
	if allowed != nil {
		if err := allowed(before); err != nil {
			return nil, err
		}
	}
	if before != nil {
		m.SetUID(before.uid)
	} else {
		m.SetUID(cmp.Or(m.GetUID(), uuid.NewUUID()))
	}
	if created := m.GetCreationTimestamp(); created.IsZero() {
		m.SetCreationTimestamp(metav1.Now())
	}
	s.version++
	m.SetResourceVersion(strconv.FormatUint(s.version, 10))
	o.GetObjectKind().SetGroupVersionKind(k.gvk())
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	after := &stored{key: key, uid: m.GetUID(), version: s.version, labels: m.GetLabels(), text: text}
	if s.objects[k.resource] == nil {
		s.objects[k.resource] = make(map[types.NamespacedName]*stored)
	}
	s.objects[k.resource][key] = after
	s.record(k, change{s.version, before, after})
	return after, nil
}

// mostChanges is how many changes of a kind of objects are remembered.
const mostChanges = 5000

// record takes a change down and wakes the watches. The caller holds mu.
func (s *Server) record(k kind, c change) {
	all := append(s.changes[k.resource], c)
	if len(all) > mostChanges {
		half := len(all) / 2
		s.trimmed = max(s.trimmed, all[half-1].version)
		s.forgotten = max(s.forgotten, s.trimmed)
		all = slices.Clone(all[half:])
	}
	s.changes[k.resource] = all
	close(s.changed)
	s.changed = make(chan struct{})
}

// Events returns the Events that were sent so far, by the time they came.
func (s *Server) Events() ([]corev1.Event, error) {
	items, _ := s.list("events", selection{})
	slices.SortFunc(items, func(a, b *stored) int { return cmp.Compare(a.version, b.version) })
	events := make([]corev1.Event, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item.text, &events[i]); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// get returns an object, nil if there is none.
func (s *Server) get(resource string, key types.NamespacedName) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[resource][key]
}

// list returns the objects that are selected, sorted by name, and the version that they are of.
func (s *Server) list(resource string, which selection) ([]*stored, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []*stored{}
	for _, o := range s.objects[resource] {
		if which.holds(o) {
			items = append(items, o)
		}
	}
	slices.SortFunc(items, func(a, b *stored) int {
		return cmp.Or(cmp.Compare(a.key.Namespace, b.key.Namespace), cmp.Compare(a.key.Name, b.key.Name))
	})
	return items, s.version
}

// since returns what changed after a version, the version that now is, and a channel that is closed by the next change; and
// false if not all of these changes are remembered.
func (s *Server) since(resource string, version uint64) ([]change, uint64, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.forgotten {
		return nil, s.version, s.changed, false
	}
	return s.after(resource, version), s.version, s.changed, true
}

// after returns the changes after a version. The caller holds mu.
func (s *Server) after(resource string, version uint64) []change {
	all := s.changes[resource]
	first, _ := slices.BinarySearchFunc(all, version+1, func(c change, v uint64) int { return cmp.Compare(c.version, v) })
	return all[first:len(all):len(all)]
}

// selection is what a list or a watch is of.
type selection struct {
	namespace, name string
	labels          labels.Selector
}

func (w selection) holds(o *stored) bool {
	return o != nil && (w.namespace == "" || w.namespace == o.key.Namespace) && (w.name == "" || w.name == o.key.Name) &&
		(w.labels == nil || w.labels.Matches(o.labels))
}

// event returns what a change is to a watch of the selection, and false if it is nothing.
func (w selection) event(c change) (watch.EventType, *stored, bool) {
	was, is := w.holds(c.before), w.holds(c.after)
	switch {
	case !was && is:
		return watch.Added, c.after, true
	case was && is:
		return watch.Modified, c.after, true
	case was:
		return watch.Deleted, c.before, true
	}
	return "", nil, false
}
