package peers

import (
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Entry is a node in the table, for the status.
type Entry struct {
	membership.Member
	// Gone is true for a former member. Member then holds its last state.
	Gone bool
	// Suspected is true for a member that is suspected.
	Suspected bool
	// LastSign is the time of the last sign of a node that is suspected or gone.
	LastSign time.Time
}

// record is the state of a present or former member of the gossip.
type record struct {
	// member holds the last state in gossip. present is true while the node is a member.
	member  membership.Member
	present bool
	// gone is set from the departure of the member until the node is a ready member again. A new process is not ready
	// at first, and has none of the addresses of the old process.
	gone *departure
	// suspicion is zero while present is false.
	suspicion suspicion
	// seenReady is the time at which the member became ready in the view of this node, and zero while the member is not
	// ready.
	seenReady time.Time
	// exchange is zero while present is false.
	exchange exchange
}

// departure describes the departure of a member.
type departure struct {
	// state is the last state of the member.
	state membership.State
	// lastSign is the time of the last sign of the member.
	lastSign time.Time
}

// transition describes the effects of an update on a record.
type transition struct {
	changed bool
	// loss is true when the member stopped being ready, restarted or departed.
	loss bool
	// lost is true when a ready member departed, and returned when a former member is ready again.
	lost, returned bool
	// recovered is the time of the loss of a returned node, zero if the node was not ready before its departure.
	recovered time.Time
}

// ready reports whether the node is a ready member.
func (r *record) ready() bool { return r.present && r.member.State == membership.Ready }

// update stores the state of the member in gossip.
func (r *record) update(m membership.Member, now time.Time) (t transition) {
	was, restarted := r.ready(), r.restarted(m)
	t.changed = !r.present || !sameMember(r.member, m)
	r.member, r.present = m, true
	if t.loss = was && (restarted || !r.ready()); t.loss {
		r.seenReady, r.exchange = time.Time{}, exchange{} // another process may follow
	}
	if !r.ready() {
		return t
	}
	if r.seenReady.IsZero() {
		r.seenReady = now
	}
	if r.gone != nil {
		t.changed, t.returned = true, true
		if r.gone.state == membership.Ready {
			t.recovered = r.gone.lastSign.Add(-SuspicionTTL) // gossip may have noticed the loss late
		}
		r.gone = nil
	}
	return t
}

// restarted reports whether m became ready at another time than before. A process can restart faster than gossip
// spreads its states. Then this node sees the member ready before and after, and nothing between.
func (r *record) restarted(m membership.Member) bool {
	return !r.member.Since.IsZero() && !m.Since.IsZero() && !m.Since.Equal(r.member.Since)
}

// leave stores that the node is not a member.
func (r *record) leave(now time.Time) (t transition) {
	if !r.present {
		return t
	}
	lastSign := now
	if !r.suspicion.since.IsZero() {
		lastSign = r.suspicion.since
	}
	t = transition{changed: true, loss: true, lost: r.ready()}
	r.gone = &departure{r.member.State, lastSign}
	r.present, r.suspicion, r.seenReady, r.exchange = false, suspicion{}, time.Time{}, exchange{}
	return t
}

// forgetDeparture forgets the departure of a member that is back but not ready yet.
func (r *record) forgetDeparture() { r.gone = nil }

// suspect stores a suspicion, and reports whether the member was not suspected before.
func (r *record) suspect(x Suspicion, now time.Time) (first bool) {
	r.suspicion, first = r.suspicion.with(x, now)
	return first
}

// alive stores a sign of life. alive returns the time of the sign before, zero if the node was neither suspected nor
// gone.
func (r *record) alive() (since time.Time) {
	since = r.suspicion.since
	if r.gone != nil {
		since = r.gone.lastSign
	}
	r.suspicion = suspicion{}
	return since
}

// endSuspicion ends a suspicion, and reports whether the node was suspected.
func (r *record) endSuspicion() bool {
	was := r.suspicion.active()
	r.suspicion = r.suspicion.ended()
	return was
}

// expire ends an expired suspicion, and reports whether the node was suspected.
func (r *record) expire(now time.Time) bool {
	return r.suspicion.active() && !r.suspicion.until.After(now) && r.endSuspicion()
}

// receive stores versions from the member, and reports whether they count.
func (r *record) receive(v cluster.Versions) (taken bool) {
	r.exchange, taken = r.exchange.receive(v)
	return taken
}

// send reports whether to send own to the member now, and stores the time.
func (r *record) send(own cluster.Versions, now time.Time) (due bool) {
	r.exchange, due = r.exchange.send(own, now)
	return due
}

// forgetReceived forgets the versions from the member.
func (r *record) forgetReceived() { r.exchange = r.exchange.forget() }

// newer reports whether the member is ready and its versions are newer than own.
func (r *record) newer(own cluster.Versions) bool { return r.ready() && own.Less(r.exchange.received) }

// standing classifies the node.
func (r *record) standing() Standing {
	if r.present {
		return Member
	}
	return Unreached
}

// lost reports whether the node is suspected, or departed without an announcement. lost also returns the time of the
// last sign.
func (r *record) lost() (lastSign time.Time, lost bool) {
	switch {
	case r.suspicion.active():
		return r.suspicion.since, true
	case r.gone != nil && r.gone.state != membership.Leaving:
		return r.gone.lastSign, true
	}
	return time.Time{}, false
}

// peer returns the record as a Peer.
func (r *record) peer(own cluster.Versions) Peer {
	lastSign, lost := r.lost()
	return Peer{
		Name: r.member.Name, Standing: r.standing(), State: r.member.State,
		Suspected: r.suspicion.active(), SuspectedByOthers: r.suspicion.byOthers,
		Lost: lost, LastSign: lastSign, Newer: r.newer(own), Unconfigured: r.present && !r.member.Configured, Ready: r.member.Since, SeenReady: r.seenReady,
	}
}

// entry returns the record as an Entry.
func (r *record) entry() Entry {
	lastSign, _ := r.lost()
	if r.gone != nil && lastSign.IsZero() {
		lastSign = r.gone.lastSign
	}
	return Entry{Member: r.member, Gone: !r.present, Suspected: r.suspicion.active(), LastSign: lastSign}
}

// sameMember reports whether a and b are equal.
func sameMember(a, b membership.Member) bool {
	return a.Name == b.Name && a.Addr == b.Addr && a.State == b.State && a.Since.Equal(b.Since) &&
		a.Configured == b.Configured && slices.Equal(a.MACs, b.MACs) &&
		slices.EqualFunc(a.Links, b.Links, membership.Link.Equal)
}
