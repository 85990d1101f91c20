package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
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
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: s.opt.Client.CoreV1().Events("")})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: s.opt.Component, Host: s.opt.Host})
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
