package session

import "time"

// Profile holds the timers of a session.
type Profile struct {
	// ReceiveInterval and TransmitInterval are 10 ms to 60 s.
	ReceiveInterval, TransmitInterval time.Duration
	// DetectMultiplier is 2 to 255.
	DetectMultiplier uint8
	// Passive means to send nothing before the peer does.
	Passive bool
	// MinimumTTL is for multihop sessions.
	MinimumTTL uint8
}

// slow is the least transmit interval of a session that is not Up (RFC 5880, section 6.8.3).
const slow = time.Second

// MaxStretch is the greatest value of Session.Stretch: 10 ms become more than 1 s.
const MaxStretch = 7

const (
	shortest, longest = 10 * time.Millisecond, 60 * time.Second
	leastMultiplier   = 2
)

// clamped returns p with each value in its range, so that no profile makes a session that sends without pause.
func (p Profile) clamped() Profile {
	p.ReceiveInterval = min(max(p.ReceiveInterval, shortest), longest)
	p.TransmitInterval = min(max(p.TransmitInterval, shortest), longest)
	p.DetectMultiplier = max(p.DetectMultiplier, leastMultiplier)
	return p
}

// stretched returns interval doubled as often as stretch says, at most 1 s or interval.
func stretched(interval time.Duration, stretch uint8) time.Duration {
	return min(interval<<stretch, max(slow, interval))
}
