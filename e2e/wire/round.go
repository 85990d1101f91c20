package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// baseline is how long the clients are answered before a fault.
const baseline = 500 * time.Millisecond

// firstAnswer is how long the clients may wait for their first answer, of a cluster at rest.
const firstAnswer = 5 * time.Second

// Result is what one fault did.
type Result struct {
	Fault string
	Nodes int
	// Addr is the address that the clients asked, of the Owned ones that the node had to which the fault happened.
	Addr  netip.Addr
	Owned int
	// Gap is the longest time without an answer for a client that keeps its neighbour table, and pings every millisecond, and
	// Sent and Lost are its pings; Empty is the longest time for one that empties it before each ping, every 10 ms.
	Gap, Empty time.Duration
	Sent, Lost int
	// Owners is how many nodes answered for the address at once, and Overlap how long more than one did. An old owner that
	// answers for at most 20 ms after the new one has announced counts only for Overlap.
	Owners  int
	Overlap time.Duration
	// First and Last are the times from the fault to the first announcements by another node, of the first and of the last of
	// the Taken addresses that another node took. Zero if none was.
	First, Last time.Duration
	Taken       int
	// Middle is the same for the median of the addresses: half of them were announced by then.
	Middle time.Duration `json:",omitempty"`
	// Moves is how often any address was announced by another node than before.
	Moves int
}

// Round lets the fault happen to the owner of one of the addresses, another one in each round, and brings the cluster back
// to rest.
func (l *Lab) Round(ctx context.Context, f Fault) (Result, error) {
	r := Result{Fault: f.Name, Nodes: len(l.nodes)}
	before, err := l.Settle(ctx)
	if err != nil {
		return r, err
	}
	r.Addr = l.addrs[l.rounds%len(l.addrs)]
	l.rounds++
	victim := l.nodeOf(before[r.Addr])
	if victim == nil {
		return r, fmt.Errorf("%s is owned by %s, which is no node", r.Addr, before[r.Addr])
	}
	if f.prepare != nil {
		if err := f.prepare(l, victim); err != nil {
			return r, err
		}
		if before, err = l.Settle(ctx); err != nil {
			return r, err
		}
	}
	l.sniffer.claims.Take()
	if err := l.measure(ctx, f, victim, before, &r); err != nil {
		return r, fmt.Errorf("%s of %s, the owner of %s: %w", f.Name, victim.name, r.Addr, err)
	}
	if f.restore != nil {
		if err := f.restore(l, victim); err != nil {
			return r, err
		}
	}
	_, err = l.Settle(ctx)
	return r, err
}

// measure lets the clients talk while the fault begins and ends, and fills in the result.
func (l *Lab) measure(ctx context.Context, f Fault, victim *node, before map[netip.Addr]MAC, r *Result) error {
	talking, stop := context.WithCancel(ctx)
	defer stop()
	var clients, answered sync.WaitGroup
	streams, failures := [2]*stream{}, [2]error{}
	for i, c := range []*client{l.cached, l.empties} {
		answered.Add(1)
		clients.Go(func() {
			said := sync.OnceFunc(answered.Done)
			defer said()
			streams[i], failures[i] = c.talk(talking, r.Addr, said)
		})
	}
	late := time.AfterFunc(firstAnswer, stop)
	answered.Wait()
	if !late.Stop() || ctx.Err() != nil {
		clients.Wait()
		return errors.Join(fmt.Errorf("no answer to pings within %v", firstAnswer), context.Cause(ctx), failures[0], failures[1])
	}

	fault, err := l.happen(ctx, f, victim)
	stop()
	clients.Wait()
	if err := errors.Join(err, failures[0], failures[1]); err != nil {
		return err
	}
	r.Gap, r.Empty = streams[0].gap(fault), streams[1].gap(fault)
	r.Sent, r.Lost = len(streams[0].sent), streams[0].lost()
	claims := l.sniffer.claims.Since(fault.Add(-baseline))
	r.Owners, r.Overlap = owners(claims, r.Addr)
	r.Moves = moves(claims, before)
	for _, mac := range before {
		if mac == victim.mac {
			r.Owned++
		}
	}
	if after := takeovers(claims, victim.mac, before, fault); len(after) > 0 {
		r.First, r.Middle, r.Last, r.Taken = after[0], percentile(after, 50), after[len(after)-1], len(after)
	}
	return nil
}

// happen begins the fault after a time without, ends it, and returns when it began.
func (l *Lab) happen(ctx context.Context, f Fault, victim *node) (time.Time, error) {
	if err := Pause(ctx, baseline); err != nil {
		return time.Time{}, err
	}
	fault := time.Now()
	if err := f.inject(l, victim); err != nil {
		return fault, err
	}
	if err := Pause(ctx, time.Until(fault.Add(f.Hold))); err != nil {
		return fault, err
	}
	if f.heal == nil {
		return fault, nil
	}
	if err := f.heal(l, victim); err != nil {
		return fault, err
	}
	return fault, Pause(ctx, f.After)
}
