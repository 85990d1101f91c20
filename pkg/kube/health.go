package kube

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// health logs one line for each change of the connection to the API server, derived from the outcomes of all lists and
// watches.
type health struct {
	log *slog.Logger

	// mu guards the fields below: several watches report outcomes, and the metrics read them.
	mu sync.Mutex
	// away is the time since which the API server has been unreachable, zero while the API server answers.
	away time.Time
	// answered is true once any request got an answer.
	answered bool
	// refused maps each kind that the API server answers with an error to the reason. err is the last error, nil when
	// no error stands.
	refused map[string]string
	err     error
	// again maps each kind to the function that restarts its watch. waiting marks the kinds whose list or watch has
	// failed or ended without a new request since. woken is the time of the last restart of waiting watches.
	again   map[string]func()
	waiting map[string]bool
	woken   time.Time
}

func newHealth(log *slog.Logger) *health {
	return &health{log: log, refused: make(map[string]string), again: make(map[string]func()), waiting: make(map[string]bool)}
}

// begin records the function that restarts the watch of a kind.
func (h *health) begin(kind string, again func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again[kind] = again
}

// restart restarts the watch of a kind.
func (h *health) restart(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if again := h.again[kind]; again != nil {
		again()
	}
}

// forget removes a kind that is no longer watched.
func (h *health) forget(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.again, kind)
	delete(h.waiting, kind)
	delete(h.refused, kind)
}

// wait records whether the watch of a kind waits before its next request.
func (h *health) wait(kind string, waits bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[kind] = waits
}

// wake restarts all waiting watches, at most once in wakeInterval. The caller holds mu.
func (h *health) wake() {
	if time.Since(h.woken) < wakeInterval {
		return
	}
	for kind, waits := range h.waiting {
		if waits {
			h.waiting[kind], h.woken = false, time.Now()
			if again := h.again[kind]; again != nil { // nil for a kind that is no longer watched
				again()
			}
		}
	}
}

// report takes the outcome of a list or watch of a kind.
func (h *health) report(ctx context.Context, kind string, err error) {
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.err = err
		h.waiting[kind] = !apierrors.IsTooManyRequests(err) // after Too Many Requests, the watch keeps its pause
	}
	if err != nil && !isAnswer(err) {
		if h.away.IsZero() {
			h.away = time.Now()
			h.log.Warn("API server is out of reach; what is assigned and announced stays", "err", err)
		}
		return
	}
	if !h.away.IsZero() {
		h.log.Info("API server answers again", "after", time.Since(h.away).Round(time.Millisecond))
		h.away = time.Time{}
	}
	h.answered = true
	if err == nil {
		h.wake()
	}
	was, wasRefused := h.refused[kind]
	switch {
	// With the error for an old resourceVersion, the API server asks for a new list.
	case err == nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		if wasRefused {
			h.log.Info("API server allows to watch again", "resource", kind)
			delete(h.refused, kind)
		}
	case isWithoutWatchList(err):
	case !wasRefused || was != reason(err):
		h.log.Warn("API server refuses to let us watch", "resource", kind, "err", err)
		h.refused[kind] = reason(err)
	}
	if len(h.refused) == 0 {
		h.err = nil
	}
}

// isWithoutWatchList reports whether err comes from an older API server, which does not support a list through a watch
// (sendInitialEvents). The reflector then lists and watches instead.
func isWithoutWatchList(err error) bool {
	return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "sendInitialEvents")
}

// isAnswer reports whether err is an answer of the API server. A server that is down, starting or behind a dead proxy
// gives none.
func isAnswer(err error) bool {
	if apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) {
		return false
	}
	var status apierrors.APIStatus
	return errors.As(err, &status)
}

// isRefused reports whether the API server refused the last list or watch of a kind, because a right is missing.
func (h *health) isRefused(kind string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refused[kind] == string(metav1.StatusReasonForbidden)
}

// isAbsent reports whether the last list or watch of a kind was refused, or the API server does not know the kind.
func (h *health) isAbsent(kind string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	refused := metav1.StatusReason(h.refused[kind])
	return refused == metav1.StatusReasonForbidden || refused == metav1.StatusReasonNotFound
}

// reason returns the reason of a refusal. The reason stays the same while details of the text vary.
func reason(err error) string { return string(apierrors.ReasonForError(err)) }

// connected reports whether the last request got an answer.
func (h *health) connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answered && h.away.IsZero()
}

// last returns the error that still stands, nil if there is none.
func (h *health) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// quietLogger returns a logger for client-go that logs at debug level, because client-go repeats its messages with
// every attempt. health logs the transitions.
func quietLogger(log *slog.Logger) klog.Logger {
	return logr.FromSlogHandler(quiet{log.Handler()})
}

// contextWithLog returns a context with a quiet logger for client-go, which takes its logger from the context.
func contextWithLog(ctx context.Context, log *slog.Logger) context.Context {
	return klog.NewContext(ctx, quietLogger(log))
}

// quiet is a handler that lowers every record to debug level.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, min(level, slog.LevelDebug))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = min(r.Level, slog.LevelDebug)
	// The logger logs errors without a call of Enabled.
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs)}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
