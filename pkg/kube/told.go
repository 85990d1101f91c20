package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/utils/lru"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// These constants bound the Events about one object and the memory for sent Events, with the values of client-go's
// package for Events. That package itself would link patch merging by schema, and OpenAPI, into the binary.
const (
	// The Store sends objectBurst Events about one object at once, and one more every objectPause in the long run.
	objectBurst = 25
	objectPause = 5 * time.Minute
	// eventMemory is the number of objects with remembered Events, and objectMemory the number of Events remembered for
	// each object.
	eventMemory  = 512
	objectMemory = objectBurst
)

// told remembers the sent Events by object, so that a repeated Event is counted and not sent again. Only one goroutine
// uses told.
type told struct {
	source  corev1.EventSource
	objects *lru.Cache // maps cluster.ObjectRef to *toldOf
}

// toldOf remembers the Events sent about one object.
type toldOf struct {
	limit *rate.Limiter
	// named is the number in the name of the last Event.
	named int64
	// said lists the last Events, the oldest first.
	said []said
}

// said is an Event that was sent. count is the number of occurrences.
type said struct {
	kind, reason, message, name string
	count                       int32
}

func newTold(component, host string) *told {
	return &told{source: corev1.EventSource{Component: component, Host: host}, objects: lru.New(eventMemory)}
}

// of returns the memory of an object.
func (t *told) of(o cluster.ObjectRef) *toldOf {
	if known, ok := t.objects.Get(o); ok {
		return known.(*toldOf)
	}
	of := &toldOf{limit: rate.NewLimiter(rate.Every(objectPause), objectBurst)}
	t.objects.Add(o, of)
	return of
}

// event builds a new Event object for e.
func (t *told) event(of *toldOf, e cluster.Event) *corev1.Event {
	kind, namespace, now := corev1.EventTypeNormal, e.Object.Namespace, metav1.Now()
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	of.named = max(of.named+1, now.UnixNano())
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: util.GenerateEventName(e.Object.Name, of.named)},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: cmp.Or(e.Object.APIVersion, "v1"), Kind: e.Object.Kind, Namespace: e.Object.Namespace, Name: e.Object.Name, UID: types.UID(e.Object.UID),
		},
		Reason: e.Reason, Message: e.Message, Type: kind, Source: t.source,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: t.source.Component, ReportingInstance: t.source.Host,
	}
}

// tell sends o: it increments the count of an earlier Event with the same text, or else creates o.
func (of *toldOf) tell(ctx context.Context, c Client, o *corev1.Event) error {
	i := slices.IndexFunc(of.said, func(s said) bool {
		return s.kind == o.Type && s.reason == o.Reason && s.message == o.Message
	})
	if i >= 0 {
		err := again(ctx, c, &of.said[i], o)
		if !apierrors.IsNotFound(err) {
			return err
		}
		// The API server has deleted the Event: Events expire after an hour.
		of.said = slices.Delete(of.said, i, i+1)
	}
	_, err := c.Do(ctx, Request{Verb: VerbCreate, Resource: events, Namespace: o.Namespace, Object: o})
	if err != nil && !apierrors.IsAlreadyExists(err) { // an earlier attempt created o, but its answer was lost
		return err
	}
	if len(of.said) == objectMemory {
		of.said = slices.Delete(of.said, 0, 1)
	}
	of.said = append(of.said, said{o.Type, o.Reason, o.Message, o.Name, 1})
	return nil
}

// again increments the count of an Event. A repeated call after a lost answer does no harm.
func again(ctx context.Context, c Client, s *said, o *corev1.Event) error {
	patch, err := json.Marshal(struct {
		Count         int32       `json:"count"`
		LastTimestamp metav1.Time `json:"lastTimestamp"`
	}{s.count + 1, o.LastTimestamp})
	if err != nil {
		return err
	}
	_, err = c.Do(ctx, Request{
		Verb: VerbPatch, Resource: events, Namespace: o.Namespace, Name: s.name, Patch: patch, PatchType: types.StrategicMergePatchType,
	})
	if err == nil {
		s.count++
	}
	return err
}
