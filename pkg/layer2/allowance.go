package layer2

import "time"

// allowance is a token bucket for one goroutine, which takes no lock: it allows so much a second, and so much at once.
type allowance struct {
	rate, tokens float64
	filled       time.Time // when tokens were counted last
}

func newAllowance(rate float64, now time.Time) allowance {
	return allowance{rate: rate, tokens: rate, filled: now}
}

// take reports whether one more is allowed, and counts it if so.
func (a *allowance) take(now time.Time) bool {
	a.tokens = min(a.rate, a.tokens+a.rate*now.Sub(a.filled).Seconds())
	a.filled = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}
