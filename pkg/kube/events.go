package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// eventQueue is how many Events may wait. A new configuration may move every Service of a large cluster at once.
const eventQueue = 4096

// Event sends an Event some time after Run has begun. It never blocks; when too many wait, the newest are dropped and
// counted.
func (s *Store) Event(e cluster.Event) {
	select {
	case s.events <- e:
	default:
		s.metrics.eventsDropped.Inc()
	}
}

// sendEvents hands the queue to client-go's broadcaster, which merges what is alike, holds back what floods, and tries
// again while the API server is away. It is made here since it starts goroutines when made.
func (s *Store) sendEvents(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(eventSink{s.opt.Client})
	recorder := broadcaster.NewRecorder(newScheme(), corev1.EventSource{Component: s.opt.Component, Host: s.opt.Host})
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-s.events:
			kind := corev1.EventTypeNormal
			if e.Warning {
				kind = corev1.EventTypeWarning
			}
			recorder.Event(reference(e.Object), kind, e.Reason, e.Message)
			s.metrics.events.WithLabelValues(e.Reason).Inc()
		}
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
