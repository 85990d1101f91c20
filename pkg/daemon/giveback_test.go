package daemon

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

// measured returns the sum of metrics of Go's runtime.
func measured(names ...string) (sum uint64) {
	for _, name := range names {
		samples := []metrics.Sample{{Name: name}}
		metrics.Read(samples)
		sum += samples[0].Value.Uint64()
	}
	return sum
}

// free returns the bytes of the heap that neither hold an object nor are returned to the kernel.
func free() uint64 {
	return measured("/memory/classes/heap/free:bytes", "/memory/classes/heap/unused:bytes")
}

// TestGiveBackAfterWork lets the process use much memory for a short time. GiveBack returns the memory in the pause after
// that, and not during the work.
func TestGiveBackAfterWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- GiveBack(func() {})(ctx) }()
		time.Sleep(startOver + time.Second)
		for range 3 {
			work := make([][]byte, 1<<10)
			for i := range work {
				work[i] = make([]byte, 64<<10)
			}
			runtime.KeepAlive(work)
			forced := measured("/gc/cycles/forced:gc-cycles")
			time.Sleep(giveBackPause)
			synctest.Wait()
			if measured("/gc/cycles/forced:gc-cycles") != forced {
				t.Errorf("GiveBack collected the garbage during the work")
			}
		}
		runtime.GC()
		before := free()
		time.Sleep(giveBackPause)
		synctest.Wait()
		if after := free(); before < 32<<20 || after > before/2 {
			t.Errorf("%d MB free before the pause, %d MB after", before>>20, after>>20)
		}
		cancel()
		<-ended
	})
}

func TestWorks(t *testing.T) {
	const mb = 1 << 20
	for _, test := range []struct {
		name      string
		allocated uint64
		want      bool
	}{
		{"nothing", 0, false},
		{"heartbeats and gossip", 1 * mb, false},
		{"a collection's worth", 5 * mb, true},
		{"thousands of Services", 100 * mb, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (heap{300*mb + test.allocated, 10 * mb}).works(300 * mb); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
