package allocator

import (
	"fmt"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Refusal gives the reason why a Service does not get an address, or may not keep an address.
//
// The message states only facts that last as long as the refusal: sizes, names, "0 of 3 free", but no count that other
// Services change. Therefore the controller need not write a waiting Service again each time another Service comes or
// goes.
type Refusal struct {
	Reason reason.Assignment
	// Problems identifies the refusal for programs. Problems has one entry, or one entry for each of two missing
	// families. Each entry has the Reason of the refusal, or its own reason if the two families lack an address for
	// different reasons.
	Problems []cluster.Problem
	// Message is a sentence for people without a full stop, of at most MaxMessage bytes. No code interprets the
	// message.
	Message string
}

// MaxMessage limits the length of a message, in bytes. An Event holds 1,024 bytes, so the text of an Event can contain
// more than the message.
const MaxMessage = 800

func refuse(p cluster.Problem, format string, args ...any) *Refusal {
	p.Pool, p.By = cluster.Recorded(p.Pool), cluster.Recorded(p.By)
	return &Refusal{p.Reason, []cluster.Problem{p}, Shorten(fmt.Sprintf(format, args...), MaxMessage)}
}
