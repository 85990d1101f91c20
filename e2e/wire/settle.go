package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/scrape"
)

const (
	// settleLimit is how long a cluster may take to be at rest.
	settleLimit = time.Minute
	// settlePoll is the time between two looks, and settleQuiet how long nothing may have changed.
	settlePoll  = 100 * time.Millisecond
	settleQuiet = 500 * time.Millisecond
	// answerTime is how long a speaker may take to answer, also on a busy machine.
	answerTime = 200 * time.Millisecond
	// askAtOnce questions, and then a pause, are what the queue of a socket takes.
	askAtOnce = 50
	askPause  = 10 * time.Millisecond
)

// readyMembers is the metric of a speaker that tells how many members it knows to be ready.
const readyMembers = `lanlord_membership_members{state="ready"}`

// WireOnly makes [Lab.Settle] judge by the answers on the LAN alone, for speakers that are not Lanlord's and have other
// metrics; or ends that.
func (l *Lab) WireOnly(on bool) { l.wireOnly = on }

// Settle waits until every running speaker knows all the others to be ready, and every address has been answered for by the
// same node, and by no other, for half a second. It returns these nodes' MAC addresses.
func (l *Lab) Settle(ctx context.Context) (map[netip.Addr]MAC, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var before map[netip.Addr]MAC
	var since time.Time
	var last error
	for {
		owners, problem := l.look(ctx)
		if ctx.Err() == nil && problem != nil {
			last = problem
		}
		switch {
		case problem != nil:
			before = nil
		case before == nil || !same(owners, before):
			before, since = owners, time.Now()
			last = errors.New("addresses have moved just now")
		case time.Since(since) >= settleQuiet:
			return owners, nil
		}
		if err := Pause(ctx, settlePoll); err != nil {
			return nil, fmt.Errorf("the cluster does not settle: %w; last seen: %v", err, last)
		}
	}
}

// Pause lasts d, unless ctx ends before: then it returns why.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func same(a, b map[netip.Addr]MAC) bool {
	for addr, mac := range a {
		if b[addr] != mac {
			return false
		}
	}
	return len(a) == len(b)
}

// look returns who owns each address now, or what is not as it should be.
func (l *Lab) look(ctx context.Context) (map[netip.Addr]MAC, error) {
	var running []*node
	for _, n := range l.nodes {
		if n.running() {
			running = append(running, n)
		}
	}
	for _, n := range running {
		if l.wireOnly {
			break
		}
		text, err := l.get(ctx, n, "/metrics")
		if err != nil {
			return nil, err
		}
		if ready, err := scrape.Value(text, readyMembers); err != nil || int(ready) != len(running) {
			return nil, fmt.Errorf("%s says that %v members are ready, want %d, error %v", n.name, ready, len(running), err)
		}
	}
	claimed, err := l.survey(ctx)
	if err != nil {
		return nil, err
	}
	owners := make(map[netip.Addr]MAC, len(l.addrs))
	for _, a := range l.addrs {
		if len(claimed[a]) != 1 {
			return nil, fmt.Errorf("%s is claimed by %v", a, claimed[a])
		}
		owners[a] = claimed[a][0]
	}
	return owners, nil
}

// survey asks for all addresses, and again for those that nobody answered for, and returns who answered.
func (l *Lab) survey(ctx context.Context) (map[netip.Addr][]MAC, error) {
	start := time.Now()
	open := l.addrs
	var claimed map[netip.Addr][]MAC
	for range 3 {
		for batch := range slices.Chunk(open, askAtOnce) {
			if err := l.sniffer.ask(batch); err != nil {
				return nil, err
			}
			if err := Pause(ctx, askPause); err != nil {
				return nil, err
			}
		}
		if err := Pause(ctx, answerTime); err != nil {
			return nil, err
		}
		claimed = ownersOf(l.sniffer.claims.Since(start))
		open = slices.DeleteFunc(slices.Clone(l.addrs), func(a netip.Addr) bool { return len(claimed[a]) > 0 })
		if len(open) == 0 {
			break
		}
	}
	return claimed, nil
}

// nodeOf returns the node with a MAC address, nil if it is none's.
func (l *Lab) nodeOf(mac MAC) *node {
	if i := slices.IndexFunc(l.nodes, func(n *node) bool { return n.mac == mac }); i >= 0 {
		return l.nodes[i]
	}
	return nil
}
