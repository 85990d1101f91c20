package membership

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// announceRetry is the delay before a retry of an update that memberlist has dropped. announceRetry is shorter than
	// gossipInterval, so that gossip does not carry the old metadata far.
	announceRetry = 10 * time.Millisecond
	// announceCheck is the interval between comparisons of the metadata in memberlist with the announcement. The two
	// should never differ.
	announceCheck = 10 * time.Second
)

// announcement is the report of this member in the form that the other members see. An announcement is immutable.
type announcement struct {
	report Report
	meta   []byte
	// out describes the part of the report that the other members do not see.
	out leftOut
}

func newAnnouncement(r Report) (*announcement, error) {
	if !r.State.announceable() {
		return nil, fmt.Errorf("%s cannot be announced", r.State)
	}
	fitted, out := fit(r)
	meta := encodeMeta(fitted)
	seen, err := parseMeta(meta)
	return &announcement{report: seen, meta: meta, out: out}, err
}

// SetState replaces the report of this member. The first report is Joining, without links. The other members receive
// each report while Run runs. A report that was set before Run is the first report for the other members. Members shows
// this member with the part of the report that the other members see, see Fit. Fit leaves out invalid links, for
// example with a MAC address that is all zero or a group address, and parts that exceed 512 bytes. SetState logs a
// change of the omitted parts, and returns an error when the state is Unknown. Only one goroutine at a time may call
// SetState.
func (m *Membership) SetState(r Report) error {
	own, err := newAnnouncement(r)
	if err != nil {
		return fmt.Errorf("announce this node as %s: %w", r.State, err)
	}
	before := m.own.Load()
	if own.out.problems != before.out.problems && own.out.problems != "" {
		m.options.Log.Warn("links of this node cannot be announced to the other speakers", "err", own.out.problems)
	}
	if out := own.out.counts; out != before.out.counts && out != (leftOutCounts{}) {
		m.options.Log.Warn("gossip has no room for all links of this node; the other speakers see the most important",
			"links", out.links, "subnets", out.subnets, "macs", out.macs)
	}
	if own.out == before.out && bytes.Equal(own.meta, before.meta) {
		return nil
	}
	m.own.Store(own)
	m.publish(func(v *view) *view {
		i, _ := v.find(m.options.Name)
		return v.with(m.self(v.members[i].Addr), nil)
	})
	return nil
}

// self returns this member with the current announcement.
func (m *Membership) self(addr netip.AddrPort) Member {
	return m.own.Load().report.member(m.options.Name, addr)
}

// announce passes the newest announcement to memberlist, unless memberlist has the announcement already. announce
// returns the announcement, which the next call takes as tried, and the time to wait before the next call. Only one
// goroutine may call announce.
//
// memberlist silently drops an update that coincides with the refutation of a claim about this member, as happens after
// a restart: the update gets its incarnation number before the lock, the refutation gets a greater number, and the
// refutation carries the old metadata.
func (m *Membership) announce(list *memberlist.Memberlist, tried *announcement) (*announcement, time.Duration) {
	own := m.own.Load()
	// Only UpdateNode changes the metadata of this node, and only this function calls UpdateNode. So reading the
	// metadata needs no lock.
	done := func() bool { return bytes.Equal(list.LocalNode().Meta, own.meta) }
	if own == tried && done() {
		return own, announceCheck
	}
	// UpdateNode queues the update before it waits. Nothing here depends on the time of sending, so a timeout is no
	// error.
	_ = list.UpdateNode(updateWait)
	m.news.note("")
	if !done() {
		return own, announceRetry
	}
	select {
	case m.announced <- struct{}{}:
	default: // keepJoining has not seen the previous update yet
	}
	return own, announceCheck
}
