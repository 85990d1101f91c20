package membership

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// announceRetry is how soon an update that memberlist has dropped is made again: before gossip, which goes out every
	// gossipInterval, has carried the old metadata far.
	announceRetry = 10 * time.Millisecond
	// announceCheck is how often memberlist is held to what it was told. It should never be found to have forgotten.
	announceCheck = 10 * time.Second
)

// announcement is what this member says of itself. It is immutable.
type announcement struct {
	state State
	links []Link
	meta  []byte
	// out is what there was no room for.
	out leftOut
}

func newAnnouncement(state State, links []Link) (*announcement, error) {
	meta, out, err := encodeMeta(state, links)
	if err != nil {
		return nil, err
	}
	state, links, err = parseMeta(meta)
	return &announcement{state: state, links: links, meta: meta, out: out}, err
}

// SetState changes what this member says of itself; it begins as Joining, without links. The others hear of it when
// Run runs; what was set before is what they hear first. What exceeds the 512 bytes there are is left out, subnets before
// links and the last links first, and that is logged. It returns an error when state is Unknown, when two links have one
// name, or when a link cannot be: its name, its MAC address, one of its subnets or its beacon. It is for one goroutine at a
// time.
func (m *Membership) SetState(state State, links []Link) error {
	own, err := newAnnouncement(state, links)
	if err != nil {
		return fmt.Errorf("announce this node as %s: %w", state, err)
	}
	before := m.own.Load()
	if out := own.out; out != before.out && out != (leftOut{}) {
		m.options.Log.Warn("the other speakers are not told of all links of this one, for lack of room",
			"subnets", out.subnets, "links", out.links)
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
	own := m.own.Load()
	return Member{Name: m.options.Name, Addr: addr, State: own.state, Links: own.links}
}

// announce has memberlist tell the others what SetState was told, unless it does so already. It returns what that was, which
// the next call is given as tried, and after how long to look again. Only one goroutine may call it.
//
// memberlist drops an update, and says nothing, when it contradicts what the others say of this member at the same time, as
// it does after a restart: the update has its number before it has the lock, the contradiction gets a greater one, and
// carries the metadata of before, as all later ones do.
func (m *Membership) announce(list *memberlist.Memberlist, tried *announcement) (*announcement, time.Duration) {
	own := m.own.Load()
	// UpdateNode alone changes this node's metadata, and is called here alone, so this goroutine needs no lock to read it.
	done := func() bool { return bytes.Equal(list.LocalNode().Meta, own.meta) }
	if own == tried && done() {
		return own, announceCheck
	}
	// The news is queued before the wait, and nothing follows here from its having been sent, so an expired wait is no error.
	_ = list.UpdateNode(updateWait)
	if !done() {
		return own, announceRetry
	}
	select {
	case m.announced <- struct{}{}:
	default: // keepJoining has not yet seen the news before this one
	}
	return own, announceCheck
}
