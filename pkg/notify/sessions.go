package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Reasons of Events about BGP.
const (
	// SessionUpReason and SessionDownReason concern a BGP session of the Node.
	SessionUpReason   = "BGPSessionUp"
	SessionDownReason = "BGPSessionDown"
	// PeerWithoutNodeReason concerns a peer of the configuration that fits no node.
	PeerWithoutNodeReason = "PeerWithoutNode"
)

// sessionDelay is the minimum duration of a state before Sessions reports the state.
const sessionDelay = 10 * time.Second

// Session is a BGP session at one moment.
type Session struct {
	// Name is the name of the peer.
	Name string
	Up   bool
	// Reason and Message give the reason why the session is down, as one word and as a sentence.
	Reason, Message string
}

// Sessions returns Events about the BGP sessions of a node, and about peers that fit no node. Sessions returns one
// Event for each lasting change. A session that is established at the first Review gets no Event. Therefore an update
// of the speaker creates no Events, because the speaker passes the sessions on.
type Sessions struct {
	self     string
	sessions map[string]sessionState
	unfit    peerSet
}

// sessionState is the state of one session.
type sessionState struct {
	up    bool
	since time.Time
	// told is the state in the last Event.
	told bool
	// silent means that no Event has been returned yet. Sessions reports a session that was never established as down.
	silent bool
}

func (s sessionState) changed() bool { return s.up != s.told || s.silent }

// peerSet holds a set of names and the time of its last change.
type peerSet struct {
	names, told []string
	since       time.Time
}

// NewSessions returns Sessions for the node self.
func NewSessions(self string) *Sessions {
	return &Sessions{self: self, sessions: map[string]sessionState{}}
}

// Review compares the sessions of the node with the sessions of the previous Review, and returns the due Events about
// the Node. Review forgets a session that has left the list.
func (s *Sessions) Review(now time.Time, snap cluster.Snapshot, sessions []Session) (events []cluster.Event) {
	next := make(map[string]sessionState, len(sessions))
	for _, x := range sessions {
		state, known := s.sessions[x.Name]
		switch {
		case !known:
			state = sessionState{up: x.Up, told: x.Up, since: now, silent: !x.Up}
		case state.up != x.Up:
			state.up, state.since = x.Up, now
		}
		if state.changed() && now.Sub(state.since) >= sessionDelay {
			state.told, state.silent = state.up, false
			events = append(events, s.sessionEvent(snap, x))
		}
		next[x.Name] = state
	}
	s.sessions = next
	return events
}

func (s *Sessions) sessionEvent(snap cluster.Snapshot, x Session) cluster.Event {
	e := cluster.Event{Object: nodeRef(snap, s.self)}
	if x.Up {
		e.Reason, e.Message = SessionUpReason, fmt.Sprintf("the BGP session with %s is established", x.Name)
		return e
	}
	e.Warning, e.Reason = true, SessionDownReason
	e.Message = fmt.Sprintf("the BGP session with %s is down", x.Name)
	for _, text := range []string{x.Reason, x.Message} {
		if text != "" {
			e.Message += ": " + text
		}
	}
	return e
}

// PeersWithoutNode receives the names of the peers that fit no node, in any order, and returns an Event about the
// ConfigMap after a lasting change of this set. Only one node of the cluster should call PeersWithoutNode.
func (s *Sessions) PeersWithoutNode(now time.Time, configMap cluster.ObjectRef, names []string) []cluster.Event {
	names = slices.Sorted(slices.Values(names))
	if !slices.Equal(names, s.unfit.names) {
		s.unfit.names, s.unfit.since = names, now
	}
	if slices.Equal(s.unfit.names, s.unfit.told) || now.Sub(s.unfit.since) < sessionDelay {
		return nil
	}
	s.unfit.told = names
	if len(names) == 0 {
		return nil
	}
	quoted := make([]string, 0, namedAddrs)
	for _, name := range names[:min(len(names), namedAddrs)] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	text := strings.Join(quoted, ", ")
	if rest := len(names) - namedAddrs; rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return []cluster.Event{{
		Object: configMap, Warning: true, Reason: PeerWithoutNodeReason,
		Message: "the node-selectors of these peers fit no node: " + text,
	}}
}

// Next returns the time of the next Event if nothing changes until then, zero for never.
func (s *Sessions) Next() (next time.Time) {
	consider := func(since time.Time) {
		if at := since.Add(sessionDelay); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, state := range s.sessions {
		if state.changed() {
			consider(state.since)
		}
	}
	if !slices.Equal(s.unfit.names, s.unfit.told) {
		consider(s.unfit.since)
	}
	return next
}
