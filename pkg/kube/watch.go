package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// watched is one list and watch.
type watched struct {
	// title is the name in logs, unique among the watches.
	title    string
	resource *Resource
	// namespace, name and labels limit the watch to a namespace, to one object, and to a label selector. Empty means no
	// limit.
	namespace string
	name      string
	labels    string
	table     progressing
	// synced is called with Store.mu held. It is nil for an optional watch.
	synced func() bool
	// kind is set for a kind of MetalLB. The API server may not know the kind.
	kind *resourceKind
}

// narrow limits a list or a watch to the objects of w.
func (w watched) narrow(o *metav1.ListOptions) {
	if w.name != "" {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.name).String()
	}
	o.LabelSelector = w.labels
}

// watched returns the watches of this Store.
func (s *Store) watched() []watched {
	namespace := s.opt.Namespace
	ws := []watched{
		{resource: services, table: s.services, synced: func() bool { return s.services.synced }},
	}
	if s.opt.MetalLB == "" {
		ws = append(ws, watched{
			resource: configMaps, namespace: namespace, name: s.opt.ConfigMap,
			table: s.configMaps, synced: func() bool { return s.configMaps.synced },
		})
	}
	ws = append(ws, s.watchedResources()...)
	if s.opt.ConfigMap != StateConfigMap {
		title := configMaps.Name + "/" + StateConfigMap
		ws = append(ws, watched{
			title: title, resource: configMaps, namespace: namespace, name: StateConfigMap, table: s.saved,
			// The manifest of an older version does not grant the right to read lanlord-state. Then the Store works
			// with the user's ConfigMap alone.
			synced: func() bool { return s.saved.synced || s.config.read && s.health.isRefused(title) },
		})
	}
	if s.opt.Endpoints {
		ws = append(ws, watched{resource: endpointSlices, table: s.slices, synced: func() bool { return s.slices.synced }})
	}
	if s.opt.Nodes {
		ws = append(ws, watched{resource: nodes, table: s.nodes, synced: func() bool { return s.nodes.synced }})
	}
	if s.opt.Namespaces {
		ws = append(ws, watched{resource: namespaces, table: s.namespaces, synced: func() bool { return s.namespaces.synced }})
	}
	if s.opt.Speakers {
		ws = append(ws, watched{
			resource: pods, namespace: namespace, labels: componentLabel + "=" + speakerComponent,
			table: s.pods, synced: func() bool { return s.pods.synced },
		})
	}
	if s.opt.Secret {
		ws = append(ws, watched{
			resource: secrets, namespace: namespace, name: GossipSecret,
			table: s.secrets, synced: func() bool { return s.secrets.synced },
		})
	}
	if s.opt.Gateways {
		ws = append(ws, watched{
			resource: gateways, table: s.gateways,
			// Most clusters do not have the kind, and the manifest does not grant the right.
			synced: func() bool { return s.gateways.synced || s.services.synced && s.health.isAbsent(gateways.Name) },
		})
	}
	for i := range ws {
		if ws[i].title == "" {
			ws[i].title = ws[i].resource.Name
		}
	}
	return ws
}

// These constants are the pauses between attempts while the API server is unreachable. The pauses of client-go grow to
// a minute, so that the last speaker would return a minute after a restart of the API server.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
	// wakeInterval is the shortest time between two restarts of all waiting watches.
	wakeInterval = 3 * time.Second
)

// keepWatching keeps a table up to date until ctx ends. After a failure each watch waits by itself, and doubles the
// wait each time, so that one kind could return seconds after another kind. Therefore all waiting watches restart as
// soon as one watch succeeds.
func (s *Store) keepWatching(ctx context.Context, w watched) {
	reflector := s.reflector(w)
	for ctx.Err() == nil {
		attempts, again := context.WithCancel(ctx)
		s.health.begin(w.title, again)
		reflector.RunWithContext(attempts)
		again()
	}
}

// reflector returns the reflector that keeps a table up to date.
func (s *Store) reflector(w watched) *cache.Reflector {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			w.narrow(&o)
			s.health.wait(w.title, false)
			s.opt.Busy()
			list, err := s.opt.Client.Do(ctx, Request{Verb: VerbList, Resource: w.resource, Namespace: w.namespace, Options: o})
			s.report(ctx, w, err)
			s.pauseAbsent(ctx, w, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w.narrow(&o)
			s.health.wait(w.title, false)
			s.opt.Busy()
			events, err := s.opt.Client.Watch(ctx, Request{Resource: w.resource, Namespace: w.namespace, Options: o})
			s.report(ctx, w, err)
			switch {
			case err == nil:
				return ending{events, func() { s.health.wait(w.title, true) }}, nil
			case o.SendInitialEvents != nil:
				// After an error that the reflector knows, the reflector sleeps and ignores ctx. After any other error,
				// the reflector returns, and then sleeps until ctx ends at the latest.
				return nil, opaque{err}
			}
			return nil, err
		},
	}
	logger := quietLogger(s.opt.Log)
	return cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s.opt.Client), w.resource.Object(), w.table,
		cache.ReflectorOptions{
			Logger: &logger,
			Name:   w.title,
			Backoff: &wait.Backoff{
				Duration: firstRetry, Cap: lastRetry, Steps: 5, Factor: 2, Jitter: 0.5,
			},
		})
}

// report records the outcome of a list or watch. A refusal may complete the Store, too.
func (s *Store) report(ctx context.Context, w watched, err error) {
	before := s.health.isRefused(w.title)
	seen := err
	if w.kind != nil && w.kind.Optional && apierrors.IsNotFound(err) {
		seen = nil // an optional kind may be absent
	}
	s.health.report(ctx, w.title, seen)
	if ctx.Err() == nil {
		s.reportKind(w.kind, err)
	}
	if err != nil {
		// Password reports a refusal of its Secret.
		s.moved(w.synced == nil && s.health.isRefused(w.title) != before)
	}
}

// ending is a watch that calls over at its end.
type ending struct {
	watch.Interface
	over func()
}

// Stop implements [watch.Interface]. A reflector calls Stop after every end of the watch.
func (e ending) Stop() {
	e.over()
	e.Interface.Stop()
}

// opaque hides all but the text of an error.
type opaque struct{ err error }

func (o opaque) Error() string { return o.err.Error() }
