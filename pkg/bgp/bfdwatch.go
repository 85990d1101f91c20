package bgp

import (
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
)

// bfdGrace is the time from the start of a BGP session to the warning that the BFD session is not up.
const bfdGrace = 10 * time.Second

// bfdWatch is the BFD session of a worker. The BFD session begins with the first BGP session, whose addresses it has,
// and stays while the BGP session is down.
type bfdWatch struct {
	// target is nil for none. Its address is never changed after it was published.
	target *bfd.Target
	up     bool
	// warnAt is the time of the warning; zero for none.
	warnAt time.Time
}

// established begins the BFD session of an established BGP session, if the peer has a profile.
func (b *bfdWatch) established(p Peer, c Connection) {
	if p.BFD == nil {
		return
	}
	t := bfd.Target{Local: c.Local.Addr(), Remote: c.Remote.Addr(), Multihop: multihop(p, c.OnLink), Profile: *p.BFD}
	if t.Remote.IsLinkLocalUnicast() {
		t.Interface = t.Remote.Zone()
	}
	if b.target == nil || b.target.Key() != t.Key() {
		b.up = false
	}
	b.target = &t
	if !b.up {
		b.warnAt = time.Now().Add(bfdGrace)
	}
}

// multihop reports whether the BFD session is one of RFC 5883. A router inside the same AS may be some hops away
// without any configuration of it.
func multihop(p Peer, onLink bool) bool {
	if p.LocalASN == p.RemoteASN {
		return !onLink
	}
	return p.Multihop
}

// lost is called when the BGP session is lost.
func (b *bfdWatch) lost() { b.warnAt = time.Time{} }

// setProfile takes the profile of a changed peer: the BFD session goes on with new timers, or ends without a profile.
func (b *bfdWatch) setProfile(w *worker) {
	switch {
	case w.peer.BFD == nil:
		*b = bfdWatch{}
	case b.target != nil:
		t := *b.target
		t.Profile = *w.peer.BFD
		b.target = &t
	case w.link != nil && w.machine.View().State == Established:
		b.established(w.peer, w.link.Connection)
	}
}

// forget ends the BFD session.
func (b *bfdWatch) forget() { *b = bfdWatch{} }

// heard takes a new state of the BFD session.
func (b *bfdWatch) heard(s bfd.Status) {
	if b.target == nil || b.target.Key() != s.Key {
		return
	}
	if b.up = s.State == bfd.Up; b.up {
		b.warnAt = time.Time{}
	}
}

// check warns once when the BFD session did not come up in time.
func (b *bfdWatch) check(w *worker) {
	if b.warnAt.IsZero() || time.Now().Before(b.warnAt) {
		return
	}
	b.warnAt = time.Time{}
	if b.up = w.shared.bfdUp(b.target.Key()); b.up {
		return
	}
	w.shared.log.Warn("BFD session does not come up: check that the router runs BFD for this node, and that UDP "+
		"port 3784 (4784 for multihop) is open", "peer", w.peer.Name, "router", b.target.Remote, "after", bfdGrace)
}

// routerOf returns the address of the router: the remote address of the connection, or the configured address.
func routerOf(s Status, p Peer) netip.Addr {
	if s.Remote.IsValid() {
		return s.Remote.Addr()
	}
	return p.Address
}
