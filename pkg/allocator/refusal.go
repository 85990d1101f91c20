package allocator

import (
	"fmt"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Refusal says why a Service does not get an address, or may not keep one.
//
// The message states only facts that last as long as the refusal: sizes, names, "0 of 3 free", but no count that other
// Services change. So a waiting Service is not written again each time another Service comes or goes.
type Refusal struct {
	Reason reason.Assignment
	// Problems identify the refusal for programs: one, or one for each of two missing families. Each has the Reason of
	// the refusal, or its own if the two families lack an address for different reasons.
	Problems []cluster.Problem
	// Message is a sentence for people without a full stop, of at most MaxMessage bytes. No code reads it.
	Message string
}

// MaxMessage is the length of the longest message, in bytes. An Event holds 1,024 and has room for more than the
// message.
const MaxMessage = 800

func refuse(p cluster.Problem, format string, args ...any) *Refusal {
	p.Pool, p.By = cluster.Recorded(p.Pool), cluster.Recorded(p.By)
	return &Refusal{p.Reason, []cluster.Problem{p}, Shorten(fmt.Sprintf(format, args...), MaxMessage)}
}
