package layer2

import (
	"context"
	"testing"
	"time"
)

// TestKernelTicks counts ticks of the kernel, and ends them during a wait.
func TestKernelTicks(t *testing.T) {
	const interval, count = 5 * time.Millisecond, 10
	ctx, stop := context.WithCancel(t.Context())
	ticks, err := newHost(nil, nil).ticks(ctx, interval)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range count {
		if !ticks.next() {
			t.Fatal("the ticks end before their context")
		}
	}
	// A late goroutine misses ticks, and no tick comes early.
	if took := time.Since(began); took < (count-1)*interval {
		t.Errorf("%d ticks took %v", count, took)
	}
	stop()
	for range 1000 {
		if !ticks.next() {
			return
		}
	}
	t.Error("the ticks go on after their context")
}
