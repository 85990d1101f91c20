package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// ErrNotSavable is the error of Save for a session that is not established or has bytes to be written.
var ErrNotSavable = errors.New("the session is not established, or a write is unfinished")

// saved is an established session between two processes.
type saved struct {
	Version int
	// Config are the parameters that both processes must have in common.
	LocalASN uint32
	RouterID netip.Addr

	Local    Connected
	Plain    bool
	Open     wire.Open
	Since    time.Time
	Unread   []byte
	EndOfRIB [wire.FamilyCount]bool
	Routes   []savedRoutes
}

// savedRoutes are the routes of a family that the router was told with the same attributes.
type savedRoutes struct {
	Family     wire.Family
	Attributes []byte
	// Prefixes are encoded as in NLRI.
	Prefixes []byte
}

const savedVersion = 1

// Save returns the state of an established session for Restore. It fails with ErrNotSavable in every other state, and
// while a Send is unanswered: the caller tries again after the next Written.
func (s *Session) Save() ([]byte, error) {
	if s.status.state != Established || s.conn.outbox.inFlight {
		return nil, fmt.Errorf("save the session in the state %v: %w", s.status.state, ErrNotSavable)
	}
	state := saved{
		Version: savedVersion, LocalASN: s.config.LocalASN, RouterID: s.config.RouterID,
		Local: s.conn.local, Plain: s.conn.plain, Open: s.conn.open, Since: s.status.since,
		Unread: s.conn.framer.Unread(), EndOfRIB: s.conn.outbox.endOfRIB, Routes: s.table.save(),
	}
	b, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("save the session: %w", err)
	}
	return b, nil
}

// save returns the routes that the router was told.
func (t *table) save() []savedRoutes {
	index := map[*attributes]int{}
	var list []savedRoutes
	for _, x := range t.entries {
		if x.sent == nil {
			continue
		}
		i, ok := index[x.sent]
		if !ok {
			i = len(list)
			index[x.sent] = i
			list = append(list, savedRoutes{Family: x.sent.family, Attributes: x.sent.bytes})
		}
		list[i].Prefixes = wire.AppendPrefix(list[i].Prefixes, x.prefix)
	}
	return list
}

// Restore continues an established session of the previous process from what its Save returned, on the same connection.
// Next is due at once, for a KEEPALIVE. Restore fails when the state is not valid, or when the configuration asks for
// another session: the caller then has to close the connection and to call New.
func Restore(c Config, state []byte, now time.Time, random func() float64) (*Session, error) {
	var from saved
	if err := json.Unmarshal(state, &from); err != nil {
		return nil, fmt.Errorf("restore a session: %w", err)
	}
	if from.Version != savedVersion {
		return nil, fmt.Errorf("restore a session: unknown version %d", from.Version)
	}
	wrongASN := c.RemoteASN != 0 && from.Open.ASN != c.RemoteASN || c.RemoteASN == 0 && from.Open.ASN == c.LocalASN
	if from.LocalASN != c.LocalASN || from.RouterID != c.RouterID || wrongASN {
		return nil, errors.New("restore a session: its parameters have changed")
	}
	s := New(c, random)
	s.now = now
	s.resume(&from)
	if err := s.table.restore(from.Routes, &s.conn.encoding); err != nil {
		return nil, fmt.Errorf("restore a session: %w", err)
	}
	return s, nil
}

// resume sets the connection and the state of the previous process.
func (s *Session) resume(from *saved) {
	s.conn = connection{local: from.Local, plain: from.Plain}
	s.conn.framer.Write(from.Unread)
	s.met(from.Open.ASN, from.Open.RouterID)
	s.negotiate(from.Open)
	s.conn.outbox.endOfRIB = from.EndOfRIB
	s.settle()
	s.status = status{state: Established, since: from.Since}
	s.heard()
	s.conn.keepaliveAt = s.now
}

// restore sets the table to what the router was told.
func (t *table) restore(list []savedRoutes, e *wire.Encoding) error {
	t.known = map[string]*attributes{}
	for _, r := range list {
		if int(r.Family) >= wire.FamilyCount || !e.NextHop[r.Family].IsValid() {
			return fmt.Errorf("routes of the family %d, which the session does not carry", r.Family)
		}
		prefixes, ok := wire.Prefixes(r.Prefixes, r.Family)
		if !ok || len(r.Attributes) > wire.MaxAttributes {
			return errors.New("the routes are malformed")
		}
		a := &attributes{family: r.Family, bytes: r.Attributes, order: t.next}
		t.next++
		t.restored = append(t.restored, a)
		for _, p := range prefixes {
			t.entries = append(t.entries, entry{prefix: p, want: a, sent: a, kept: true})
		}
		t.announced[r.Family] += len(prefixes)
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return a.prefix.Compare(b.prefix) })
	for i := 1; i < len(t.entries); i++ {
		if t.entries[i].prefix == t.entries[i-1].prefix {
			return fmt.Errorf("the prefix %v is there twice", t.entries[i].prefix)
		}
	}
	return nil
}
