package pace

// Wake is a channel that merges wake-ups: one that arrives before the receiver has taken the one before is dropped.
type Wake chan struct{}

// NewWake returns a Wake without a wake-up in it.
func NewWake() Wake { return make(Wake, 1) }

// Poke wakes the receiver. It never blocks.
func (w Wake) Poke() {
	select {
	case w <- struct{}{}:
	default:
	}
}
