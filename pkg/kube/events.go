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
	// eventQueue is how many Events may wait. A new configuration may move every Service of a large cluster at once.
	eventQueue = 4096
	// eventRate is how many are sent a second in the long run, and eventBurst how many at once, as a kubelet does: what they tell
	// of goes before them.
	eventRate  = 50
	eventBurst = 100
	// eventTries is how often an Event is tried while the API server cannot be reached, and eventRetry the pause in between.
	eventTries = 12
	eventRetry = 10 * time.Second
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

// sendEvents sends the queue, and tries again while the API server is away.
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
		sent := s.metrics.events.WithLabelValues(e.Reason) // 0 before the first is sent
		if err := told.insist(ctx, s.opt.Client, of, e); err == nil {
			sent.Inc()
		} else if ctx.Err() == nil {
			level := slog.LevelWarn
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				level = slog.LevelDebug // whom it would tell is about to go
			}
			s.opt.Log.Log(ctx, level, "Event not sent", "about", e.Object.Kind, "name", cluster.Key{Namespace: e.Object.Namespace, Name: e.Object.Name},
				"reason", e.Reason, "err", err)
			s.metrics.eventsDropped.Inc()
		}
	}
}

// insist tells e, and tries again while the API server cannot be reached. What it refuses once it would refuse again.
func (t *told) insist(ctx context.Context, c Client, of *toldOf, e cluster.Event) error {
	o := t.event(of, e) // the same in all tries, so that they make one Event
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

// eventPause returns how long to wait after a try. The first pause is cut short at random, so that not all who miss an API server
// come back at once.
func eventPause(try int) time.Duration {
	if try == 1 {
		return time.Duration(rand.Int64N(int64(eventRetry)))
	}
	return eventRetry
}
