package processors

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// count counts the calls of a Setter, which must alternate.
type count struct {
	t   *testing.T
	mu  sync.Mutex
	one bool
	// changes counts the calls.
	changes int
}

func (c *count) set(one bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.one == one {
		c.t.Errorf("one processor is set to %v twice", one)
	}
	c.one = one
	c.changes++
}

func (c *count) One() { c.set(true) }
func (c *count) All() { c.set(false) }

func (c *count) narrow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.one
}

func TestNeedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &count{t: t}
		p := New(c)
		p.Need(3 * time.Second)
		if c.changes != 0 {
			t.Error("a number is set before Run")
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		if c.narrow() {
			t.Error("one processor before the end of the need")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !c.narrow() {
			t.Error("all processors after the end of the need")
		}
		time.Sleep(time.Hour)
		p.Need(time.Second)
		if c.narrow() {
			t.Error("Need returns before all processors are there")
		}
		p.Need(time.Millisecond) // a shorter need changes nothing
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if c.narrow() {
			t.Error("a short need ends a longer need")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !c.narrow() {
			t.Error("all processors after the second need")
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) || c.narrow() {
			t.Errorf("Run ends with %v, one processor %v", err, c.narrow())
		}
	})
}

func duration(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most)))
}

// TestLaw lets goroutines need processors at random times. While one of the needs lasts, all processors are allowed, and
// as soon as none lasts, one processor.
func TestLaw(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			c := &count{t: t}
			p := New(c)
			ctx, stop := context.WithCancel(t.Context())
			var tasks sync.WaitGroup
			tasks.Go(func() { _ = p.Run(ctx) })
			start, end := time.Now(), time.Time{}
			var mu sync.Mutex // guards end
			for range 1 + random.IntN(4) {
				pauses := make([][2]time.Duration, 50)
				for i := range pauses {
					pauses[i] = [2]time.Duration{1 + duration(random, 2*time.Second), duration(random, 3*time.Second)}
				}
				tasks.Go(func() {
					for _, pause := range pauses {
						time.Sleep(pause[0])
						mu.Lock()
						if until := time.Now().Add(pause[1]); until.After(end) {
							end = until
						}
						mu.Unlock()
						if p.Need(pause[1]); pause[1] > 0 && c.narrow() {
							t.Errorf("seed %d: one processor %v after the start, at once after Need(%v)", seed, time.Since(start), pause[1])
						}
					}
				})
			}
			for range 300 {
				time.Sleep(1 + duration(random, 500*time.Millisecond))
				synctest.Wait()
				mu.Lock()
				needed := time.Now().Before(end)
				mu.Unlock()
				if c.narrow() == needed {
					t.Errorf("seed %d: %v after the start: needed %v, one processor %v", seed, time.Since(start), needed, c.narrow())
				}
			}
			stop()
			tasks.Wait()
			if c.narrow() {
				t.Errorf("seed %d: one processor after the end", seed)
			}
		})
	}
}

// TestRuntime sets the numbers of this process.
func TestRuntime(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	if s := ForProcess(); s != (Fixed{}) {
		t.Errorf("with GOMAXPROCS in the environment: %T", s)
	}
	t.Setenv("GOMAXPROCS", "")
	s := ForProcess()
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	s.All()
	all := runtime.GOMAXPROCS(0)
	s.One()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d processors at rest", n)
	}
	s.All()
	if n := runtime.GOMAXPROCS(0); n != all {
		t.Errorf("%d processors, want %d", n, all)
	}
}
