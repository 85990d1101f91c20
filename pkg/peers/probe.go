package peers

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

const (
	// A probe fails when the neighbour answers none of probeCount requests within probePause each. After a failed
	// probe, a neighbour is reachable again when it has answered as many probes in a row.
	probeCount = 3
	probePause = 80 * time.Millisecond
	// probeLateness is the tolerance for the duration of a failed probe. A node that takes longer is too slow to judge
	// its neighbour.
	probeLateness = 60 * time.Millisecond
)

// Gossip gives the detector access to the membership.
type Gossip interface {
	// Members returns all members, this node included.
	Members() []membership.Member
	// Ping asks a member over gossip whether it is alive.
	Ping(name string) error
}

// Prober asks hosts on the wire; *layer2.Announcer implements Prober.
type Prober interface {
	// Interfaces returns the interfaces for probes.
	Interfaces() []layer2.Interface
	// Probe asks for an address, and returns the stations that answered.
	Probe(ctx context.Context, addr netip.Addr, o layer2.ProbeOptions) (layer2.Finding, error)
	// Station returns a station that is asked without waiting.
	Station(addr netip.Addr, mac layer2.MAC) *layer2.Station
	// Heartbeats exchanges heartbeats with a station through the network that contains an address.
	Heartbeats(network netip.Addr, to layer2.MAC, from []layer2.MAC) *layer2.Heartbeats
	// SetStall sets the length of a stall after which other nodes may have taken over.
	SetStall(d time.Duration)
	// OnBeat calls f every 50 ms until stop is called. f must not block.
	OnBeat(f func(now time.Time)) (stop func())
}

var _ Prober = (*layer2.Announcer)(nil)

// result is the outcome of probing a neighbour once.
type result uint8

const (
	// inconclusive means that the probe gives no information about the neighbour.
	inconclusive result = iota
	// answered means that the neighbour answers on the wire, or over gossip without a probe address.
	answered
	// unreachable means that the neighbour does not answer on the wire. This node may be cut off instead.
	unreachable
	// dead means that the neighbour does not answer over gossip either.
	dead
)

// probe asks a neighbour on the wire for its probe address, or over gossip without a probe address. probe asks a
// neighbour lost in gossip once, and on the wire only. member is the last state of the neighbour in gossip.
func probe(ctx context.Context, gossip Gossip, wire Prober, member membership.Member, present bool, q questions) result {
	mac, addr := probeAddress(member, wire.Interfaces())
	switch {
	case !addr.IsValid() && !present:
		return inconclusive
	case !addr.IsValid():
		return ping(ctx, gossip, member.Name)
	case !present:
		f, err := wire.Probe(ctx, addr, layer2.ProbeOptions{To: mac, Count: 1, Interval: probePause})
		return judge(f, err, member)
	}
	// The ping starts before the probe on the wire has failed, so that both results come at the same time.
	pinged := make(chan error, 1)
	delay := q.pause
	if q.count < probeCount {
		delay = 0
	}
	silent, stop := context.WithCancel(ctx)
	defer stop()
	q.run(func() {
		if wait(silent, delay); silent.Err() != nil {
			pinged <- nil
			return
		}
		pinged <- gossip.Ping(member.Name)
	})
	f, err := wire.Probe(ctx, addr, layer2.ProbeOptions{To: mac, Count: q.count, Interval: q.pause})
	stop()
	r := judge(f, err, member)
	if r != unreachable {
		return r
	}
	if now, is := current(gossip, member.Name); is {
		if nowMAC, nowAddr := probeAddress(now, wire.Interfaces()); nowMAC != mac || nowAddr != addr {
			return inconclusive // the neighbour has released the address
		}
	}
	// The answer over gossip matters only when this node may be cut off from the wire.
	if !q.hearsAnother() && <-pinged != nil {
		return dead
	}
	return unreachable
}

// questions tells probe how to ask.
type questions struct {
	// count is the number of questions on the wire, and pause the time for the answer to each.
	count int
	pause time.Duration
	// run runs a function in a goroutine.
	run func(func())
	// hearsAnother reports whether this node hears another neighbour.
	hearsAnother func() bool
}

// wait waits for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// judge returns the result of a probe on the wire alone.
func judge(f layer2.Finding, err error, member membership.Member) result {
	byMember := func(x layer2.Sighting) bool { return x.Form != layer2.Probing && uses(member, x.MAC) }
	switch {
	case slices.ContainsFunc(f.Heard, byMember):
		return answered
	case err != nil || f.Outcome == layer2.Taken:
		return inconclusive // another node has the address by now
	}
	return unreachable
}

// ping asks a member over gossip.
func ping(ctx context.Context, gossip Gossip, name string) result {
	for range probeCount {
		if gossip.Ping(name) == nil {
			return answered
		}
		if ctx.Err() != nil {
			return inconclusive
		}
	}
	return dead
}

// current returns the named member, and false when there is no such member.
func current(gossip Gossip, name string) (membership.Member, bool) {
	return named(gossip.Members(), name)
}

// named returns the named member, and false when there is no such member.
func named(members []membership.Member, name string) (membership.Member, bool) {
	i := slices.IndexFunc(members, func(m membership.Member) bool { return m.Name == name })
	if i < 0 {
		return membership.Member{}, false
	}
	return members[i], true
}
