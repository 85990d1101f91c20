package notify

import (
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// talk holds the Sessions of node a, and returns the Events as text.
type talk struct {
	*Sessions
	snap cluster.Snapshot
}

func newTalk() *talk {
	return &talk{NewSessions("a"), cluster.Snapshot{Nodes: []cluster.Node{{Name: "a", UID: "uid-of-a"}}}}
}

func (k *talk) at(after time.Duration, sessions ...Session) (lines []string) {
	for _, e := range k.Review(epoch.Add(after), k.snap, sessions) {
		lines = append(lines, describe(e))
		if e.Object.UID != "uid-of-a" {
			lines = append(lines, "without the UID of the Node")
		}
	}
	return lines
}

var (
	torUp   = Session{Name: "tor-a", Up: true}
	torDown = Session{Name: "tor-a", Reason: "Refused", Message: "the router refused the connection"}
)

const (
	upText   = "Node a Normal BGPSessionUp: the BGP session with tor-a is established"
	downText = "Node a Warning BGPSessionDown: the BGP session with tor-a is down: Refused: the router refused the " +
		"connection"
)

// TestSessionLost checks the report of a loss after ten seconds, once, and the report of the return.
func TestSessionLost(t *testing.T) {
	k := newTalk()
	want(t, k.at(0, torUp))
	want(t, k.at(time.Hour, torUp))
	if next := k.Next(); !next.IsZero() {
		t.Errorf("an Event is due at %v", next)
	}
	lost := 2 * time.Hour
	want(t, k.at(lost, torDown))
	if next := k.Next(); !next.Equal(epoch.Add(lost + sessionDelay)) {
		t.Errorf("the Event is due at %v", next)
	}
	want(t, k.at(lost+sessionDelay-1, torDown))
	want(t, k.at(lost+sessionDelay, torDown), downText)
	want(t, k.at(lost+time.Hour, torDown))
	if next := k.Next(); !next.IsZero() {
		t.Errorf("another Event is due at %v", next)
	}
	want(t, k.at(lost+2*time.Hour, torUp))
	want(t, k.at(lost+2*time.Hour+sessionDelay, torUp), upText)
}

// TestSessionFlaps has a session that never stays in one state for ten seconds. Sessions must report neither these
// changes nor the return to the state in the last Event.
func TestSessionFlaps(t *testing.T) {
	k := newTalk()
	for at := time.Duration(0); at < time.Minute; at += 9 * time.Second {
		want(t, k.at(at, torUp))
		want(t, k.at(at+5*time.Second, torDown))
	}
	want(t, k.at(time.Minute, torUp))
	want(t, k.at(time.Hour, torUp))
}

// TestFirstSession has three sessions that are not established at the first Review: the first comes up at once, the
// second late, and the third never.
func TestFirstSession(t *testing.T) {
	for _, c := range []struct {
		name string
		up   time.Duration
		want []string
	}{
		{"at once", time.Second, []string{upText}},
		{"late", time.Minute, []string{downText, upText}},
		{"never", time.Hour, []string{downText}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk()
			var got []string
			for at := time.Duration(0); at < 2*time.Minute; at += time.Second {
				session := torDown
				if at >= c.up {
					session = torUp
				}
				got = append(got, k.at(at, session)...)
			}
			want(t, got, c.want...)
		})
	}
}

// TestSessionRemoved removes a peer from the configuration and adds the peer again.
func TestSessionRemoved(t *testing.T) {
	k := newTalk()
	k.at(0, torUp, Session{Name: "tor-b", Up: true})
	want(t, k.at(time.Minute, torUp))
	want(t, k.at(2*time.Minute, torUp, Session{Name: "tor-b"}))
	want(t, k.at(2*time.Minute+sessionDelay, torUp, Session{Name: "tor-b"}),
		"Node a Warning BGPSessionDown: the BGP session with tor-b is down")
}

// TestPeersWithoutNode checks that each lasting set causes one Event.
func TestPeersWithoutNode(t *testing.T) {
	s := NewSessions("a")
	object := cluster.ObjectRef{Kind: "ConfigMap", Namespace: "lanlord-system", Name: "config"}
	const text = "ConfigMap config Warning PeerWithoutNode: the node-selectors of these peers fit no node: "
	for _, c := range []struct {
		at    time.Duration
		names []string
		want  []string
	}{
		{0, []string{"b"}, nil},
		{9 * time.Second, []string{"b"}, nil},
		{10 * time.Second, []string{"b"}, []string{text + `"b"`}},
		{time.Minute, []string{"b"}, nil},
		{2 * time.Minute, nil, nil},
		{2*time.Minute + time.Second, []string{"b"}, nil},
		{3 * time.Minute, []string{"b"}, nil}, // without b only for a moment
		{4 * time.Minute, []string{"c", "b"}, nil},
		{5 * time.Minute, []string{"b", "c"}, []string{text + `"b", "c"`}},
		{6 * time.Minute, []string{"1", "2", "3", "4", "5", "6", "7"}, nil},
		{7 * time.Minute, []string{"1", "2", "3", "4", "5", "6", "7"}, []string{text + `"1", "2", "3", "4", "5" and 2 more`}},
		{8 * time.Minute, nil, nil},
		{9 * time.Minute, nil, nil},
		{10 * time.Minute, []string{"b"}, nil},
	} {
		var got []string
		for _, e := range s.PeersWithoutNode(epoch.Add(c.at), object, c.names) {
			got = append(got, describe(e))
		}
		want(t, got, c.want...)
	}
	if next := s.Next(); !next.Equal(epoch.Add(10*time.Minute + sessionDelay)) {
		t.Errorf("the next Event is due at %v", next)
	}
}
