package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// The kinds of entries of a Timeline.
const (
	// HappenedToAddress is a change of the node that answers for an address.
	HappenedToAddress = "address"
	// HappenedToService is the last change of the condition of a Service.
	HappenedToService = "service"
	// HappenedToProcess is a change of a speaker, of the controller or of the configuration.
	HappenedToProcess = "lanlord"
	// HappenedToSession is the last change of a BGP session.
	HappenedToSession = "session"
)

// Happening is one entry of a Timeline.
type Happening struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	// Subject is an address, a Service as "namespace/name", or a node; empty for the configuration. Services are the
	// Services that the entry concerns.
	Subject  string   `json:"subject,omitempty"`
	Services []string `json:"services,omitempty"`
	// Node is the node that took an address, or the node of a speaker or a session.
	Node string `json:"node,omitempty"`
	// Reason is one word. Message is a sentence for people.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Trouble is true when the entry left something in a state that needs attention.
	Trouble bool `json:"trouble,omitempty"`
}

// handover is the longest time between the takeover of an address and the report of the previous owner that the owner
// has released the address.
const handover = 30 * time.Second

// Timeline returns the known changes, the newest first: the changes of ownership that the speakers remember, and the
// last change of each Service, speaker and BGP session. Without an answer of a process, its changes are missing.
func Timeline(c *Cluster) []Happening {
	t := timeline{holders: holdersOf(c), gains: map[netip.Addr][]time.Time{}}
	for _, s := range c.speakers() {
		t.gained(s)
	}
	for _, s := range c.speakers() {
		t.released(s)
		t.speaker(s)
		t.sessions(s)
	}
	t.services(c)
	t.controller(c)
	slices.SortFunc(t.list, func(x, y Happening) int {
		return cmp.Or(y.At.Compare(x.At), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Node, y.Node))
	})
	return t.list
}

type timeline struct {
	holders map[netip.Addr][]cluster.Key
	gains   map[netip.Addr][]time.Time
	list    []Happening
}

func (t *timeline) add(h Happening) {
	if !h.At.IsZero() {
		t.list = append(t.list, h)
	}
}

// address returns an entry for a change of ownership on the node of a speaker.
func (t *timeline) address(s *Speaker, x *status.Change) (h Happening, a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(x.Address)
	if err != nil {
		return h, a, false // a later version may list more than addresses
	}
	h = Happening{At: x.At, Kind: HappenedToAddress, Subject: x.Address, Node: s.Node, Reason: x.Reason}
	for _, key := range t.holders[a] {
		h.Services = append(h.Services, key.String())
	}
	return h, a, true
}

// gained adds the addresses that the node of a speaker took.
func (t *timeline) gained(s *Speaker) {
	for i := range s.Says.Changes {
		x := &s.Says.Changes[i]
		h, a, ok := t.address(s, x)
		if !ok || x.Change != "gained" {
			continue
		}
		h.Message = s.Node + " answers"
		if x.Peer != "" && x.Peer != s.Node {
			h.Message += ", and no longer " + x.Peer
		}
		h.Message += ", " + causeText(x.Reason, "")
		if x.After > 0 {
			h.Message += fmt.Sprintf(" (%d ms after the last sign of %s)", x.After, or(x.Peer, "the previous node"))
		}
		t.gains[a] = append(t.gains[a], x.At)
		t.add(h)
	}
}

// released adds the addresses that the node of a speaker released, and that no other node took soon.
func (t *timeline) released(s *Speaker) {
	for i := range s.Says.Changes {
		x := &s.Says.Changes[i]
		h, a, ok := t.address(s, x)
		if !ok || x.Change == "gained" {
			continue
		}
		taken := slices.ContainsFunc(t.gains[a], func(at time.Time) bool { return at.Sub(x.At).Abs() <= handover })
		if taken {
			continue
		}
		h.Message = s.Node + " no longer answers"
		if x.Peer != "" {
			h.Message += ", for " + x.Peer
		}
		h.Message += ": " + x.Reason
		// An address of no Service is gone for good; an address of a Service needs another node.
		h.Trouble = x.Peer == "" && len(h.Services) > 0
		t.add(h)
	}
}

func (t *timeline) speaker(s *Speaker) {
	h := Happening{
		At: s.Says.Since, Kind: HappenedToProcess, Subject: s.Node, Node: s.Node, Reason: "Speaker",
		Message: "the speaker of " + s.Node + " is " + s.Says.State, Trouble: !s.Says.Ready,
	}
	if s.Says.NotReady != "" {
		h.Message += ": " + s.Says.NotReady
	}
	t.add(h)
}

func (t *timeline) sessions(s *Speaker) {
	for i := range s.Says.Peers {
		p := &s.Says.Peers[i]
		h := Happening{At: p.Since, Kind: HappenedToSession, Subject: p.Name, Node: s.Node, Reason: p.State, Trouble: !p.Up}
		h.Message = fmt.Sprintf("%s has a BGP session with %s", s.Node, or(p.Router, p.Name))
		if !p.Up {
			h.Reason = or(p.Reason, p.State)
			h.Message = fmt.Sprintf("%s has no BGP session with %s", s.Node, or(p.Router, p.Name)) + colon(p.Message)
		}
		t.add(h)
	}
}

func (t *timeline) services(c *Cluster) {
	for i := range c.Services {
		s := &c.Services[i]
		for _, condition := range []*cluster.Condition{s.Condition, s.Conflict} {
			if condition == nil || condition == s.Conflict && !condition.True {
				continue
			}
			t.add(Happening{
				At: condition.Since, Kind: HappenedToService, Subject: s.Key.String(), Services: []string{s.Key.String()},
				Reason: condition.Reason, Message: condition.Message, Trouble: condition == s.Conflict || !condition.True,
			})
		}
	}
}

func (t *timeline) controller(c *Cluster) {
	leader := c.leader()
	if leader == nil {
		return
	}
	t.add(Happening{
		At: leader.Says.Since, Kind: HappenedToProcess, Subject: leader.Name, Node: leader.Node, Reason: "Controller",
		Message: "the controller " + leader.Name + " holds the Lease, and decides",
	})
	conf := &leader.Says.Configuration
	t.add(Happening{
		At: conf.Loaded, Kind: HappenedToProcess, Reason: "Configuration", Trouble: conf.Stale,
		Message: "the controller began to use the configuration " + conf.Hash,
	})
}

// About returns the entries of a Timeline that concern a Service.
func About(list []Happening, key cluster.Key) (some []Happening) {
	for _, h := range list {
		if slices.Contains(h.Services, key.String()) {
			some = append(some, h)
		}
	}
	return some
}

// SpeakerRows describes the speaker of each node, sorted by node.
func SpeakerRows(c *Cluster) []SpeakerRow { return c.speakerRows() }
