package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
	kind string
	// name is that of the only object wanted, empty for all.
	name string
	// labels is the label selector of the objects wanted, empty for all.
	labels  string
	example runtime.Object
	table   cache.ReflectorStore
	// synced is called with Store.mu held.
	synced func() bool
	list   cache.ListWithContextFunc
	watch  cache.WatchFuncWithContext
}

// watched returns what this Store watches.
func (s *Store) watched() []watched {
	var (
		core      = s.opt.Client.CoreV1()
		discovery = s.opt.Client.DiscoveryV1()
		namespace = s.opt.Namespace
		ws        []watched
	)
	ws = append(ws, watched{
		kind: s.services.kind, example: &corev1.Service{}, table: s.services,
		synced: func() bool { return s.services.synced },
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return core.Services("").List(ctx, o)
		},
		watch: core.Services("").Watch,
	}, watched{
		kind: s.configMaps.kind, name: s.opt.ConfigMap, example: &corev1.ConfigMap{}, table: s.configMaps,
		synced: func() bool { return s.configMaps.synced },
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return core.ConfigMaps(namespace).List(ctx, o)
		},
		watch: core.ConfigMaps(namespace).Watch,
	})
	if s.opt.Endpoints {
		ws = append(ws, watched{
			kind: s.slices.kind, example: &discoveryv1.EndpointSlice{}, table: s.slices,
			synced: func() bool { return s.slices.synced },
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return discovery.EndpointSlices("").List(ctx, o)
			},
			watch: discovery.EndpointSlices("").Watch,
		})
	}
	if s.opt.Nodes {
		ws = append(ws, watched{
			kind: s.nodes.kind, example: &corev1.Node{}, table: s.nodes,
			synced: func() bool { return s.nodes.synced },
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return core.Nodes().List(ctx, o)
			},
			watch: core.Nodes().Watch,
		})
	}
	if s.opt.Namespaces {
		ws = append(ws, watched{
			kind: s.namespaces.kind, example: &corev1.Namespace{}, table: s.namespaces,
			synced: func() bool { return s.namespaces.synced },
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return core.Namespaces().List(ctx, o)
			},
			watch: core.Namespaces().Watch,
		})
	}
	if s.opt.Speakers {
		ws = append(ws, watched{
			kind: s.pods.kind, labels: componentLabel + "=" + speakerComponent, example: &corev1.Pod{}, table: s.pods,
			synced: func() bool { return s.pods.synced },
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return core.Pods(namespace).List(ctx, o)
			},
			watch: core.Pods(namespace).Watch,
		})
	}
	if s.opt.Secret {
		ws = append(ws, watched{
			kind: s.secrets.kind, name: GossipSecret, example: &corev1.Secret{}, table: s.secrets,
			synced: func() bool { return s.secrets.synced },
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return core.Secrets(namespace).List(ctx, o)
			},
			watch: core.Secrets(namespace).Watch,
		})
	}
	return ws
}

// The pauses between attempts while the API server is away: client-go's own go up to a minute, in which a restarted API
// server would wait for the last speaker to come back.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
)

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
			list, err := w.list(ctx, o)
			s.health.report(ctx, w.kind, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			narrow(&o)
			events, err := w.watch(ctx, o)
			s.health.report(ctx, w.kind, err)
			if err != nil && o.SendInitialEvents != nil {
				// The reflector would sleep and try again without heeding ctx. What it does not recognise it returns,
				// and then it sleeps where ctx wakes it.
				return nil, opaque{err}
			}
			return events, err
		},
	}
	logger := quietLogger(s.opt.Log)
	return cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s.opt.Client), w.example, w.table,
		cache.ReflectorOptions{
			Logger: &logger,
			Name:   w.kind,
			Backoff: &wait.Backoff{
				Duration: firstRetry, Cap: lastRetry, Steps: 5, Factor: 2, Jitter: 0.5,
			},
		})
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
		list, err := s.opt.Client.CoreV1().Services("").List(ctx, page)
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
