package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// The times of the Lease. Whoever has not renewed it for leaseRenew stops, three seconds before another may take it.
const (
	leaseDuration = 15 * time.Second
	leaseRenew    = 12 * time.Second
	// leaseRetry is the time from one attempt to the next. While it waits, a process adds up to half of it at random, so that
	// those that wait do not ask all at once.
	leaseRetry  = 2 * time.Second
	leaseJitter = 0.5
	// leaseLimit is how long one attempt may take: what hangs leaves time for another one.
	leaseLimit = 5 * time.Second
)

// ErrLeaseLost is wrapped by the error of [Lead] when the Lease could not be renewed in time.
var ErrLeaseLost = errors.New("lost the Lease; another process may hold it now")

// errUntried is why a Lease is lost that no attempt to renew has failed for.
var errUntried = errors.New("the process stood still, and did not try")

// Lead waits for the Lease, then calls run, and returns run's error after the Lease was given back; nil if ctx ended
// before run began. When the Lease is lost, run's context ends, and the error says so. identity must be another one in
// each process that ever runs.
//
// It works together with client-go's leaderelection, which would bring its clients of all of Kubernetes with it: a Lease is
// another one's until it has not changed for as long as it says, by the clock of the one who waits. The clocks of two
// processes are never compared.
func Lead(ctx context.Context, client Client, namespace, name, identity string, log *slog.Logger, run func(context.Context) error) error {
	e := &election{
		client: client, namespace: namespace, name: name, identity: identity, log: log.With("lease", namespace+"/"+name),
	}
	// What follows outlives ctx: the Lease is held until run has returned, whatever ends it.
	outlasting := context.WithoutCancel(ctx)
	var err error
	if held := e.acquire(ctx); !held.IsZero() {
		e.log.Info("holding the Lease", "identity", identity)
		err = e.lead(ctx, outlasting, held, run)
	}
	if released := e.release(outlasting); released != nil {
		e.log.Warn("Lease not given back; it expires by itself", "err", released)
	}
	return err
}

// election is what one process knows of a Lease. It is used by one goroutine at a time.
type election struct {
	client                    Client
	namespace, name, identity string
	log                       *slog.Logger
	// lease is as it was last seen or written, nil if it has not been, and since when that is known.
	lease *coordinationv1.Lease
	since time.Time
	// waitsFor is the holder that was last logged; refused says that a refusal was.
	waitsFor string
	refused  bool
}

// acquire waits for the Lease, and returns when what took it was begun; the zero time if ctx ended before.
func (e *election) acquire(ctx context.Context) time.Time {
	for {
		began := time.Now()
		if held, err := e.attempt(ctx, began.Add(leaseLimit), e.take); held {
			return began
		} else if err == nil && e.waitsFor != e.holder() {
			e.waitsFor = e.holder()
			e.log.Info("waiting for the Lease", "holder", e.waitsFor)
		}
		if sleep(ctx, wait.Jitter(leaseRetry, leaseJitter)); ctx.Err() != nil {
			return time.Time{}
		}
	}
}

// lead calls run with a context that ends with ctx or when the Lease, renewed at renewed, is lost. It renews it until run returns.
func (e *election) lead(ctx, outlasting context.Context, renewed time.Time, run func(context.Context) error) error {
	leading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	renewing, stop := context.WithCancel(outlasting)
	defer stop()
	lost := make(chan bool)
	go func() {
		err := e.renew(renewing, renewed)
		if err != nil {
			e.log.Warn("Lease not renewed", "err", err)
			cancel(ErrLeaseLost)
		}
		lost <- err != nil
	}()
	err := run(leading)
	stop()
	if <-lost {
		return errors.Join(ErrLeaseLost, err)
	}
	return err
}

// renew renews the Lease until ctx ends, and then returns nil; else why it must be taken for lost. renewed is when the last request
// that made it ours was begun.
func (e *election) renew(ctx context.Context, renewed time.Time) error {
	for failed := errUntried; ; {
		deadline := renewed.Add(leaseRenew)
		if sleep(ctx, min(leaseRetry, time.Until(deadline))); ctx.Err() != nil {
			return nil
		}
		// Not even asked then: after a standstill it may have been another one's in between.
		began := time.Now()
		if !began.Before(deadline) {
			return fmt.Errorf("not renewed for %v: %w", leaseRenew, failed)
		}
		limit := began.Add(leaseLimit)
		if deadline.Before(limit) {
			limit = deadline
		}
		held, err := e.attempt(ctx, limit, e.keep)
		switch {
		case held:
			renewed, failed = began, errUntried
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return fmt.Errorf("its holder is %q", e.holder())
		default:
			failed = err
		}
	}
}

// attempt calls try with a bound.
func (e *election) attempt(ctx context.Context, limit time.Time, try func(context.Context) (bool, error)) (held bool, err error) {
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	return try(ctx)
}

// take makes the Lease ours if it is nobody's, or has expired. Without an error and without the Lease it is another one's.
func (e *election) take(ctx context.Context) (held bool, err error) {
	switch err := e.read(ctx); {
	case err != nil:
		return false, err
	case e.lease == nil:
		return e.write(ctx, VerbCreate, e.next(true))
	case e.holder() != "" && e.holder() != e.identity && time.Since(e.since) < e.lasts():
		return false, nil
	}
	return e.write(ctx, VerbUpdate, e.next(e.holder() != e.identity))
}

// keep renews the Lease that is ours. Without an error and without the Lease it is not ours any more.
func (e *election) keep(ctx context.Context) (held bool, err error) {
	if e.lease != nil && e.holder() == e.identity {
		if held, err := e.write(ctx, VerbUpdate, e.next(false)); held {
			return held, err
		}
	}
	// Somebody else has written it; or our own last write came through, and only its answer did not.
	switch err := e.read(ctx); {
	case err != nil:
		return false, err
	case e.lease == nil: // deleted
		return e.write(ctx, VerbCreate, e.next(true))
	case e.holder() != e.identity:
		return false, nil
	}
	return e.write(ctx, VerbUpdate, e.next(false))
}

// release gives the Lease back if it is ours, so that the next process need not wait until it expires.
func (e *election) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRetry)
	defer cancel()
	for {
		if err := e.read(ctx); err != nil || e.lease == nil || e.holder() != e.identity {
			return err
		}
		next := e.next(true)
		next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds = new(""), new(int32(1))
		next.Spec.LeaseTransitions = e.lease.Spec.LeaseTransitions
		// A renewal that was cut short on our side may still have come through.
		if _, err := e.write(ctx, VerbUpdate, next); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// holder returns who holds the Lease as it was last seen, empty for nobody.
func (e *election) holder() string {
	if e.lease == nil || e.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *e.lease.Spec.HolderIdentity
}

// lasts returns how long the Lease as it was last seen is its holder's.
func (e *election) lasts() time.Duration {
	if s := e.lease.Spec.LeaseDurationSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return leaseDuration
}

// next returns the Lease as we write it; anew says that it was not ours before.
func (e *election) next(anew bool) *coordinationv1.Lease {
	next := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: e.name}}
	if e.lease != nil {
		next = e.lease.DeepCopy()
	}
	now, spec := metav1.NowMicro(), &next.Spec
	spec.HolderIdentity, spec.RenewTime, spec.LeaseDurationSeconds = &e.identity, &now, new(int32(leaseDuration/time.Second))
	switch {
	case e.lease == nil:
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

// read asks for the Lease; there may be none.
func (e *election) read(ctx context.Context) error {
	lease, err := e.ask(ctx, Request{Verb: VerbGet, Name: e.name})
	switch {
	case apierrors.IsNotFound(err):
		e.lease = nil
		return nil
	case err != nil:
		return err
	}
	if e.lease == nil || e.lease.UID != lease.UID || !sameSpec(&e.lease.Spec, &lease.Spec) {
		e.since = time.Now()
	}
	e.lease = lease
	return nil
}

// write writes the Lease. The API server refuses an update of any other than the last one seen, with a conflict.
func (e *election) write(ctx context.Context, verb Verb, next *coordinationv1.Lease) (held bool, err error) {
	r := Request{Verb: verb, Object: next}
	if verb == VerbUpdate {
		r.Name = e.name
	}
	lease, err := e.ask(ctx, r)
	if err != nil {
		return false, err
	}
	e.lease, e.since = lease, time.Now()
	return true, nil
}

// ask makes a request. It says once that the API server refuses it, since nothing else would come of that for ever.
func (e *election) ask(ctx context.Context, r Request) (*coordinationv1.Lease, error) {
	r.Resource, r.Namespace = leases, e.namespace
	lease, err := do[*coordinationv1.Lease](ctx, e.client, r)
	if apierrors.IsForbidden(err) && !e.refused {
		e.refused = true
		e.log.Warn("API server refuses us the Lease, without which no address is given", "err", err)
	}
	return lease, err
}

// sameSpec tells whether nothing has been written between a and b. Times are compared as the API keeps them.
func sameSpec(a, b *coordinationv1.LeaseSpec) bool {
	return sameValue(a.HolderIdentity, b.HolderIdentity) && sameValue(a.LeaseDurationSeconds, b.LeaseDurationSeconds) &&
		sameValue(a.LeaseTransitions, b.LeaseTransitions) && a.RenewTime.Equal(b.RenewTime) && a.AcquireTime.Equal(b.AcquireTime)
}

func sameValue[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }
