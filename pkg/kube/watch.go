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

// watched is one kind of object that is watched.
type watched struct {
	resource *Resource
	// namespace is where the objects wanted are, empty for all.
	namespace string
	// name is that of the only object wanted, empty for all.
	name string
	// labels is the label selector of the objects wanted, empty for all.
	labels string
	table  cache.ReflectorStore
	// synced is called with Store.mu held.
	synced func() bool
}

// watched returns what this Store watches.
func (s *Store) watched() []watched {
	namespace := s.opt.Namespace
	ws := []watched{
		{resource: services, table: s.services, synced: func() bool { return s.services.synced }},
		{
			resource: configMaps, namespace: namespace, name: s.opt.ConfigMap,
			table: s.configMaps, synced: func() bool { return s.configMaps.synced },
		},
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
	return ws
}

// The pauses between attempts while the API server is away: client-go's own go up to a minute, in which a restarted API
// server would wait for the last speaker to come back.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
	// wakeInterval is the least time between two moments at which those that wait begin again because one has got through.
	wakeInterval = 3 * time.Second
)

// keepWatching keeps a table up to date until ctx ends. After a failure, or a short life, each watch waits by itself, and twice as long each
// time: what one sees at once after an outage the next would see seconds later. So those that wait begin again when any has got through.
func (s *Store) keepWatching(ctx context.Context, w watched) {
	reflector := s.reflector(w)
	for ctx.Err() == nil {
		attempts, again := context.WithCancel(ctx)
		s.health.begin(w.resource.Name, again)
		reflector.RunWithContext(attempts)
		again()
	}
}

// reflector returns what keeps a table up to date.
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
			s.health.wait(w.resource.Name, false)
			list, err := s.opt.Client.Do(ctx, Request{Verb: VerbList, Resource: w.resource, Namespace: w.namespace, Options: o})
			s.health.report(ctx, w.resource.Name, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			narrow(&o)
			s.health.wait(w.resource.Name, false)
			events, err := s.opt.Client.Watch(ctx, Request{Resource: w.resource, Namespace: w.namespace, Options: o})
			s.health.report(ctx, w.resource.Name, err)
			switch {
			case err == nil:
				return ending{events, func() { s.health.wait(w.resource.Name, true) }}, nil
			case o.SendInitialEvents != nil:
				// The reflector would sleep and try again without heeding ctx. What it does not recognise it returns,
				// and then it sleeps where ctx wakes it.
				return nil, opaque{err}
			}
			return nil, err
		},
	}
	logger := quietLogger(s.opt.Log)
	return cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s.opt.Client), w.resource.Object(), w.table,
		cache.ReflectorOptions{
			Logger: &logger,
			Name:   w.resource.Name,
			Backoff: &wait.Backoff{
				Duration: firstRetry, Cap: lastRetry, Steps: 5, Factor: 2, Jitter: 0.5,
			},
		})
}

// ending is a watch that tells when it is over.
type ending struct {
	watch.Interface
	over func()
}

// Stop implements [watch.Interface]. A reflector calls it in the end, whoever has ended the watch.
func (e ending) Stop() {
	e.over()
	e.Interface.Stop()
}

// opaque is an error of which only the text can be seen.
type opaque struct{ err error }

func (o opaque) Error() string { return o.err.Error() }

// WaitFresh waits until the Store shows every Service at least as new as the API server holds it now. A watch may lag
// behind the writes of the controller before us; what it assigned last must be known before anything is assigned.
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

// newestService returns the newest resourceVersion of any Service, by a consistent list in pages; empty if there is none.
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
