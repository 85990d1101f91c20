package layer2

import (
	"time"

	"golang.org/x/time/rate"
)

// DefaultRate is how many frames a second may be sent on one interface to announce addresses, unless SetRate says otherwise.
const DefaultRate = 5000

// lowRate is the rate below which the burst is a quarter of it. Such a rate is meant for ports that count the packets of each
// second and shut down at one too many, as dynamic ARP inspection does at 15: a burst of a whole second's worth, and what the
// bucket gains meanwhile, would be two seconds' worth in one.
const lowRate = 100

func rateOrDefault(framesPerSecond int) int {
	if framesPerSecond < 1 {
		return DefaultRate
	}
	return framesPerSecond
}

// burstOf returns how many frames may follow one another at once. An address takes up to two.
func burstOf(framesPerSecond int64) int {
	if framesPerSecond < lowRate {
		return max(2, int(framesPerSecond/4))
	}
	return int(framesPerSecond)
}

func newTokens(framesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(framesPerSecond), burstOf(framesPerSecond))
}

// setRate changes what newTokens has made. Tokens that there are stay, as far as the new burst goes.
func setRate(tokens *rate.Limiter, now time.Time, framesPerSecond int64) {
	if limit := rate.Limit(framesPerSecond); tokens.Limit() != limit {
		tokens.SetLimitAt(now, limit)
		tokens.SetBurstAt(now, burstOf(framesPerSecond))
	}
}
