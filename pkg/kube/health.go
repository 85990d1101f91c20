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

// health turns the outcome of each list and watch into one log line for each change for the better or the worse.
type health struct {
	log *slog.Logger

	// mu guards the rest: several watches report here, and the metrics read.
	mu sync.Mutex
	// away is when the API server went out of reach, zero while it answers.
	away time.Time
	// answered is true once any request got an answer.
	answered bool
	// refused holds the kinds that the API server answers with an error, and that error's text.
	refused map[string]string
	err     error
	// again has how to make each kind's watch begin again; waiting are those whose list or watch has failed or ended and that have not asked
	// since. woken is when these were made to begin again last.
	again   map[string]func()
	waiting map[string]bool
	woken   time.Time
}

func newHealth(log *slog.Logger) *health {
	return &health{log: log, refused: make(map[string]string), again: make(map[string]func()), waiting: make(map[string]bool)}
}

// begin notes how to make a kind's watch begin again.
func (h *health) begin(kind string, again func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again[kind] = again
}

// restart makes the watch of a kind begin again.
func (h *health) restart(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if again := h.again[kind]; again != nil {
		again()
	}
}

// forget removes a kind that is watched no more.
func (h *health) forget(kind string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.again, kind)
	delete(h.waiting, kind)
	delete(h.refused, kind)
}

// wait notes whether a kind waits until it asks again.
func (h *health) wait(kind string, waits bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[kind] = waits
}

// wake makes the watches of all kinds that wait begin again. The caller holds mu.
func (h *health) wake() {
	if time.Since(h.woken) < wakeInterval {
		return
	}
	for kind, waits := range h.waiting {
		if waits {
			h.waiting[kind], h.woken = false, time.Now()
			h.again[kind]()
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
		h.waiting[kind] = !apierrors.IsTooManyRequests(err) // who is told to wait does
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
	// An old resourceVersion is the API server's way to ask for a new list.
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

// isWithoutWatchList reports whether the API server does not know a list by way of a watch (sendInitialEvents), as older
// API servers do not. The reflector then lists and watches instead.
func isWithoutWatchList(err error) bool {
	return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "sendInitialEvents")
}

// isAnswer tells an answer of the API server from the silence of one that is down, starting or behind a dead proxy.
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

// reason is the kind of refusal, which stays the same while details in the text may vary.
func reason(err error) string { return string(apierrors.ReasonForError(err)) }

// connected tells whether the last request got an answer.
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

// quietLogger returns a logger for client-go that says at debug level what client-go repeats with every attempt: the
// transitions are logged here.
func quietLogger(log *slog.Logger) klog.Logger {
	return logr.FromSlogHandler(quiet{log.Handler()})
}

// contextWithLog gives client-go, which takes its logger from the context, a quiet one.
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
	// Errors come without having asked.
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs)}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
