package clustertest

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// growthFactor is the size of the large case as a multiple of the small case, and mostGrowth the greatest allowed
	// ratio of their times. Linear work takes ten times as long, and twenty times where the work outgrows the CPU's
	// caches; quadratic work takes a hundred times as long.
	growthFactor = 10
	mostGrowth   = 50
	growthRuns   = 5
)

// CheckGrowth fails the test if the CPU time of work grows with the square of n. prepare returns the work on n items;
// CheckGrowth calls prepare anew for each run. The small and the large case alternate, so that both run under the same
// load, and the shortest run of each case counts, so that a busy computer does not fail the test.
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

// cpuTime returns the CPU time of this process.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at); err != nil {
		t.Fatal(err)
	}
	return time.Duration(at.Nano())
}
