package kube

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// follow takes part in the election under a name until ctx ends, and says who leads.
func follow(ctx context.Context, client Client, name string, run func(context.Context) error) error {
	return Lead(ctx, client, "lanlord-system", "lanlord-controller", name, textLog(&lines{}), run)
}

func TestLeadOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient{fake.NewClientset()}
		var leading atomic.Int32
		start := func(name string) (stop context.CancelFunc, since func() time.Duration) {
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			var began time.Time
			go func() {
				if err := follow(ctx, client, name, func(ctx context.Context) error {
					mu.Lock()
					began = time.Now()
					mu.Unlock()
					if leading.Add(1) > 1 {
						t.Error("two lead at once")
					}
					<-ctx.Done()
					time.Sleep(3 * time.Second) // the last write takes its time
					leading.Add(-1)
					return nil
				}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}()
			return cancel, func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Since(began)
			}
		}
		stopA, _ := start("a")
		synctest.Wait()
		if leading.Load() != 1 {
			t.Fatal("the first does not lead at once")
		}
		stopB, ledB := start("b")
		time.Sleep(time.Minute)
		stopped := time.Now()
		stopA()
		time.Sleep(20 * time.Second)
		if gap := time.Since(stopped) - ledB(); gap < 3*time.Second || gap > 8*time.Second {
			t.Errorf("the second led %v after the first was told to stop; want after its 3 s of work, and long before the Lease expires", gap)
		}
		stopB()
		time.Sleep(10 * time.Second)
		lease, err := client.CoordinationV1().Leases("lanlord-system").Get(t.Context(), "lanlord-controller", metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
			t.Errorf("%+v %v, want the Lease given back", lease.Spec, err)
		}
	})
}

// TestLeadOvertaken ends run as soon as another holder is seen, as after a standstill, and does not try until the time to renew is over.
func TestLeadOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient{fake.NewClientset()}
		leases := client.CoordinationV1().Leases("lanlord-system")
		// The fake client lets a write to an old version through, which an API server does not.
		var taken atomic.Bool
		client.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			conflict := apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "lanlord-controller", errors.New("changed"))
			return taken.Load(), nil, conflict
		})
		began, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- follow(t.Context(), client, "a", func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				return nil
			})
		}()
		<-began
		lease, err := leases.Get(t.Context(), "lanlord-controller", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		other, now := "b", metav1.NowMicro()
		lease.Spec.HolderIdentity, lease.Spec.RenewTime = &other, &now
		if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		taken.Store(true)
		since := time.Now()
		if err := <-ended; !errors.Is(err, ErrLeaseLost) {
			t.Errorf("ended with %v, want %v", err, ErrLeaseLost)
		}
		if took := time.Since(since); took > 2*leaseRetry {
			t.Errorf("led for %v after another one held the Lease", took)
		}
	})
}

func TestLeadReturnsRunsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := errors.New("broken")
		if err := follow(t.Context(), fakeClient{fake.NewClientset()}, "a", func(context.Context) error { return want }); err != want {
			t.Errorf("%v, want run's error alone", err)
		}
	})
}

func TestLeadLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient{fake.NewClientset()}
		var away atomic.Bool
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, &apiDown{}
		})
		var began, ended time.Time
		err := follow(t.Context(), client, "a", func(ctx context.Context) error {
			began = time.Now()
			away.Store(true)
			<-ctx.Done()
			ended = time.Now()
			if !errors.Is(context.Cause(ctx), ErrLeaseLost) {
				t.Errorf("cause %v, want ErrLeaseLost", context.Cause(ctx))
			}
			return nil
		})
		if !errors.Is(err, ErrLeaseLost) {
			t.Errorf("%v, want ErrLeaseLost", err)
		}
		if d := ended.Sub(began); d >= leaseDuration {
			t.Errorf("run was told after %v, when another may have led already", d)
		}
	})
}

func TestLeadNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient{fake.NewClientset()}
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, &apiDown{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := follow(ctx, client, "a", func(context.Context) error { return errors.New("run without the Lease") }); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedLeaseIsTold once, not with each attempt.
func TestRefusedLeaseIsTold(t *testing.T) {
	for _, verb := range []string{"get", "create", "update"} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fakeClient{fake.NewClientset()}
				client.PrependReactor(verb, "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "lanlord-controller", errors.New("no"))
				})
				log := &lines{}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_ = Lead(ctx, client, "lanlord-system", "lanlord-controller", "a", textLog(log), func(ctx context.Context) error {
					<-ctx.Done()
					return nil
				})
				if n := log.count("API server refuses us the Lease"); n != 1 {
					t.Errorf("it is told %d times", n)
				}
			})
		})
	}
}
