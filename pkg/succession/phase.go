package succession

// Phase is the state of a process with regard to the place of its node.
type Phase uint8

// The phases in the order of a process's life.
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

// event is a possible cause of a change of phase.
type event uint8

const (
	placeTaken    event = iota // another process has the place
	placeFree                  // this process has the place now
	answering                  // this process answers for all addresses of the other process
	notUnderstood              // the other process has the place and is not compatible
	stopHandOver               // this process is told to stop, and the next process answers for everything
	stopLeave                  // this process is told to stop, and no other process follows
	runEnded                   // Run returns
)

// events holds every event.
var events = [...]event{placeTaken, placeFree, answering, notUnderstood, stopHandOver, stopLeave, runEnded}

// next returns the phase after an event, and the same phase if the event changes nothing. A process that was ready
// before the active phase stays ready.
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
