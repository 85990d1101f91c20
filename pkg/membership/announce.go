package membership

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// announceRetry is the delay before an update that memberlist has dropped is made again. It is shorter than
	// gossipInterval, so that gossip does not carry the old metadata far.
	announceRetry = 10 * time.Millisecond
	// announceCheck is the interval at which the metadata in memberlist is compared with the announcement. They should
	// never differ.
	announceCheck = 10 * time.Second
)

// announcement is the report of this member as the others see it. It is immutable.
type announcement struct {
	report Report
	meta   []byte
	// out is the part of the report that the others do not see.
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

// SetState replaces the report of this member, which begins as Joining without links. The others receive it while Run
// runs; they first hear of the newest report that was set before Run. Members shows this member with the part of the
// report that the others see, see Fit: links that cannot be announced (as for a MAC address that is all zero or a group
// address) and parts that exceed 512 bytes are left out, and the log says so when that changes. SetState returns an
// error when the state is Unknown. Only one goroutine at a time may call it.
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

// self returns this member as it announces itself.
func (m *Membership) self(addr netip.AddrPort) Member {
	return m.own.Load().report.member(m.options.Name, addr)
}

// announce passes the newest announcement to memberlist, unless memberlist has it. It returns that announcement, which
// the next call gets as tried, and the time to wait before the next call. Only one goroutine may call it.
//
// memberlist silently drops an update when it refutes a claim of the others about this member at the same time, as it
// does after a restart: the update gets its incarnation number before the lock, the refutation gets a greater number,
// and the refutation carries the old metadata.
func (m *Membership) announce(list *memberlist.Memberlist, tried *announcement) (*announcement, time.Duration) {
	own := m.own.Load()
	// Only UpdateNode changes this node's metadata, and only this function calls it, so it needs no lock to read the
	// metadata.
	done := func() bool { return bytes.Equal(list.LocalNode().Meta, own.meta) }
	if own == tried && done() {
		return own, announceCheck
	}
	// UpdateNode queues the update before it waits, and nobody here needs to know when it was sent: a timeout is no
	// error.
	_ = list.UpdateNode(updateWait)
	if !done() {
		return own, announceRetry
	}
	select {
	case m.announced <- struct{}{}:
	default: // keepJoining has not seen the update before this one yet
	}
	return own, announceCheck
}
