package wire

import (
	"slices"
	"time"
)

// stream is pings to an address at a fixed rate, and their answers. It is read after its end.
type stream struct {
	// sent are the times of sending, by number; came those of the answers, by the kernel, in the order of their coming.
	sent, came []time.Time
	// answered tells which were answered.
	answered []bool
}

// gap returns the longest time, of those that ended after a moment, in which pings were sent and no answer came: from the
// first that was sent after an answer to the next answer, or to the end of the stream. So a client that was kept from sending
// finds no gap.
func (s *stream) gap(since time.Time) (longest time.Duration) {
	if len(s.sent) == 0 {
		return 0
	}
	came := append(slices.Clone(s.came), s.sent[len(s.sent)-1])
	slices.SortFunc(came, time.Time.Compare)
	next := 0
	for _, t := range came {
		// next is the first that was sent after the answer before.
		if next < len(s.sent) && t.After(since) {
			longest = max(longest, t.Sub(s.sent[next]))
		}
		for next < len(s.sent) && !s.sent[next].After(t) {
			next++
		}
	}
	return longest
}

// lost counts the pings that were never answered.
func (s *stream) lost() (n int) {
	for _, ok := range s.answered {
		if !ok {
			n++
		}
	}
	return n
}
