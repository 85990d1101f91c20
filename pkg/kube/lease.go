package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// These constants are the times of the Lease. A holder that has not renewed the Lease for leaseRenew stops, one second
// before another process may take the Lease.
const (
	leaseDuration = 5 * time.Second
	leaseRenew    = 4 * time.Second
	// leaseRetry is the time between two renewals. leasePoll is the time between two reads of a Lease that another
	// process holds. A random addition of up to half of leasePoll keeps waiting processes from asking all at once.
	leaseRetry  = time.Second
	leasePoll   = 500 * time.Millisecond
	leaseJitter = 0.5
	// leaseLimit is the time limit of one attempt. After an attempt that hangs, there is time for another attempt.
	leaseLimit = 1500 * time.Millisecond
	// leaseTrust is the age of a renewal from which Check renews the Lease before a write.
	leaseTrust = 2 * leaseRetry
	// leasePause is the pause before this process decides with a Lease from an earlier process of its Pod: requests of
	// the earlier process may still be on their way to the API server.
	leasePause = time.Second
)

// errLost is the error of a lost Lease, and the cause of the end of run's context.
var errLost = errors.New("lost the Lease; another process may hold it now")

// errUntried is the cause of a loss without a failed attempt to renew.
var errUntried = errors.New("the process was stalled, and did not try")

// LeaseOptions are the inputs of NewLease.
type LeaseOptions struct {
	Client          Client
	Namespace, Name string
	// Pod identifies the Pod of this process, and is empty outside of a Pod. A Pod starts a container again only after
	// the previous process has ended, so that this process continues a Lease of its Pod at once.
	Pod string
	// Identity distinguishes this process from every other process, past and future. Identity does not contain Pod;
	// NewLease puts Pod in front of Identity.
	Identity string
	Log      *slog.Logger
}

// Lease is the Lease of the leader. Lease is compatible with client-go's leaderelection, but does without the clients
// for all of Kubernetes that leaderelection links: a Lease belongs to another process until the Lease has stayed
// unchanged for the duration in its spec, by the clock of the waiting process. The clocks of two processes are never
// compared.
type Lease struct {
	client          Client
	namespace, name string
	pod, identity   string
	log             *slog.Logger

	// renewed is the start time of the last request that took or renewed the Lease, nil while this process does not
	// hold the Lease.
	renewed atomic.Pointer[time.Time]

	// mu guards the fields below: the goroutine that renews the Lease and the writers that check the Lease take turns.
	mu sync.Mutex
	// lease is the newest known version of the Lease, nil for none, and since the time of the last change.
	lease *coordinationv1.Lease
	since time.Time
	// waitsFor is the last holder in the log. refused is true once a refusal was logged.
	waitsFor string
	refused  bool
}

// NewLease returns a Lease that makes no request before Lead.
func NewLease(o LeaseOptions) *Lease {
	l := &Lease{
		client: o.Client, namespace: o.Namespace, name: o.Name, identity: o.Identity,
		log: o.Log.With("lease", o.Namespace+"/"+o.Name),
	}
	if o.Pod != "" {
		l.pod = o.Pod + "_"
	}
	l.identity = l.pod + l.identity
	return l
}

// Lead waits for the Lease, and calls run while this process holds the Lease. After a loss of the Lease, the context of
// run ends, and Lead waits for the Lease and calls run again. When run returns by itself, or ctx ends, Lead gives the
// Lease back and returns the error of run.
func (l *Lease) Lead(ctx context.Context, run func(context.Context) error) error {
	// This process holds the Lease until run has returned, also after the end of ctx.
	outlasting := context.WithoutCancel(ctx)
	var err error
	for {
		held, continued := l.acquire(ctx)
		if held.IsZero() {
			break
		}
		l.log.Info("holding the Lease", "identity", l.identity, "continued", continued)
		err = l.lead(ctx, outlasting, held, func(ctx context.Context) error {
			if continued {
				if sleep(ctx, leasePause); ctx.Err() != nil {
					return nil
				}
			}
			return run(ctx)
		})
		if !errors.Is(err, errLost) || ctx.Err() != nil {
			break
		}
	}
	if released := l.release(outlasting); released != nil {
		l.log.Warn("Lease not given back; it expires by itself", "err", released)
	}
	return err
}

// Check returns nil if this process holds the Lease. If the last renewal is older than leaseTrust, for example after a
// stall of the process, Check renews the Lease first. A nil Lease is always held.
func (l *Lease) Check(ctx context.Context) error {
	if l == nil {
		return nil
	}
	switch renewed := l.renewed.Load(); {
	case renewed == nil:
		return errLost
	case time.Since(*renewed) < leaseTrust:
		return nil
	}
	began := time.Now()
	held, err := l.attempt(ctx, began.Add(leaseLimit), l.keep)
	switch {
	case err != nil:
		return fmt.Errorf("renew the Lease before a write: %w", err)
	case !held:
		return errLost
	}
	// A renewal that began later takes precedence, and so does the end of the term.
	if renewed := l.renewed.Load(); renewed != nil && renewed.Before(began) {
		l.renewed.CompareAndSwap(renewed, &began)
	}
	return nil
}

// acquire waits for the Lease. It returns the start time of the request that took the Lease, zero if ctx ended first.
// continued is true if an earlier process of this Pod held the Lease.
func (l *Lease) acquire(ctx context.Context) (held time.Time, continued bool) {
	for {
		began := time.Now()
		var before string
		got, err := l.attempt(ctx, began.Add(leaseLimit), func(ctx context.Context) (got bool, err error) {
			got, before, err = l.take(ctx)
			return got, err
		})
		if got {
			return began, l.ofPod(before) && before != l.identity
		} else if err == nil && l.waitsFor != before {
			l.waitsFor = before
			l.log.Info("waiting for the Lease", "holder", before)
		}
		if sleep(ctx, wait.Jitter(leasePoll, leaseJitter)); ctx.Err() != nil {
			return time.Time{}, false
		}
	}
}

// lead calls run and renews the Lease until run returns. The context of run ends with ctx or with the loss of the
// Lease. renewed is the start time of the request that took the Lease.
func (l *Lease) lead(ctx, outlasting context.Context, renewed time.Time, run func(context.Context) error) error {
	l.renewed.Store(&renewed)
	defer l.renewed.Store(nil)
	leading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewing, stop := context.WithCancel(outlasting)
	defer stop()
	lost := make(chan bool)
	go func() {
		err := l.renew(renewing)
		if err != nil {
			l.log.Warn("Lease not renewed", "err", err)
			l.renewed.Store(nil)
			cancel(errLost)
		}
		lost <- err != nil
	}()
	err := run(leading)
	stop()
	if <-lost {
		return errors.Join(errLost, err)
	}
	return err
}

// renew renews the Lease until ctx ends, and then returns nil. If the Lease is lost, renew returns the reason.
func (l *Lease) renew(ctx context.Context) error {
	for failed := errUntried; ; {
		deadline := l.renewed.Load().Add(leaseRenew)
		if sleep(ctx, min(leaseRetry, time.Until(deadline))); ctx.Err() != nil {
			return nil
		}
		// During a stall, another process may have held the Lease, so this process does not even ask.
		began := time.Now()
		if deadline = l.renewed.Load().Add(leaseRenew); !began.Before(deadline) {
			return fmt.Errorf("not renewed for %v: %w", leaseRenew, failed)
		}
		limit := began.Add(leaseLimit)
		if deadline.Before(limit) {
			limit = deadline
		}
		held, err := l.attempt(ctx, limit, l.keep)
		switch {
		case held:
			l.renewed.Store(&began)
			failed = errUntried
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return fmt.Errorf("its holder is %q", l.currentHolder())
		default:
			failed = err
		}
	}
}

// attempt calls try with a time limit. Attempts run one at a time.
func (l *Lease) attempt(ctx context.Context, limit time.Time, try func(context.Context) (bool, error)) (held bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	return try(ctx)
}

func (l *Lease) currentHolder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder()
}

// ofPod reports whether a holder is a process of this Pod.
func (l *Lease) ofPod(holder string) bool { return l.pod != "" && strings.HasPrefix(holder, l.pod) }

// take takes the Lease if the Lease has no holder or has expired, or if an earlier process of this Pod holds the Lease.
// before is the previous holder. If held is false and err is nil, another process holds the Lease.
func (l *Lease) take(ctx context.Context) (held bool, before string, err error) {
	if err := l.read(ctx); err != nil {
		return false, "", err
	}
	before = l.holder()
	switch {
	case l.lease == nil:
		held, err = l.write(ctx, VerbCreate, l.next(true))
	case before != "" && before != l.identity && !l.ofPod(before) && time.Since(l.since) < l.lasts():
	default:
		held, err = l.write(ctx, VerbUpdate, l.next(before != l.identity))
	}
	return held, before, err
}

// keep renews the Lease that this process holds. If held is false and err is nil, another process holds the Lease.
func (l *Lease) keep(ctx context.Context) (held bool, err error) {
	if l.lease != nil && l.holder() == l.identity {
		if held, err := l.write(ctx, VerbUpdate, l.next(false)); held {
			return held, err
		}
	}
	// Another process has written the Lease; or the last write of this process succeeded, and only the answer was lost.
	switch err := l.read(ctx); {
	case err != nil:
		return false, err
	case l.lease == nil: // deleted
		return l.write(ctx, VerbCreate, l.next(true))
	case l.holder() != l.identity:
		return false, nil
	}
	return l.write(ctx, VerbUpdate, l.next(false))
}

// release gives the Lease back if this process holds the Lease, so that the next process does not wait for the expiry.
func (l *Lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseLimit)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := l.read(ctx); err != nil || l.lease == nil || l.holder() != l.identity {
			return err
		}
		next := l.next(true)
		next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds = new(""), new(int32(1))
		next.Spec.LeaseTransitions = l.lease.Spec.LeaseTransitions
		// A renewal that this process cut short may still have succeeded.
		if _, err := l.write(ctx, VerbUpdate, next); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// holder returns the holder in the newest known version of the Lease, empty for none.
func (l *Lease) holder() string {
	if l.lease == nil || l.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.lease.Spec.HolderIdentity
}

// lasts returns the duration in the newest known version of the Lease.
func (l *Lease) lasts() time.Duration {
	if s := l.lease.Spec.LeaseDurationSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return leaseDuration
}

// next returns the Lease to write. anew is true if this process did not hold the Lease before.
func (l *Lease) next(anew bool) *coordinationv1.Lease {
	next := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: l.name}}
	if l.lease != nil {
		next = l.lease.DeepCopy()
	}
	now, spec := metav1.NowMicro(), &next.Spec
	spec.HolderIdentity, spec.RenewTime, spec.LeaseDurationSeconds = &l.identity, &now, new(int32(leaseDuration/time.Second))
	switch {
	case l.lease == nil:
		spec.AcquireTime, spec.LeaseTransitions = &now, new(int32(0))
	case anew:
		transitions := int32(1)
		if spec.LeaseTransitions != nil {
			transitions += *spec.LeaseTransitions
		}
		spec.AcquireTime, spec.LeaseTransitions = &now, &transitions
	}
	return next
}

// read reads the Lease, which may not exist.
func (l *Lease) read(ctx context.Context) error {
	lease, err := l.ask(ctx, Request{Verb: VerbGet, Name: l.name})
	switch {
	case apierrors.IsNotFound(err):
		l.lease = nil
		return nil
	case err != nil:
		return err
	}
	if l.lease == nil || l.lease.UID != lease.UID || !sameSpec(&l.lease.Spec, &lease.Spec) {
		l.since = time.Now()
	}
	l.lease = lease
	return nil
}

// write writes the Lease. The API server refuses an update of an outdated version with a conflict.
func (l *Lease) write(ctx context.Context, verb Verb, next *coordinationv1.Lease) (held bool, err error) {
	r := Request{Verb: verb, Object: next}
	if verb == VerbUpdate {
		r.Name = l.name
	}
	lease, err := l.ask(ctx, r)
	if err != nil {
		return false, err
	}
	l.lease, l.since = lease, time.Now()
	return true, nil
}

// ask makes a request. It logs the first refusal for a missing right, because without the right this process waits for
// the Lease forever.
func (l *Lease) ask(ctx context.Context, r Request) (*coordinationv1.Lease, error) {
	r.Resource, r.Namespace = leases, l.namespace
	lease, err := do[*coordinationv1.Lease](ctx, l.client, r)
	if apierrors.IsForbidden(err) && !l.refused {
		l.refused = true
		l.log.Warn("API server refuses us the Lease, without which no address is given", "err", err)
	}
	return lease, err
}

// sameSpec reports whether a and b are equal, so that nobody has written the Lease in between. Times are compared with
// the precision of the API.
func sameSpec(a, b *coordinationv1.LeaseSpec) bool {
	return sameValue(a.HolderIdentity, b.HolderIdentity) && sameValue(a.LeaseDurationSeconds, b.LeaseDurationSeconds) &&
		sameValue(a.LeaseTransitions, b.LeaseTransitions) && a.RenewTime.Equal(b.RenewTime) && a.AcquireTime.Equal(b.AcquireTime)
}

func sameValue[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }
