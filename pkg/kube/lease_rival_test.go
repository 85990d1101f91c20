package kube

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// newLeases returns a fake client that, like an API server, refuses to update an old version of a Lease.
func newLeases() fakeClient {
	client := fakeClient{fake.NewClientset()}
	var version atomic.Int64
	next := func() string { return time.Unix(version.Add(1), 0).UTC().Format("20060102150405") }
	client.PrependReactor("create", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.CreateAction).GetObject().(*coordinationv1.Lease).ResourceVersion = next()
		return false, nil, nil
	})
	client.PrependReactor("update", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
		lease := a.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		now, err := client.Tracker().Get(a.GetResource(), a.GetNamespace(), lease.Name)
		if err != nil {
			return true, nil, err
		}
		if now.(*coordinationv1.Lease).ResourceVersion != lease.ResourceVersion {
			return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, lease.Name, errors.New("changed"))
		}
		lease = lease.DeepCopy()
		lease.ResourceVersion = next()
		return true, lease, client.Tracker().Update(a.GetResource(), lease, a.GetNamespace())
	})
	return client
}

// hold returns a run function that leads until ctx ends. The function counts the leaders in leading and fails the test
// if there are two.
func hold(t *testing.T, leading *atomic.Int32) func(context.Context) error {
	return func(ctx context.Context) error {
		if leading.Add(1) > 1 {
			t.Error("two lead at once")
		}
		<-ctx.Done()
		leading.Add(-1)
		return nil
	}
}

// TestLeadBesideClientGo lets a process with client-go's own election, as in another release, take turns with Lead.
func TestLeadBesideClientGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newLeases()
		var leading atomic.Int32
		theirs := func() (stop context.CancelFunc) {
			ctx, cancel := context.WithCancel(contextWithLog(t.Context(), slog.New(slog.DiscardHandler)))
			elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
				Lock: &resourcelock.LeaseLock{
					LeaseMeta:  metav1.ObjectMeta{Namespace: "lanlord-system", Name: "lanlord-controller"},
					Client:     client.CoordinationV1(),
					LockConfig: resourcelock.ResourceLockConfig{Identity: "theirs"},
				},
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second, ReleaseOnCancel: true,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(ctx context.Context) { _ = hold(t, &leading)(ctx) }, OnStoppedLeading: func() {},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			go elector.Run(ctx)
			return cancel
		}
		ours := func(name string) (stop context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if err := follow(ctx, client, name, hold(t, &leading)); err != nil {
					t.Error(err)
				}
			}()
			return cancel
		}
		var transitions int32 = -1
		turn := func(holder string) {
			t.Helper()
			time.Sleep(8 * time.Second) // shorter than the expiry of a Lease that was not given back
			lease, err := client.CoordinationV1().Leases("lanlord-system").Get(t.Context(), "lanlord-controller", metav1.GetOptions{})
			if err != nil || *lease.Spec.HolderIdentity != holder || leading.Load() != 1 {
				t.Fatalf("%d lead, and %s holds the Lease, %v; want %s alone", leading.Load(), *lease.Spec.HolderIdentity, err, holder)
			}
			if now := *lease.Spec.LeaseTransitions; now <= transitions {
				t.Errorf("%d transitions after %d", now, transitions)
			} else {
				transitions = now
			}
			time.Sleep(time.Minute)
		}
		stop := ours("a")
		turn("a")
		stopTheirs := theirs()
		time.Sleep(time.Minute)
		stop()
		turn("theirs")
		stop = ours("b")
		time.Sleep(time.Minute)
		stopTheirs()
		turn("b")
		stop()
	})
}

// TestLeadAfterCrash takes over the Lease of a crashed holder after the Lease has stayed unchanged for its duration,
// whatever time the Lease contains.
func TestLeadAfterCrash(t *testing.T) {
	for name, skew := range map[string]time.Duration{"slow clock": -time.Hour, "right clock": 0, "fast clock": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newLeases()
				leases := client.CoordinationV1().Leases("lanlord-system")
				other, renewed := "other", metav1.NewMicroTime(time.Now().Add(skew))
				lease, err := leases.Create(t.Context(), &coordinationv1.Lease{
					ObjectMeta: metav1.ObjectMeta{Name: "lanlord-controller"},
					Spec: coordinationv1.LeaseSpec{
						HolderIdentity: &other, LeaseDurationSeconds: new(int32(15)), RenewTime: &renewed, AcquireTime: &renewed,
						LeaseTransitions: new(int32(4)),
					},
				}, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				began := make(chan time.Time, 1)
				ended := make(chan error)
				go func() {
					ended <- follow(ctx, client, "a", func(ctx context.Context) error {
						began <- time.Now()
						<-ctx.Done()
						return nil
					})
				}()
				// The other process renews the Lease twice and then crashes.
				for range 2 {
					time.Sleep(10 * time.Second)
					lease.Spec.RenewTime = &metav1.MicroTime{Time: lease.Spec.RenewTime.Add(10 * time.Second)}
					if lease, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				// One read notices the last renewal, and another read its age.
				last, soon := time.Now(), time.Duration(2*(1+leaseJitter)*float64(leasePoll))
				if after := (<-began).Sub(last); after < 15*time.Second || after > 15*time.Second+soon {
					t.Errorf("led %v after the last renewal of the other one, want between 15 s and %v later", after, soon)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if lease, err = leases.Get(t.Context(), "lanlord-controller", metav1.GetOptions{}); err != nil || *lease.Spec.LeaseTransitions != 5 {
					t.Errorf("%d transitions, %v, want 5", *lease.Spec.LeaseTransitions, err)
				}
			})
		})
	}
}

// TestLeadThroughTrouble keeps the Lease while single requests fail, also when the API server executed the request, and
// after somebody has deleted the Lease.
func TestLeadThroughTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newLeases()
		var updates atomic.Int32
		client.PrependReactor("update", "leases", func(a clienttesting.Action) (bool, runtime.Object, error) {
			switch n := updates.Add(1); {
			case n%3 == 1:
				return true, nil, &apiDown{}
			case n%3 == 2: // the request succeeds, and the answer is lost
				lease := a.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease).DeepCopy()
				lease.ResourceVersion += "-unseen"
				if err := client.Tracker().Update(a.GetResource(), lease, a.GetNamespace()); err != nil {
					return true, nil, err
				}
				return true, nil, &apiDown{}
			}
			return false, nil, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		var leading atomic.Int32
		ended := make(chan error)
		go func() { ended <- follow(ctx, client, "a", hold(t, &leading)) }()
		time.Sleep(5 * time.Minute)
		if err := client.CoordinationV1().Leases("lanlord-system").Delete(ctx, "lanlord-controller", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if leading.Load() != 1 {
			t.Error("does not lead any more")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		lease, err := client.CoordinationV1().Leases("lanlord-system").Get(t.Context(), "lanlord-controller", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if *lease.Spec.LeaseTransitions != 0 { // the Lease was created anew
			t.Errorf("%d transitions", *lease.Spec.LeaseTransitions)
		}
	})
}

// hanging is a client whose requests get no answer while hangs is true.
type hanging struct {
	Client
	hangs atomic.Bool
}

func (c *hanging) Do(ctx context.Context, r Request) (runtime.Object, error) {
	if c.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.Client.Do(ctx, r)
}

// TestLeadHanging checks that Lead gives the Lease up in time when the API server stops answering, and keeps the Lease
// when only one request gets no answer.
func TestLeadHanging(t *testing.T) {
	for _, c := range []struct {
		name  string
		hangs time.Duration
		lost  bool
	}{{"for one request", leaseLimit, false}, {"for good", time.Hour, true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &hanging{Client: newLeases()}
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				var led time.Duration
				var cause error
				err := follow(ctx, client, "a", func(ctx context.Context) error {
					defer func() { cause = context.Cause(ctx) }()
					began := time.Now()
					client.hangs.Store(true)
					time.AfterFunc(c.hangs, func() { client.hangs.Store(false) })
					<-ctx.Done()
					led = time.Since(began)
					return nil
				})
				switch {
				case c.lost && (!errors.Is(cause, errLost) || led > leaseRenew):
					t.Errorf("led for %v and ended with %v", led, cause)
				case !c.lost && (err != nil || led < 50*time.Second):
					t.Errorf("led for %v and ended with %v", led, err)
				}
			})
		})
	}
}
