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

// newLease returns the Lease of the tests for a process of a Pod.
func newLease(client Client, pod, name string, log *lines) *Lease {
	return NewLease(LeaseOptions{
		Client: client, Namespace: "lanlord-system", Name: "lanlord-controller", Pod: pod, Identity: name, Log: textLog(log),
	})
}

// follow takes part in the election under a name until ctx ends.
func follow(ctx context.Context, client Client, name string, run func(context.Context) error) error {
	return newLease(client, "", name, &lines{}).Lead(ctx, run)
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
					time.Sleep(3 * time.Second) // the last write takes a while
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

// TestLeadOvertaken checks that the context of run ends as soon as this process sees another holder, as after a process
// stall, and not only at the deadline of the renewal.
func TestLeadOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fakeClient{fake.NewClientset()}
		leases := client.CoordinationV1().Leases("lanlord-system")
		// Unlike an API server, the fake client accepts a write to an old version.
		var taken atomic.Bool
		client.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			conflict := apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "lanlord-controller", errors.New("changed"))
			return taken.Load(), nil, conflict
		})
		began, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			following, stop := context.WithCancel(t.Context())
			defer stop()
			_ = follow(following, client, "a", func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				stop()
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
		if err := <-ended; !errors.Is(err, errLost) {
			t.Errorf("ended with %v, want %v", err, errLost)
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
		ctx, stop := context.WithCancel(t.Context())
		var terms []time.Duration
		err := follow(ctx, client, "a", func(ctx context.Context) error {
			if len(terms) > 0 { // the API server is back, and this process leads again
				stop()
				return nil
			}
			began := time.Now()
			away.Store(true)
			<-ctx.Done()
			terms = append(terms, time.Since(began))
			if !errors.Is(context.Cause(ctx), errLost) {
				t.Errorf("cause %v, want %v", context.Cause(ctx), errLost)
			}
			time.AfterFunc(time.Minute, func() { away.Store(false) })
			return nil
		})
		if err != nil || len(terms) != 1 {
			t.Errorf("%v after %d terms", err, len(terms))
		}
		if terms[0] >= leaseDuration {
			t.Errorf("run was told after %v, when another process may have led already", terms[0])
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

// TestRefusedLeaseIsTold checks that a refusal is logged once, and not with each attempt.
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
				_ = newLease(client, "", "a", log).Lead(ctx, func(ctx context.Context) error {
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

// TestLeaseOfTheSamePod kills a process that holds the Lease. The next process of the same Pod continues the Lease
// after leasePause. A process of another Pod waits until the Lease has expired, for less than 6 s.
func TestLeaseOfTheSamePod(t *testing.T) {
	for _, c := range []struct {
		name, pod string
		least     time.Duration
		most      time.Duration
	}{
		{"the same Pod", "controller-1_uid-1", leasePause, leasePause},
		{"another Pod", "controller-2_uid-2", leaseDuration - leaseRetry, 6 * time.Second},
		{"a Pod whose name begins alike", "controller-1_uid", leaseDuration - leaseRetry, 6 * time.Second},
		{"no Pod", "", leaseDuration - leaseRetry, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &hanging{Client: newLeases()}
				killed := make(chan struct{})
				first, kill := context.WithCancel(t.Context())
				var gone sync.WaitGroup
				defer gone.Wait()
				defer kill()
				gone.Go(func() {
					// A killed process makes no request: neither to renew the Lease nor to give the Lease back.
					_ = newLease(client, "controller-1_uid-1", "a", &lines{}).Lead(first, func(ctx context.Context) error {
						time.Sleep(10*time.Second + 300*time.Millisecond)
						client.hangs.Store(true)
						close(killed)
						<-ctx.Done()
						return nil
					})
				})
				<-killed
				died := time.Now()
				ctx, stop := context.WithCancel(t.Context())
				err := newLease(client.Client, c.pod, "b", &lines{}).Lead(ctx, func(context.Context) error {
					if after := time.Since(died); after < c.least || after > c.most {
						t.Errorf("leads %v after the death of the process before, want %v to %v", after, c.least, c.most)
					}
					stop()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCheckBeforeWrite checks that a process without the Lease cannot write, even if the process was stalled and does
// not know about the loss. After a stall in which no other process took the Lease, Check renews the Lease first.
func TestCheckBeforeWrite(t *testing.T) {
	for _, taken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client := newLeases()
			hung := &hanging{Client: client}
			l := newLease(hung, "", "a", &lines{})
			if err := l.Check(t.Context()); !errors.Is(err, errLost) {
				t.Errorf("before the Lease is held: %v", err)
			}
			ctx, stop := context.WithCancel(t.Context())
			err := l.Lead(ctx, func(ctx context.Context) error {
				defer stop()
				if err := l.Check(ctx); err != nil {
					t.Errorf("while the Lease is held: %v", err)
				}
				hung.hangs.Store(true) // the renewals get no answer
				time.Sleep(leaseRetry + leaseTrust)
				if taken {
					leases := client.CoordinationV1().Leases("lanlord-system")
					lease, err := leases.Get(ctx, "lanlord-controller", metav1.GetOptions{})
					if err != nil {
						return err
					}
					lease.Spec.HolderIdentity = new("b")
					if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
						return err
					}
				}
				hung.hangs.Store(false)
				if err := l.Check(t.Context()); errors.Is(err, errLost) != taken || !taken && err != nil {
					t.Errorf("taken %t: %v", taken, err)
				}
				return nil
			})
			if err != nil && !errors.Is(err, errLost) {
				t.Error(err)
			}
			if err := l.Check(t.Context()); !errors.Is(err, errLost) {
				t.Errorf("after the Lease was given back: %v", err)
			}
		})
	}
	var none *Lease
	if err := none.Check(t.Context()); err != nil {
		t.Errorf("without a Lease: %v", err)
	}
}
