package kube

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// eventQueue is the most Events that may wait. A new configuration may move every Service of a large cluster at
	// once.
	eventQueue = 4096
	// eventRate is the long-term rate of Events per second, and eventBurst the most Events at once. The kubelet has the
	// same limits. The writes that the Events describe have priority.
	eventRate  = 50
	eventBurst = 100
	// eventTries is the most attempts to send an Event while the API server cannot be reached, and eventRetry the pause
	// between two attempts.
	eventTries = 12
	eventRetry = 10 * time.Second
)

// queue holds the Events that wait.
type queue struct {
	bell bell

	// mu guards waiting. Many goroutines add Events.
	mu      sync.Mutex
	waiting []cluster.Event
}

// add appends an Event and returns false if the queue is full.
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

// next removes and returns the oldest Event. It waits for an Event until ctx ends, and then returns false.
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
		q.waiting = nil // frees the array
	}
	return e, true
}

// Event queues an Event, which Run sends later. Event never blocks: when the queue is full, Event drops and counts the
// new Event.
func (s *Store) Event(e cluster.Event) {
	if !s.events.add(e) {
		s.metrics.eventsDropped.Inc()
	}
}

// sendEvents sends the queued Events, and retries while the API server cannot be reached.
func (s *Store) sendEvents(ctx context.Context) {
	told := newTold(s.opt.Component, s.opt.Host)
	for limit := rate.NewLimiter(eventRate, eventBurst); ; {
		e, ok := s.events.next(ctx)
		if !ok || limit.Wait(ctx) != nil {
			return
		}
		of := told.of(e.Object)
		if !of.limit.Allow() {
			s.metrics.eventsDropped.Inc()
			continue
		}
		sent := s.metrics.events.WithLabelValues(e.Reason) // creates the series before the first Event is sent
		if err := told.insist(ctx, s.opt.Client, of, e); err == nil {
			sent.Inc()
		} else if ctx.Err() == nil {
			level := slog.LevelWarn
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				level = slog.LevelDebug // the namespace of the object is about to be deleted
			}
			s.opt.Log.Log(ctx, level, "Event not sent", "about", e.Object.Kind, "name", cluster.Key{Namespace: e.Object.Namespace, Name: e.Object.Name},
				"reason", e.Reason, "err", err)
			s.metrics.eventsDropped.Inc()
		}
	}
}

// insist sends e, and retries while the API server cannot be reached. It does not retry after an error answer, because
// the API server would refuse the Event again.
func (t *told) insist(ctx context.Context, c Client, of *toldOf, e cluster.Event) error {
	o := t.event(of, e) // all attempts share one object, so that they create one Event
	for try := 1; ; try++ {
		err := of.tell(ctx, c, o)
		if err == nil {
			return nil
		}
		if _, refused := errors.AsType[*apierrors.StatusError](err); refused || try == eventTries || ctx.Err() != nil {
			return err
		}
		sleep(ctx, eventPause(try))
	}
}

// eventPause returns the pause after an attempt. The first pause has a random length, so that the processes of a
// cluster do not return to the API server all at once.
func eventPause(try int) time.Duration {
	if try == 1 {
		return time.Duration(rand.Int64N(int64(eventRetry)))
	}
	return eventRetry
}
