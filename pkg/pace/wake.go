package pace

// Wake is a channel that merges wake-ups: a new wake-up is dropped while an earlier wake-up waits for the receiver.
type Wake chan struct{}

// NewWake returns an empty Wake.
func NewWake() Wake { return make(Wake, 1) }

// Poke wakes the receiver. Poke never blocks.
func (w Wake) Poke() {
	select {
	case w <- struct{}{}:
	default:
	}
}
