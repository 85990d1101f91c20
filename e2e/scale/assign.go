package scale

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// eachPatience is how long one Service may take among many, on a busy machine.
const eachPatience = 150 * time.Millisecond

// progressPoll is the time between two looks at whether the controller decides.
const progressPoll = 50 * time.Millisecond

// Reference is how long the API server takes for what Assignment measures, when a bare client writes the statuses, with as many
// requests at once and the same rights.
type Reference struct {
	// Both is from the first Service created to the last status written, one kind of request beside the other.
	Both time.Duration
	// Writes is for the statuses alone.
	Writes time.Duration
}

// Reference measures n Services of another class, and deletes them again. The controller must not run.
func (r *Rig) Reference(ctx context.Context, n int) (Reference, error) {
	var ref Reference
	began := time.Now()
	created := make(chan int, n)
	creating, both := errgroup.WithContext(ctx)
	creating.Go(func() error {
		defer close(created)
		return r.each(both, n, func(ctx context.Context, i int) error {
			err := r.createService(ctx, others(i), new(otherClass))
			created <- i
			return err
		})
	})
	for range writers {
		creating.Go(func() error {
			for i := range created {
				if err := r.patchOther(both, i, 0); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := creating.Wait(); err != nil {
		return ref, err
	}
	ref.Both = time.Since(began)
	began = time.Now()
	if err := r.each(ctx, n, func(ctx context.Context, i int) error { return r.patchOther(ctx, i, 1) }); err != nil {
		return ref, err
	}
	ref.Writes = time.Since(began)
	return ref, r.each(ctx, n, func(ctx context.Context, i int) error {
		return r.server.Admin.CoreV1().Services(appNamespace).Delete(ctx, others(i), metav1.DeleteOptions{})
	})
}

// Assignment is how Services got their addresses.
type Assignment struct {
	// All is from the first Service created, or from the start of the controller, to the last one assigned. Writes is from the
	// first one assigned to the last.
	All, Writes time.Duration
	// Made is from the first Service created to the last one created.
	Made time.Duration
	// CPU is the controller's, its start included. Speakers is the CPU time of a speaker, on average.
	CPU, Speakers time.Duration
}

// Create starts the controller, creates Services while it runs until there are n, and waits until each has an address.
func (r *Rig) Create(ctx context.Context, n int) (Assignment, error) {
	if err := r.StartController(); err != nil {
		return Assignment{}, err
	}
	if err := r.awaitController(ctx); err != nil {
		return Assignment{}, err
	}
	return r.grow(ctx, n)
}

// grow creates Services while the controller runs until there are n, and waits until each has an address.
func (r *Rig) grow(ctx context.Context, n int) (Assignment, error) {
	speakers, err := r.speakersLoad()
	if err != nil {
		return Assignment{}, err
	}
	before := r.services
	r.services = n
	progress, err := r.tally(ctx, n-before)
	if err != nil {
		return Assignment{}, err
	}
	began := time.Now()
	var first, last, made time.Time
	creating, both := errgroup.WithContext(ctx)
	creating.Go(func() error {
		defer func() { made = time.Now() }()
		return r.each(both, n-before, func(ctx context.Context, i int) error { return r.createService(ctx, ours(before+i), nil) })
	})
	creating.Go(func() (err error) {
		first, last, err = progress.wait(both)
		return err
	})
	if err := creating.Wait(); err != nil {
		return Assignment{}, err
	}
	after, err := r.speakersLoad()
	if err != nil {
		return Assignment{}, err
	}
	a := Assignment{All: last.Sub(began), Writes: last.Sub(first), Made: made.Sub(began), Speakers: after.since(speakers).cpu}
	return a, r.checkAssigned(ctx, &a)
}

// Again stops the controller, takes all addresses away, and starts it: all Services are there at once. In a is measured from the
// start of the controller.
func (r *Rig) Again(ctx context.Context) (Assignment, error) {
	var a Assignment
	if err := r.StopController(); err != nil {
		return a, err
	}
	if err := r.each(ctx, r.services, r.clearStatus); err != nil {
		return a, err
	}
	progress, err := r.tally(ctx, r.services)
	if err != nil {
		return a, err
	}
	began := time.Now()
	if err := r.StartController(); err != nil {
		return a, err
	}
	first, last, err := progress.wait(ctx)
	if err != nil {
		return a, err
	}
	a.All, a.Writes = last.Sub(began), last.Sub(first)
	return a, r.checkAssigned(ctx, &a)
}

// checkAssigned looks whether each Service has an address of its own, and notes what the controller needed.
func (r *Rig) checkAssigned(ctx context.Context, a *Assignment) (err error) {
	if a.CPU, err = cpu(r.controller.Process.Pid); err != nil {
		return err
	}
	_, err = r.addresses(ctx)
	return err
}

// awaitController waits until the controller decides.
func (r *Rig) awaitController(ctx context.Context) error {
	return until(ctx, "the controller", progressPoll, func() (bool, error) {
		_, err := r.metric(ctx, "lanlord_services_in_conflict") // which is there once it has decided
		return err == nil, err
	})
}

// tally counts Services that have got an address, as a watch tells of them. It is begun before the first is to get one.
type tally struct {
	events watch.Interface
	n      int
}

func (r *Rig) tally(ctx context.Context, n int) (*tally, error) {
	services := r.server.Admin.CoreV1().Services(appNamespace)
	list, err := services.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	events, err := services.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	return &tally{events: events, n: n}, err
}

// wait waits until n have one, and returns when the first one had and when the last one.
func (t *tally) wait(ctx context.Context) (first, last time.Time, err error) {
	defer t.events.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(t.n)*eachPatience)
	defer cancel()
	assigned := make(map[string]bool, t.n)
	for {
		select {
		case <-ctx.Done():
			return first, last, fmt.Errorf("%w when %d of %d Services had addresses", context.Cause(ctx), len(assigned), t.n)
		case e := <-t.events.ResultChan():
			s, ok := e.Object.(*corev1.Service)
			if !ok {
				return first, last, fmt.Errorf("the watch of Services ended when %d of %d had addresses: %v", len(assigned), t.n, e.Object)
			}
			if s.Spec.LoadBalancerClass != nil || len(s.Status.LoadBalancer.Ingress) == 0 || assigned[s.Name] {
				continue
			}
			assigned[s.Name], last = true, time.Now()
			if first.IsZero() {
				first = last
			}
			if len(assigned) == t.n {
				return first, last, nil
			}
		}
	}
}
