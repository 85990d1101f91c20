package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of the Lease. Whoever cannot renew it stops five seconds before another may take it.
const (
	leaseDuration = 15 * time.Second
	leaseRenew    = 10 * time.Second
	leaseRetry    = 2 * time.Second
)

// ErrLeaseLost is wrapped by the error of [Lead] when the Lease could not be renewed in time.
var ErrLeaseLost = errors.New("lost the Lease; another process may hold it now")

// Lead waits for the Lease, then calls run, and returns run's error after the Lease was given back; nil if ctx ended
// before run began. When the Lease is lost, run's context ends, and the error says so. identity must be another one in
// each process that ever runs.
func Lead(ctx context.Context, client kubernetes.Interface, namespace, name, identity string, log *slog.Logger,
	run func(context.Context) error) error {
	log = log.With("lease", namespace+"/"+name)
	leading := make(chan context.Context, 1)
	var overtaken atomic.Pointer[context.CancelFunc]
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	// Not ReleaseOnCancel: the elector would try for up to ten seconds to give back a Lease that it could not renew, and
	// only then end run's context, when somebody else may hold it.
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &tellingLock{Interface: lock, log: log, others: func() {
			if end := overtaken.Load(); end != nil {
				(*end)()
			}
		}},
		LeaseDuration: leaseDuration,
		RenewDeadline: leaseRenew,
		RetryPeriod:   leaseRetry,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { leading <- ctx },
			OnStoppedLeading: func() {},
			OnNewLeader: func(holder string) {
				if holder != identity {
					log.Info("waiting for the Lease", "holder", holder)
				}
			},
		},
		Name: name,
	})
	if err != nil {
		return fmt.Errorf("prepare for the Lease %s/%s: %w", namespace, name, err)
	}
	// Its context outlives ctx: the Lease is held until run has returned, whatever ends it.
	electing, stop := context.WithCancel(contextWithLog(context.WithoutCancel(ctx), log))
	var wg sync.WaitGroup
	wg.Go(func() { elector.Run(electing) })
	select {
	case <-ctx.Done():
	case held := <-leading:
		log.Info("holding the Lease", "identity", identity)
		held, end := context.WithCancel(held)
		defer end()
		overtaken.Store(&end)
		err = lead(ctx, held, run)
	}
	stop()
	wg.Wait()
	if released := release(context.WithoutCancel(electing), lock); released != nil {
		log.Warn("Lease not given back; it expires by itself", "err", released)
	}
	return err
}

// tellingLock says once that the API server refuses the Lease, for which the elector would ask in silence for ever; and tells at once
// of a Lease that is another one's, where the elector of a process that stood still would go on until leaseRenew has passed. It is
// used by one goroutine.
type tellingLock struct {
	resourcelock.Interface
	log    *slog.Logger
	told   bool
	others func()
}

// Get implements [resourcelock.Interface].
func (l *tellingLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	l.tell(err)
	if err == nil && record.HolderIdentity != "" && record.HolderIdentity != l.Identity() {
		l.others()
	}
	return record, raw, err
}

// Create implements [resourcelock.Interface].
func (l *tellingLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, r)
	l.tell(err)
	return err
}

// Update implements [resourcelock.Interface].
func (l *tellingLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Update(ctx, r)
	l.tell(err)
	return err
}

func (l *tellingLock) tell(err error) {
	if apierrors.IsForbidden(err) && !l.told {
		l.told = true
		l.log.Warn("API server refuses us the Lease, without which no address is given", "err", err)
	}
}

// release gives the Lease back if it is ours, so that the next process need not wait until it expires.
func release(ctx context.Context, lock resourcelock.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, leaseRetry)
	defer cancel()
	for {
		old, _, err := lock.Get(ctx)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case old.HolderIdentity != lock.Identity():
			return nil
		}
		now := metav1.Now()
		err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: old.LeaderTransitions, LeaseDurationSeconds: 1, AcquireTime: now, RenewTime: now,
		})
		// A renewal that was cut short on our side may still have come through.
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

// lead calls run with a context that ends with ctx or with held.
func lead(ctx, held context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(held, func() { cancel(ErrLeaseLost) })()
	err := run(ctx)
	if held.Err() != nil {
		return errors.Join(ErrLeaseLost, err)
	}
	return err
}
