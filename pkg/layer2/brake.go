package layer2

import "time"

const (
	// vainRate is how often a second, and how often at once, this process may wake for frames of one socket that it answers none of.
	// Beyond that it lets them gather for vainPause: waking costs ten times what a frame does. The socket's buffer holds some 200.
	vainRate  = 500
	vainPause = 2 * time.Millisecond
)

// brake counts how often a socket has woken this process in vain.
type brake struct {
	tokens float64
	filled time.Time
}

func newBrake(now time.Time) brake { return brake{tokens: vainRate, filled: now} }

// vain notes a wake in vain, and reports whether there were too many of them.
func (b *brake) vain(now time.Time) bool {
	b.tokens = min(vainRate, b.tokens+vainRate*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.tokens < 1 {
		return true
	}
	b.tokens--
	return false
}
