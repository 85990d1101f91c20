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
	// Gone is true when the node is not a member of the gossip any more. Member is what it said last.
	Gone bool
	// Suspected is true for a member that is suspected.
	Suspected bool
	// LastSign is when something was heard last from a node that is suspected or gone.
	LastSign time.Time
}

// record is what a table keeps of one node that is or was a member of the gossip.
type record struct {
	// member is what gossip said last. present is true while the node is a member.
	member  membership.Member
	present bool
	// gone is set when the member goes, and until it is back and ready: a process that has just started is not the peer yet.
	gone *departure
	// suspicion is only of a member that is present.
	suspicion suspicion
	// seenReady is when this node saw the member become ready, zero while it is not ready.
	seenReady time.Time
	// exchange is only with a member that is present.
	exchange exchange
}

// departure is how a member went.
type departure struct {
	// state is what the member said of itself before.
	state membership.State
	// lastSign is when something was heard from it last.
	lastSign time.Time
}

// transition says what an update did to a record.
type transition struct {
	changed bool
	// loss is true when the member stopped being ready, restarted or went.
	loss bool
	// lost is true when a ready member went, returned when one that was gone is ready again.
	lost, returned bool
	// recovered is since when a member was lost that returned without having left or restarted; zero for any other.
	recovered time.Time
}

// ready reports whether the node is a member that says it is ready.
func (r *record) ready() bool { return r.present && r.member.State == membership.Ready }

// update takes over what gossip says of the member now.
func (r *record) update(m membership.Member, now time.Time) (t transition) {
	was, restarted := r.ready(), r.restarted(m)
	t.changed = !r.present || !sameMember(r.member, m)
	r.member, r.present = m, true
	if t.loss = was && (restarted || !r.ready()); t.loss {
		r.seenReady, r.exchange = time.Time{}, exchange{} // it may be another process from now on
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
			t.recovered = r.gone.lastSign.Add(-SuspicionTTL) // gossip may have been late to lose it
		}
		r.gone = nil
	}
	return t
}

// restarted reports whether m became ready at another time than the record says. Gossip can be slower than a process that restarts, and
// then shows only the two states in which the member is ready.
func (r *record) restarted(m membership.Member) bool {
	return !r.member.Since.IsZero() && !m.Since.IsZero() && !m.Since.Equal(r.member.Since)
}

// leave notes that the member is missing in gossip.
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

// forgetDeparture forgets how a member went that is back but not ready yet.
func (r *record) forgetDeparture() { r.gone = nil }

// suspect takes over a suspicion, and reports whether the member was not suspected before.
func (r *record) suspect(x Suspicion, now time.Time) (first bool) {
	r.suspicion, first = r.suspicion.with(x, now)
	return first
}

// alive takes over a sign of life. It returns since when nothing was heard, zero when the node was neither suspected nor gone.
func (r *record) alive() (since time.Time) {
	since = r.suspicion.since
	if r.gone != nil {
		since = r.gone.lastSign
	}
	r.suspicion = suspicion{}
	return since
}

// endSuspicion ends a suspicion, and reports whether there was one.
func (r *record) endSuspicion() bool {
	was := r.suspicion.active()
	r.suspicion = r.suspicion.ended()
	return was
}

// expire ends a suspicion that was not repeated in time, and reports whether there was one.
func (r *record) expire(now time.Time) bool {
	return r.suspicion.active() && !r.suspicion.until.After(now) && r.endSuspicion()
}

// receive takes over the versions that the member has sent, unless they are old.
func (r *record) receive(v cluster.Versions) (taken bool) {
	r.exchange, taken = r.exchange.receive(v)
	return taken
}

// send notes that the member is sent own, and reports whether it should be.
func (r *record) send(own cluster.Versions, now time.Time) (due bool) {
	r.exchange, due = r.exchange.send(own, now)
	return due
}

// forgetReceived forgets the versions that the member has sent.
func (r *record) forgetReceived() { r.exchange = r.exchange.forget() }

// newer reports whether the member is ready and has seen a change of the cluster that own lacks.
func (r *record) newer(own cluster.Versions) bool { return r.ready() && own.Less(r.exchange.received) }

// standing classifies the node.
func (r *record) standing() Standing {
	if r.present {
		return Member
	}
	return Unreached
}

// lost reports whether the node is suspected, or went without having announced it, and when something was heard from it last.
func (r *record) lost() (lastSign time.Time, lost bool) {
	switch {
	case r.suspicion.active():
		return r.suspicion.since, true
	case r.gone != nil && r.gone.state != membership.Leaving:
		return r.gone.lastSign, true
	}
	return time.Time{}, false
}

// peer returns the record as other packages read it.
func (r *record) peer(own cluster.Versions) Peer {
	lastSign, lost := r.lost()
	return Peer{
		Name: r.member.Name, Standing: r.standing(), State: r.member.State, Ready: r.member.Since, SeenReady: r.seenReady,
		Suspected: r.suspicion.active(), SuspectedByOthers: r.suspicion.byOthers, Lost: lost, LastSign: lastSign, Newer: r.newer(own),
	}
}

// entry returns the record as the status shows it.
func (r *record) entry() Entry {
	lastSign, _ := r.lost()
	if r.gone != nil && lastSign.IsZero() {
		lastSign = r.gone.lastSign
	}
	return Entry{Member: r.member, Gone: !r.present, Suspected: r.suspicion.active(), LastSign: lastSign}
}

// sameMember reports whether gossip says the same in a and b.
func sameMember(a, b membership.Member) bool {
	return a.Name == b.Name && a.Addr == b.Addr && a.State == b.State && a.Configured == b.Configured && a.Since.Equal(b.Since) &&
		slices.EqualFunc(a.Links, b.Links, membership.Link.Equal) && slices.Equal(a.MACs, b.MACs)
}
