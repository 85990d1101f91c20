package controller

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestHistories runs random histories of a whole controller: Services and configurations come and go, caches lag,
// writes fail or lose their answers, and the controller restarts. The fake fails the test when two Services get one
// address, unless the controller had reason to believe that they share. At the end, neither the controller nor a newly
// started controller must have anything to write.
func TestHistories(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			f := newFakeAPI(t, documents[0])
			c := New(Options{Source: f, Writer: f, Log: slog.New(slog.DiscardHandler)})
			f.wake = func() { c.Wake() }
			var stop func()
			run := func() {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- c.Run(ctx) }()
				stop = func() {
					cancel()
					<-done
				}
			}
			run()
			for range 60 {
				f.anything(random)
				if random.IntN(20) == 0 {
					stop()
					// The caches of a new leader are up to date; the kube package ensures this.
					f.deliver()
					c = New(Options{Source: f, Writer: f, Log: slog.New(slog.DiscardHandler)})
					run()
				}
				if random.IntN(3) == 0 {
					synctest.Wait()
				}
			}
			f.breakWrites(func(cluster.Update) fault { return works })
			f.deliver()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			stop()
			if p := Decide(f.Snapshot(), nil); len(p.Updates) > 0 {
				t.Errorf("seed %d: there is something left to do:\n%s", seed, p.text())
			}
			f.checkShares()
		})
	}
}

// anything makes one random change to the cluster.
func (f *fakeAPI) anything(random *rand.Rand) {
	name := fmt.Sprint("s", random.IntN(9))
	switch random.IntN(11) {
	case 0, 1, 2:
		f.apply(name, func(svc *cluster.Service) { choose(random, svc) })
	case 3:
		f.remove(name)
	case 4:
		f.deliver()
	case 5, 6:
		f.deliverOnly(name)
	case 7:
		f.configure(documents[random.IntN(len(documents))])
		f.wake()
	case 8:
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Millisecond)
	case 9:
		f.rewire(random)
		f.wake()
	case 10:
		faults := []fault{works, works, fault(random.IntN(4)), fault(random.IntN(4))}
		f.breakWrites(func(u cluster.Update) fault { return faults[len(u.Key.Name+u.Version)%len(faults)] })
	}
}

// TestLeaseChanges runs histories in which a second controller takes over while the first controller continues for a
// while, with caches that lag and writes that hang. Each controller may assign an address that the other controller has
// assigned. After the end of the first controller, the second controller must correct all conflicts.
func TestLeaseChanges(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 8))
			f := newFakeAPI(t, documents[0])
			run := func(o Options) (c *Controller, stop func()) {
				o.Log = slog.New(slog.DiscardHandler)
				c = New(o)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- c.Run(ctx) }()
				return c, func() {
					cancel()
					<-done
				}
			}
			old, stopOld := run(Options{Source: f, Writer: f})
			f.wake = old.Wake
			for range 5 {
				for range 15 {
					f.anything(random)
				}
				next := newFollower(f)
				f.mu.Lock()
				f.leaders = 2
				f.mu.Unlock()
				young, stopYoung := run(Options{Source: next, Writer: next})
				for range 10 {
					f.anything(random)
					if random.IntN(2) == 0 {
						next.deliver()
						young.Wake()
					}
				}
				stopYoung()
				next.deliver()
			}
			stopOld()
			f.breakWrites(func(cluster.Update) fault { return works })
			f.deliver()
			f.mu.Lock()
			f.leaders = 1
			f.mu.Unlock()
			last, stopLast := run(Options{Source: f, Writer: f})
			f.wake = last.Wake
			f.deliver()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			stopLast()
			if p := Decide(f.Snapshot(), nil); len(p.Updates) > 0 {
				t.Errorf("seed %d: there is something left to do:\n%s", seed, p.text())
			}
			f.checkShares()
		})
	}
}
