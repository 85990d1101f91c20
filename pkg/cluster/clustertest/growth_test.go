package clustertest

import "testing"

// recorder records a test failure instead of failing the test.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

func TestCheckGrowth(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(n int) int
		fails bool
	}{
		{"linear", func(n int) int { return 1000 * n }, false},
		{"quadratic", func(n int) int { return n * n }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{TB: t}
			sum := 0
			CheckGrowth(r, 5000, func(n int) func() {
				return func() {
					for i := range c.steps(n) {
						sum += i ^ sum
					}
				}
			})
			if r.failed != c.fails {
				t.Errorf("failed: %t, want %t", r.failed, c.fails)
			}
		})
	}
}
