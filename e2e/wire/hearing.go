package wire

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// hearEvery is the time between two questions for each address of a Hearing.
const hearEvery = 100 * time.Millisecond

// Hearing holds what a host on the LAN heard of some addresses, for each of which it asked ten times a second.
type Hearing struct {
	From, To time.Time
	// Asked has the times of the questions, Claims the frames that were heard, both in the order of time.
	Asked  []time.Time
	Claims []Claim
	// Starved is the longest time for which the threads of one speaker waited for a CPU meanwhile, where the caller notes that.
	Starved time.Duration
}

// Hear asks for the addresses until ctx ends, and returns what was heard. An ended ctx is no error. Calls follow one another.
func (l *Lab) Hear(ctx context.Context, addrs []netip.Addr) (Hearing, error) {
	h := Hearing{From: time.Now()}
	tick := time.NewTicker(hearEvery)
	defer tick.Stop()
	for {
		h.Asked = append(h.Asked, time.Now())
		for batch := range slices.Chunk(addrs, askAtOnce) {
			if err := l.sniffer.ask(batch); err != nil {
				return h, err
			}
		}
		select {
		case <-ctx.Done():
			h.To = time.Now()
			h.Claims = l.sniffer.claims.Since(h.From)
			return h, nil
		case <-tick.C:
		}
	}
}

// HearFor is Hear for a time.
func (l *Lab) HearFor(ctx context.Context, d time.Duration, addrs []netip.Addr) (Hearing, error) {
	hearing, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	h, err := l.Hear(hearing, addrs)
	if err == nil {
		err = context.Cause(ctx)
	}
	return h, err
}

// Rest asks for the addresses until exactly one station has answered for each of them for a second and a half, judged by the
// wire alone, and returns these stations. It is an error if that takes longer than the limit.
func (l *Lab) Rest(ctx context.Context, limit time.Duration, addrs []netip.Addr) (map[netip.Addr]MAC, error) {
	for end := time.Now().Add(limit); ; {
		h, err := l.HearFor(ctx, 1500*time.Millisecond, addrs)
		if err != nil {
			return nil, err
		}
		owners, problem := h.Owners(addrs)
		if problem == nil {
			return owners, nil
		}
		if time.Now().After(end) {
			return owners, fmt.Errorf("not at rest within %v: %w", limit, problem)
		}
	}
}

// Stations returns the stations that claimed an address, in the order of their first claims.
func (h Hearing) Stations(a netip.Addr) []MAC { return ownersOf(h.Claims)[a] }

// Owners returns the last station that claimed each of the addresses, and an error that names an address which none claimed, or
// more than one.
func (h Hearing) Owners(addrs []netip.Addr) (owners map[netip.Addr]MAC, err error) {
	owners = make(map[netip.Addr]MAC, len(addrs))
	for _, c := range h.Claims {
		owners[c.Addr] = c.MAC
	}
	for _, a := range addrs {
		if stations := h.Stations(a); len(stations) != 1 {
			return owners, fmt.Errorf("%s is claimed by %v", a, stations)
		}
	}
	return owners, nil
}

// Dark returns the longest time for which questions for an address had no answer: from the first of them to the next claim, or
// to the end.
func (h Hearing) Dark(a netip.Addr) (longest time.Duration) {
	came := []time.Time{}
	for _, c := range h.Claims {
		if c.Addr == a {
			came = append(came, c.At)
		}
	}
	came = append(came, h.To)
	next := 0
	for _, t := range came {
		if next < len(h.Asked) && t.After(h.Asked[next]) {
			longest = max(longest, t.Sub(h.Asked[next]))
		}
		for next < len(h.Asked) && !h.Asked[next].After(t) {
			next++
		}
	}
	return longest
}

// Overlap returns for how long at most more than one station answered for an address.
func (h Hearing) Overlap(a netip.Addr) time.Duration {
	_, overlap := owners(h.Claims, a)
	return overlap
}

// Moves counts how often a station claimed an address that another one had claimed last. Two owners at once count with each of
// their answers.
func (h Hearing) Moves(a netip.Addr) (n int) {
	var last MAC
	for _, c := range h.Claims {
		if c.Addr != a {
			continue
		}
		if last != (MAC{}) && last != c.MAC {
			n++
		}
		last = c.MAC
	}
	return n
}

// Answers counts the answers to this station's questions for an address, and the questions. Speakers probe each other for addresses too.
func (h Hearing) Answers(a netip.Addr) (answers, questions int) {
	for _, c := range h.Claims {
		if c.Addr == a && !c.Announced && !c.ToOther {
			answers++
		}
	}
	return answers, len(h.Asked)
}
