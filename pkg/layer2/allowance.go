package layer2

import "time"

// allowance is a token bucket for one goroutine and takes no lock. rate limits both the takes per second and the burst.
type allowance struct {
	rate, tokens float64
	filled       time.Time // when tokens were last counted
}

func newAllowance(rate float64, now time.Time) allowance {
	return allowance{rate: rate, tokens: rate, filled: now}
}

// take takes a token and reports true, or reports false if no token is left.
func (a *allowance) take(now time.Time) bool {
	a.tokens = min(a.rate, a.tokens+a.rate*now.Sub(a.filled).Seconds())
	a.filled = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}
