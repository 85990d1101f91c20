package succession

// Phase is the state of a process on its way into its node's place and out of it.
type Phase uint8

// The phases, in their order.
const (
	Waiting Phase = iota
	Following
	Standby
	Active
	HandingOver
	Leaving
	Ended
)

// phases holds every phase.
var phases = [...]Phase{Waiting, Following, Standby, Active, HandingOver, Leaving, Ended}

// String returns the phase in lower case.
func (p Phase) String() string {
	return [...]string{"waiting", "following", "standby", "active", "handing over", "leaving", "ended"}[p]
}

// event is something that may change the phase.
type event uint8

const (
	placeTaken    event = iota // another process has the place
	placeFree                  // this process has the place now
	answering                  // this process answers for all that the other one answers for
	notUnderstood              // the other process has the place and cannot be followed
	stopHandOver               // this process is to stop, and the next one answers for everything
	stopLeave                  // this process is to stop, and no other one follows
	runEnded                   // Run returns
)

// events holds every event.
var events = [...]event{placeTaken, placeFree, answering, notUnderstood, stopHandOver, stopLeave, runEnded}

// next returns the phase after an event. It returns the same phase when the event changes nothing. A process that was
// ready before it is active stays so.
func (p Phase) next(e event) Phase {
	beginning := p == Waiting || p == Following
	switch {
	case e == runEnded:
		return Ended
	case e == placeTaken && p == Waiting:
		return Following
	case (e == answering || e == notUnderstood) && beginning:
		return Standby
	case e == placeFree && (beginning || p == Standby):
		return Active
	case e == stopHandOver && p == Active:
		return HandingOver
	case e == stopLeave && p == Active:
		return Leaving
	}
	return p
}
