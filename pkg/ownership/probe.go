package ownership

import (
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// RulesDelay delays the first probe after an address came to a Service. kube-proxy writes its rules once a second
	// at most, and has just written the rules of the new Service. Before the rules exist, a node forwards packets
	// unchanged and its connection tracking keeps doing so for two minutes, so that the client's first connection
	// fails. A member that has proven the path through this node ends the delay (PathThere).
	RulesDelay = 1200 * time.Millisecond
	// RulesBound limits the delay while a member gets no answer from the Service through this node (PathMissing): a
	// service proxy that writes its rules late, or a policy that drops the packets of the member.
	RulesBound = 15 * time.Second
	// pathAhead is the time before the turn of a backup at which the backup wants to know whether its rules are there.
	pathAhead = 700 * time.Millisecond
	// The pause between probes grows from firstRetry to lastRetry.
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
	// A silence is stale more than staleAfter after the last question: an owner whose process was stalled may answer by
	// now. After mostStale stale results in a row the next result counts.
	staleAfter = 100 * time.Millisecond
	mostStale  = 3
)

// probing is the part of an Address that probes.
type probing struct {
	// number counts probes. asking is true while a probe runs.
	number uint64
	asking bool
	// next is the time of the next probe, zero for never. asked is the start of the last probe.
	next, asked time.Time
	// rules is true while the first probe waits for the rules of the service proxy. longer is true once the wait was
	// made longer, because the rules are known to be missing.
	rules, longer bool
	// claimed is the time of the last announcement of another host.
	claimed time.Time
	// to is the only station to ask, zero for all stations. mute is a station that stayed silent when asked alone:
	// other answers in the name of mute come from a switch that answers from memory.
	to, mute layer2.MAC
	// retries counts probes without a usable result. stale counts the silences in a row that came too late.
	retries, stale int
	// warned is true once the caller knows that the address cannot be probed.
	warned bool
}

// reset stops probing and resets the counters. The result of a running probe will not count.
func (p *probing) reset(next time.Time) {
	*p = probing{number: p.number + 1, next: next}
}

// awaitRules resets, and plans the next probe for the time of the rules of the service proxy, or for now.
func (p *probing) awaitRules(now, rules time.Time) {
	p.reset(latest(now, rules))
	p.rules = rules.After(now)
}

// awaitLonger makes the wait for the rules longer.
func (p *probing) awaitLonger(until time.Time) { p.rules, p.longer, p.next = true, true, until }

// awaitTurn plans the first probe of a backup. fresh means that the address is so new that the rules may be missing.
func (p *probing) awaitTurn(at time.Time, fresh bool) { p.next, p.rules, p.longer = at, fresh, false }

// due reports whether the next probe is due.
func (p *probing) due(now time.Time) bool { return !p.asking && !p.next.IsZero() && !p.next.After(now) }

// at returns the time of the next probe, zero while a probe runs.
func (p *probing) at() time.Time {
	if p.asking {
		return time.Time{}
	}
	return p.next
}

// begin starts a probe.
func (p *probing) begin(now time.Time, backup, linger bool) Action {
	p.number++
	p.asking, p.asked, p.rules = true, now, false
	return Action{Kind: Ask,
		Probe: Probe{Number: p.number, To: p.to, Linger: linger || p.mute != layer2.MAC{}, Backup: backup}}
}

// end records that the running probe has ended with f. A result in time ends a row of stale results.
func (p *probing) end(now time.Time, f layer2.Finding) {
	p.asking = false
	if f.Outcome != layer2.Unasked && now.Sub(f.Last) <= staleAfter {
		p.stale = 0
	}
}

// refuse records that the probe did not begin. The next try is at next.
func (p *probing) refuse(next time.Time) { p.asking, p.next = false, next }

// plan sets the time of the next probe.
func (p *probing) plan(at time.Time) { p.next = at }

// advance moves the next probe forward to at if the plan is later.
func (p *probing) advance(at time.Time) {
	if at.Before(p.next) {
		p.next = at
	}
}

// retry plans the next probe after a growing pause.
func (p *probing) retry(now time.Time) {
	p.next = now.Add(min(firstRetry<<min(p.retries, 8), lastRetry))
	p.retries++
}

// hear records an announcement of another host. The announcement outweighs the silence of an earlier probe.
func (p *probing) hear(now time.Time) { p.claimed = now }

// overtaken reports whether another host has announced the address since the last probe began.
func (p *probing) overtaken() bool { return p.claimed.After(p.asked) }

// outdated reports whether a silence is too old to act on.
func (p *probing) outdated(now time.Time, f layer2.Finding) bool {
	return now.Sub(f.Last) > staleAfter && p.stale < mostStale
}

// countStale counts a silence that was too old.
func (p *probing) countStale() { p.stale++ }

// askOnly makes the next probe ask one station; askAll makes the next probe ask every station.
func (p *probing) askOnly(mac layer2.MAC) { p.to, p.mute = mac, layer2.MAC{} }
func (p *probing) askAll()                { p.to, p.mute = layer2.MAC{}, layer2.MAC{} }

// muted makes the next probe ask every station, after the station that was asked alone stayed silent.
func (p *probing) muted() { p.mute, p.to = p.to, layer2.MAC{} }

// warn reports whether to log that the address cannot be probed: true on the first call only.
func (p *probing) warn() bool {
	was := p.warned
	p.warned = true
	return !was
}
