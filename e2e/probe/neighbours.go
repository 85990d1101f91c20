package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/ether"
)

// Neighbours reports who answered the question who has an address.
type Neighbours struct {
	Target    netip.Addr `json:"target"`
	Interface string     `json:"interface"`
	Sent      int        `json:"sent"`    // questions
	Answers   []Answer   `json:"answers"` // one for each MAC address, first come first
}

// Answer is what one station said.
type Answer struct {
	MAC   string        `json:"mac"`
	Count int           `json:"count"`
	First time.Duration `json:"first_ns"` // from the first question to the first answer
	Last  time.Duration `json:"last_ns"`  // from the first question to the last answer
}

// MACs returns the stations that answered, sorted.
func (n Neighbours) MACs() []string {
	macs := make([]string, 0, len(n.Answers))
	for _, answer := range n.Answers {
		macs = append(macs, answer.MAC)
	}
	slices.Sort(macs)
	return macs
}

// Overlap returns for how long at most two stations answered at the same time, 0 if one began after the other had ceased.
func (n Neighbours) Overlap() time.Duration {
	var longest time.Duration
	for i, a := range n.Answers {
		for _, b := range n.Answers[:i] {
			longest = max(longest, min(a.Last, b.Last)-max(a.First, b.First))
		}
	}
	return longest
}

// String is for the log of a test.
func (n Neighbours) String() string {
	parts := make([]string, 0, len(n.Answers))
	for _, answer := range n.Answers {
		parts = append(parts, fmt.Sprintf("%s x%d, first after %v, last after %v", answer.MAC, answer.Count,
			answer.First.Round(time.Microsecond), answer.Last.Round(time.Microsecond)))
	}
	if len(parts) == 0 {
		parts = []string{"nobody"}
	}
	return fmt.Sprintf("%s asked for %d times, answered by %s", n.Target, n.Sent, strings.Join(parts, "; "))
}

// Schedule says how often to ask.
type Schedule struct {
	Count    int           // questions, at least 1
	Interval time.Duration // between them, at least 1 ms
	Wait     time.Duration // for answers, after the last question
	// UntilAnswered ends with the first answer.
	UntilAnswered bool
}

func (s Schedule) validate() error {
	if s.Count < 1 || s.Interval < time.Millisecond || s.Wait < 0 {
		return fmt.Errorf("no schedule: %d questions every %v, wait %v", s.Count, s.Interval, s.Wait)
	}
	return nil
}

// questioner asks one question on the wire and reads the answers to it.
type questioner interface {
	ask() error
	// read blocks until an answer to a question of ours arrives, or close is called.
	read() (ether.MAC, error)
	close() error
}

// survey asks by the schedule and counts the answers. It closes the questioner.
func survey(ctx context.Context, q questioner, s Schedule, report *Neighbours) error {
	type arrival struct {
		mac ether.MAC
		at  time.Time
	}
	arrivals := make(chan arrival)
	readErr := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			mac, err := q.read()
			if err != nil {
				readErr <- err
				return
			}
			select {
			case arrivals <- arrival{mac, time.Now()}:
			case <-ctx.Done():
				readErr <- nil
				return
			}
		}
	}()

	start := time.Now()
	next := time.NewTimer(0)
	var err error
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case err = <-readErr:
			readErr <- nil
			done = true
		case a := <-arrivals:
			report.add(a.mac.String(), a.at.Sub(start))
			done = s.UntilAnswered
		case <-next.C:
			if report.Sent == s.Count {
				done = true
				break
			}
			if err = q.ask(); err != nil {
				done = true
				break
			}
			report.Sent++
			// Counted from the start, so that lateness does not add up.
			at := start.Add(time.Duration(report.Sent) * s.Interval)
			if report.Sent == s.Count {
				at = time.Now().Add(s.Wait)
			}
			next.Reset(time.Until(at))
		}
	}
	cancel()
	err = errors.Join(err, q.close())
	<-readErr // what a read says after close is of no interest
	return err
}

func (n *Neighbours) add(mac string, after time.Duration) {
	i := slices.IndexFunc(n.Answers, func(a Answer) bool { return a.MAC == mac })
	if i < 0 {
		n.Answers = append(n.Answers, Answer{MAC: mac, Count: 1, First: after, Last: after})
		return
	}
	n.Answers[i].Count++
	n.Answers[i].Last = after
}
