package layer2

import (
	"time"

	"golang.org/x/time/rate"
)

// DefaultRate is the maximum number of frames a second that announce addresses on one interface, unless SetRate changes
// the rate.
const DefaultRate = 5000

// lowRate is the rate below which the burst is a quarter of the rate. Low rates serve switch ports that count the
// packets of each second and shut down at one packet too many, as dynamic ARP inspection does at 15. With a burst of a
// whole second, the burst and the tokens gained meanwhile would add up to the packets of two seconds in one second.
const lowRate = 100

func rateOrDefault(framesPerSecond int) int {
	if framesPerSecond < 1 {
		return DefaultRate
	}
	return framesPerSecond
}

// burstOf returns the maximum number of frames sent at once. An address needs up to two frames.
func burstOf(framesPerSecond int64) int {
	if framesPerSecond < lowRate {
		return max(2, int(framesPerSecond/4))
	}
	return int(framesPerSecond)
}

func newTokens(framesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(framesPerSecond), burstOf(framesPerSecond))
}

// setRate changes the rate and burst of tokens. Available tokens stay, up to the new burst.
func setRate(tokens *rate.Limiter, now time.Time, framesPerSecond int64) {
	if limit := rate.Limit(framesPerSecond); tokens.Limit() != limit {
		tokens.SetLimitAt(now, limit)
		tokens.SetBurstAt(now, burstOf(framesPerSecond))
	}
}
