package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	// namespace, name and labels limit the watch to a namespace, to one object, and to a label selector. Empty is for no limit.
	namespace string
	name      string
	labels    string
	table     cache.ReflectorStore
	// synced is called with Store.mu held. It is nil for a watch that the Store can do without.
	synced func() bool
}

// watched returns the watches of this Store.
func (s *Store) watched() []watched {
	namespace := s.opt.Namespace
	ws := []watched{
		{resource: services, table: s.services, synced: func() bool { return s.services.synced }},
		{
			resource: configMaps, namespace: namespace, name: s.opt.ConfigMap,
			table: s.configMaps, synced: func() bool { return s.configMaps.synced },
		},
	}
	if s.opt.ConfigMap != StateConfigMap {
		title := configMaps.Name + "/" + StateConfigMap
		ws = append(ws, watched{
			title: title, resource: configMaps, namespace: namespace, name: StateConfigMap, table: s.saved,
			// The manifest of an older version does not grant the right to read it. Then the user's ConfigMap alone must do.
			synced: func() bool { return s.saved.synced || s.configMaps.synced && s.health.isRefused(title) },
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
	for i := range ws {
		if ws[i].title == "" {
			ws[i].title = ws[i].resource.Name
		}
	}
	return ws
}

// The pauses between attempts while the API server is away. Those of client-go grow to a minute, so that after a restart of the API server
// the last speaker would be back a minute later.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
	// wakeInterval is the least time between two restarts of all waiting watches.
	wakeInterval = 3 * time.Second
)

// keepWatching keeps a table up to date until ctx ends. After a failure each watch waits by itself, twice as long each time, so that after
// an outage one kind could be seconds behind another. Therefore all waiting watches start again as soon as one of them succeeds.
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
	narrow := func(o *metav1.ListOptions) {
		if w.name != "" {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.name).String()
		}
		o.LabelSelector = w.labels
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			narrow(&o)
			s.health.wait(w.title, false)
			list, err := s.opt.Client.Do(ctx, Request{Verb: VerbList, Resource: w.resource, Namespace: w.namespace, Options: o})
			s.report(ctx, w, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			narrow(&o)
			s.health.wait(w.title, false)
			events, err := s.opt.Client.Watch(ctx, Request{Resource: w.resource, Namespace: w.namespace, Options: o})
			s.report(ctx, w, err)
			switch {
			case err == nil:
				return ending{events, func() { s.health.wait(w.title, true) }}, nil
			case o.SendInitialEvents != nil:
				// For an error that it knows, the reflector sleeps without heeding ctx. For any other error it returns, and then
				// sleeps where ctx wakes it.
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

// report notes the outcome of a list or watch. A refusal may complete the Store, too.
func (s *Store) report(ctx context.Context, w watched, err error) {
	before := s.health.isRefused(w.title)
	s.health.report(ctx, w.title, err)
	if err != nil {
		// Password tells of a refusal of its Secret.
		s.moved(w.synced == nil && s.health.isRefused(w.title) != before)
	}
}

// ending is a watch that calls over at its end.
type ending struct {
	watch.Interface
	over func()
}

// Stop implements [watch.Interface]. A reflector calls Stop in the end, whatever has ended the watch.
func (e ending) Stop() {
	e.over()
	e.Interface.Stop()
}

// opaque is an error that hides all but the text of another one.
type opaque struct{ err error }

func (o opaque) Error() string { return o.err.Error() }

// WaitFresh waits until the Store shows every Service at least as new as the API server holds it now. A watch may lag behind the writes
// of the previous controller, whose last assignments this one must know before it assigns anything.
func (s *Store) WaitFresh(ctx context.Context) error {
	newest, err := s.newestService(ctx)
	if err != nil {
		return err
	}
	for waited := false; ; waited = true {
		s.mu.Lock()
		seen, passed := s.services.seen, s.services.passed
		synced := s.services.synced
		s.mu.Unlock()
		if synced && (newest == "" || !older(seen, newest)) {
			return nil
		}
		if !waited {
			s.opt.Log.Info("waiting for the watch of Services to catch up", "seen", seen, "newest", newest)
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the watch of Services to catch up: %w", context.Cause(ctx))
		}
	}
}

// newestService returns the newest resourceVersion of any Service, by a consistent list in pages. It is empty without Services.
func (s *Store) newestService(ctx context.Context) (version string, err error) {
	page := metav1.ListOptions{Limit: 500}
	for {
		list, err := do[*corev1.ServiceList](ctx, s.opt.Client, Request{Verb: VerbList, Resource: services, Options: page})
		switch {
		case apierrors.IsResourceExpired(err) && page.Continue != "":
			page.Continue = ""
			continue
		case err != nil:
			return "", fmt.Errorf("list Services: %w", err)
		}
		for i := range list.Items {
			version = newer(version, list.Items[i].ResourceVersion)
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return version, nil
		}
	}
}
