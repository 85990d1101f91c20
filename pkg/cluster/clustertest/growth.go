package clustertest

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// growthFactor is how much larger the large case is, and mostGrowth how many times as long it may take: what is linear takes ten times as
	// long, and twice that where it outgrows the CPU's caches; what is quadratic takes a hundred times as long.
	growthFactor = 10
	mostGrowth   = 50
	growthRuns   = 5
)

// CheckGrowth fails the test if the CPU time that work takes grows with the square of n. prepare returns the work on n
// things, which is done several times, each time prepared anew. The small and the large case take turns, so that both see
// the same machine, and the shortest run of each counts, so that a busy machine fails nothing.
func CheckGrowth(t testing.TB, n int, prepare func(n int) (work func())) {
	t.Helper()
	took := func(n int) time.Duration {
		work := prepare(n)
		start := cpuTime(t)
		work()
		return cpuTime(t) - start
	}
	few, many := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for range growthRuns {
		few, many = min(few, took(n/growthFactor), took(n/growthFactor)), min(many, took(n))
	}
	t.Logf("%d: %v, %d: %v", n/growthFactor, few, n, many)
	if many > mostGrowth*few {
		t.Errorf("%d took %v of CPU time, and %d took %v, more than %d times as long", n/growthFactor, few, n, many, mostGrowth)
	}
}

// cpuTime returns how long this process has had a CPU.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}
