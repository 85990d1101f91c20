package scale

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Announce gives all Services endpoints, and waits until each address is answered for by one node.
func (r *Rig) Announce(ctx context.Context, from int) error {
	err := r.each(ctx, r.services-from, func(ctx context.Context, i int) error { return r.createSlice(ctx, from+i) })
	if err != nil {
		return err
	}
	addrs, err := r.addresses(ctx)
	if err != nil {
		return err
	}
	r.lab.Judge(addrs)
	return r.settle(ctx)
}

// RestartController tells the controller to stop, starts it, creates a Service, and returns how long it took from its start, and
// from when it was told to stop, until that Service has an address. The Service is deleted again.
func (r *Rig) RestartController(ctx context.Context) (started, stopped time.Duration, err error) {
	told := time.Now()
	if err := r.StopController(); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := r.StartController(); err != nil {
		return 0, 0, err
	}
	const name = "late"
	if err := r.createService(ctx, name, nil); err != nil {
		return 0, 0, err
	}
	services := r.server.Admin.CoreV1().Services(appNamespace)
	err = until(ctx, "the new Service to have an address", 5*time.Millisecond, func() (bool, error) {
		s, err := services.Get(ctx, name, metav1.GetOptions{})
		return err == nil && len(s.Status.LoadBalancer.Ingress) == 1, err
	})
	started, stopped = time.Since(began), time.Since(told)
	if err == nil {
		err = services.Delete(ctx, name, metav1.DeleteOptions{})
	}
	return started, stopped, err
}

// RestartSpeaker tells a node's speaker to stop, starts it, and returns how long it took from its start until it was ready.
func (r *Rig) RestartSpeaker(ctx context.Context, number int) (time.Duration, error) {
	if err := r.lab.Restart(number); err != nil {
		return 0, err
	}
	began := time.Now()
	err := until(ctx, "the speaker to be ready", 5*time.Millisecond, func() (bool, error) {
		_, err := r.lab.Get(ctx, number, "/readyz")
		return err == nil, err
	})
	return time.Since(began), err
}

// Crash takes the power from the node that answers for one of the addresses, and returns when the others announced what it had.
func (r *Rig) Crash(ctx context.Context) (wire.Result, error) {
	return r.round(ctx, crashFault())
}

func crashFault() wire.Fault {
	faults := wire.Faults()
	return faults[slices.IndexFunc(faults, func(f wire.Fault) bool { return f.Name == "crash" })]
}

// round lets the fault happen, after which others must announce all that the node had.
func (r *Rig) round(ctx context.Context, f wire.Fault) (wire.Result, error) {
	result, err := r.lab.Round(ctx, f)
	if err == nil && result.Taken < result.Owned {
		err = fmt.Errorf("of %d addresses of the node that crashed, %d were announced by others", result.Owned, result.Taken)
	}
	return result, err
}
