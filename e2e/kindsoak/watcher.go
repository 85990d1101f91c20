package kindsoak

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/wire"
)

// watcher knows what the API server says of the users' namespace.
type watcher struct {
	mu       sync.Mutex
	changed  []apiserver.Change
	happened map[string]int
	services map[types.NamespacedName]*corev1.Service
	slices   map[types.NamespacedName]*discoveryv1.EndpointSlice
}

// watch begins to watch, until ctx ends.
func watch(ctx context.Context, client kubernetes.Interface) (*watcher, error) {
	w := &watcher{
		happened: make(map[string]int), services: make(map[types.NamespacedName]*corev1.Service),
		slices: make(map[types.NamespacedName]*discoveryv1.EndpointSlice),
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(appNamespace))
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		factory.Core().V1().Services().Informer():            handler(w.service),
		factory.Discovery().V1().EndpointSlices().Informer(): handler(w.slice),
		factory.Core().V1().Events().Informer():              handler(w.event),
	} {
		_, err := informer.AddEventHandler(handler)
		// That the API server is away is what the soak itself brings about, and need not be told.
		silent := informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})
		if err := errors.Join(err, silent); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	for _, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, context.Cause(ctx)
		}
	}
	return w, nil
}

// handler calls f with an object as it was and as it is, nil if it was not or is no longer.
func handler[T runtime.Object](f func(before, after T)) cache.ResourceEventHandler {
	var none T
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { f(none, o.(T)) },
		UpdateFunc: func(old, o any) { f(old.(T), o.(T)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			f(o.(T), none)
		},
	}
}

func (w *watcher) service(before, after *corev1.Service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := apiserver.Change{}
	if before != nil {
		c.Before = before
	}
	switch {
	case after != nil:
		c.After = after
		w.services[keyOf(after)] = after
	default:
		delete(w.services, keyOf(before))
	}
	w.changed = append(w.changed, c)
}

func (w *watcher) slice(before, after *discoveryv1.EndpointSlice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if after != nil {
		w.slices[keyOf(after)] = after
	} else {
		delete(w.slices, keyOf(before))
	}
}

// event counts a new one, and each time that one happened again.
func (w *watcher) event(before, after *corev1.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if after == nil {
		return
	}
	count := times(after)
	if before != nil {
		count -= times(before)
	}
	w.happened[after.Reason] += count
}

func times(e *corev1.Event) int {
	if e.Series != nil {
		return int(e.Series.Count)
	}
	return max(1, int(e.Count))
}

func keyOf(o interface {
	GetNamespace() string
	GetName() string
}) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// changes returns what was done to Services since the last call.
func (w *watcher) changes() []apiserver.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.changed
	w.changed = nil
	return changed
}

// events returns how many of each reason were written since the last call.
func (w *watcher) events() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	happened := w.happened
	w.happened = make(map[string]int)
	return happened
}

// places are the nodes with an endpoint that may get traffic, of those Services that care.
func (w *watcher) places(macs map[string]wire.MAC) map[types.NamespacedName][]wire.MAC {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[types.NamespacedName][]wire.MAC)
	for key, s := range w.services {
		if s.Spec.Selector["app"] != roaming {
			continue
		}
		on := make(map[string]bool)
		for _, e := range w.endpoints(key) {
			if _, is := macs[*e.NodeName]; is && serves(e) {
				on[*e.NodeName] = true
			}
		}
		nodes := []wire.MAC{}
		for _, name := range slices.Sorted(maps.Keys(on)) {
			nodes = append(nodes, macs[name])
		}
		all[key] = nodes
	}
	return all
}

// endpoints are those of a Service that have a node; mu is held.
func (w *watcher) endpoints(key types.NamespacedName) (all []discoveryv1.Endpoint) {
	for _, slice := range w.slices {
		if slice.Namespace != key.Namespace || slice.Labels[discoveryv1.LabelServiceName] != key.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.NodeName != nil {
				all = append(all, e)
			}
		}
	}
	return all
}

// serves tells whether an endpoint may get traffic: it is ready, or goes on serving while it ends.
func serves(e discoveryv1.Endpoint) bool {
	c := e.Conditions
	return c.Ready == nil || *c.Ready || c.Serving != nil && *c.Serving
}

// targets are the addresses, with ports, that requests must be answered at: those of Services with an endpoint on the control plane, which
// no fault takes away.
func (w *watcher) targets() map[netip.AddrPort]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[netip.AddrPort]bool)
	for _, s := range w.services {
		if s.Spec.Selector["app"] != steady {
			continue
		}
		for _, i := range s.Status.LoadBalancer.Ingress {
			if a, err := netip.ParseAddr(i.IP); err == nil {
				all[netip.AddrPortFrom(a, uint16(s.Spec.Ports[0].Port))] = true
			}
		}
	}
	return all
}
