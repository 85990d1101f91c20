package kube

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// eventQueue is how many Events may wait. A new configuration may move every Service of a large cluster at once.
	eventQueue = 4096
	// eventRate is how many are sent a second in the long run, and eventBurst how many at once, as a kubelet does: what they tell
	// of goes before them.
	eventRate  = 50
	eventBurst = 100
	// eventMemory is of how many objects client-go remembers what was said of them last.
	eventMemory = 1024
)

// queue holds the Events that wait.
type queue struct {
	bell bell

	// mu guards waiting: whoever has something to tell adds to it.
	mu      sync.Mutex
	waiting []cluster.Event
}

// add returns false if too many wait.
func (q *queue) add(e cluster.Event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == eventQueue {
		return false
	}
	q.waiting = append(q.waiting, e)
	q.bell.ring()
	return true
}

// next removes the oldest Event. It waits for one until ctx ends, and then returns false.
func (q *queue) next(ctx context.Context) (cluster.Event, bool) {
	for {
		if e, ok := q.take(); ok {
			return e, true
		}
		select {
		case <-ctx.Done():
			return cluster.Event{}, false
		case <-q.bell:
		}
	}
}

func (q *queue) take() (e cluster.Event, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return e, false
	}
	e, q.waiting = q.waiting[0], q.waiting[1:]
	if len(q.waiting) == 0 {
		q.waiting = nil // and its array with it
	}
	return e, true
}

// Event sends an Event some time after Run has begun. It never blocks; when too many wait, the newest are dropped and
// counted.
func (s *Store) Event(e cluster.Event) {
	if !s.events.add(e) {
		s.metrics.eventsDropped.Inc()
	}
}

// sendEvents hands the queue to client-go's broadcaster, which merges what is alike, holds back what floods, and tries
// again while the API server is away. It is made here since it starts goroutines when made.
func (s *Store) sendEvents(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx), record.WithCorrelatorOptions(record.CorrelatorOptions{LRUCacheSize: eventMemory}))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(eventSink{s.opt.Client})
	recorder := broadcaster.NewRecorder(newScheme(), corev1.EventSource{Component: s.opt.Component, Host: s.opt.Host})
	for limit := rate.NewLimiter(eventRate, eventBurst); ; {
		e, ok := s.events.next(ctx)
		if !ok || limit.Wait(ctx) != nil {
			return
		}
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		recorder.Event(reference(e.Object), kind, e.Reason, e.Message)
		s.metrics.events.WithLabelValues(e.Reason).Inc()
	}
}

func reference(o cluster.ObjectRef) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: types.UID(o.UID),
	}
}

// eventSink is where client-go's broadcaster sends Events.
type eventSink struct{ client Client }

// Create implements [record.EventSink].
func (s eventSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return do[*corev1.Event](context.Background(), s.client, Request{Verb: VerbCreate, Resource: events, Namespace: e.Namespace, Object: e})
}

// Update implements [record.EventSink].
func (s eventSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return do[*corev1.Event](context.Background(), s.client,
		Request{Verb: VerbUpdate, Resource: events, Namespace: e.Namespace, Name: e.Name, Object: e})
}

// Patch implements [record.EventSink].
func (s eventSink) Patch(old *corev1.Event, patch []byte) (*corev1.Event, error) {
	return do[*corev1.Event](context.Background(), s.client, Request{
		Verb: VerbPatch, Resource: events, Namespace: old.Namespace, Name: old.Name, Patch: patch, PatchType: types.StrategicMergePatchType,
	})
}
