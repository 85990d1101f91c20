package page

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// speakerView holds the content of a speaker's page.
type speakerView struct {
	common
	Owned   table[ownedRow]
	Watched table[watchedRow]
	Changes table[changeRow]
	// Interfaces lists the used interfaces, Unused the others.
	Interfaces, Unused []interfaceRow
	Members            []memberRow
	Conflicts          []conflictRow
	Unreached          []status.Unreached
	// Sessions and Routes are empty for a node without BGP.
	Sessions []sessionRow
	Routes   table[routeRow]
}

type ownedRow struct {
	status.Owned
	Mark  mark
	Since moment
	Why   string
}

type watchedRow struct {
	status.Watched
	Mark  mark
	Heard moment
	order int
}

type changeRow struct {
	status.Change
	When moment
	Mark mark
	Why  string
}

type interfaceRow struct {
	status.Interface
	Mark  mark
	State string
}

type memberRow struct {
	status.Member
	Mark  mark
	Heard moment
}

type conflictRow struct {
	status.Conflict
	Heard moment
}

// dark reports whether the word is a reason why no node answers for an address.
func dark(word string) bool {
	a, known := reason.ParseAnnouncement(word)
	return known && a != reason.Announced
}

// waits reports whether the word is the reason of an elected node that does not answer yet.
func waits(word string) bool {
	w, known := reason.ParseWatch(word)
	return known && w != reason.NotElected && w != reason.NotEligible
}

// reasonText explains the reason why a node does not answer; empty for the word of a later version.
func reasonText(word string) string {
	if a, known := reason.ParseAnnouncement(word); known {
		return a.Text()
	}
	if w, known := reason.ParseWatch(word); known {
		return w.Text()
	}
	return ""
}

// exclusionList lists the words of exclusions, each with the number of nodes.
func exclusionList(nodes map[string]int) string {
	var texts []string
	for _, word := range slices.Sorted(maps.Keys(nodes)) {
		texts = append(texts, fmt.Sprintf("%s %s", groupDigits(nodes[word]), word))
	}
	return strings.Join(texts, ", ")
}

func newSpeakerView(s *status.Speaker, q query) *speakerView {
	v := &speakerView{common: newCommon(s.Process, q, "speaker on "+s.Node)}
	state := fact{Name: "State", Value: s.State, Mark: good, When: v.ago(s.Since), Since: lasting, Detail: s.NotReady}
	if !s.Ready {
		state.Mark = bad
		v.Issues = append(v.Issues, issue{Mark: bad, Text: "This speaker is not ready: " + s.NotReady + "."})
	} else if s.State == status.SpeakerStandby {
		state.Mark = wait
	}
	v.Facts = append(v.Facts, state, fact{Name: "Addresses", Value: groupDigits(len(s.Owned)) + " here", Mark: good,
		Detail: groupDigits(len(s.Watched)) + " elsewhere or nowhere"})
	v.configured()
	v.addresses(s)
	v.members(s)
	v.unreached(s)
	v.sessions(s)
	v.routed(s)
	v.interfaces(s)
	rows := []changeRow{}
	for _, c := range s.Changes {
		row := changeRow{Change: c, When: v.ago(c.At), Mark: map[string]mark{"gained": {"good", "+"}}[c.Change], Why: c.Reason}
		if row.Mark == (mark{}) {
			row.Mark = mark{"idle", "−"}
		}
		if c.After > 0 {
			row.Why += fmt.Sprintf(", %.2f s after its last sign", float64(c.After)/1000)
		}
		if q.matches(c.Address, c.Change, c.Reason, c.Peer) {
			rows = append(rows, row)
		}
	}
	v.Changes = cut(q, "changes", rows, len(s.Changes))
	for _, c := range s.Conflicts {
		v.Conflicts = append(v.Conflicts, conflictRow{c, v.ago(c.LastHeard)})
	}
	if n := len(s.Conflicts); n > 0 {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: counted(n, "address is", "addresses are") + " answered for by a host that is no node; see Conflicts."})
	}
	return v
}

func (v *speakerView) addresses(s *status.Speaker) {
	owned, watched, nobody := []ownedRow{}, []watchedRow{}, map[string]int{}
	for _, o := range s.Owned {
		row := ownedRow{Owned: o, Mark: good, Since: v.ago(o.Since), Why: o.Reason}
		if o.From != "" {
			row.Why += ", from " + o.From
		}
		if o.Leaving || o.State == status.StateSuspended {
			row.Mark = wait
		} else if len(o.Interfaces) == 0 {
			row.Mark = bad
		}
		if v.query.matches(append(o.Services, o.Address, string(o.State), o.Reason, o.From, o.Elected)...) {
			owned = append(owned, row)
		}
	}
	for _, w := range s.Watched {
		row := watchedRow{Watched: w, Mark: idle, order: 1}
		texts := append([]string{w.Address, string(w.State), w.Elected, w.Reason, w.Exclusion, w.Message}, w.Services...)
		if w.Answers != nil {
			row.Heard = v.ago(w.Answers.At)
			texts = append(texts, w.Answers.Node, w.Answers.MAC)
		}
		switch {
		case dark(w.Reason):
			nobody[w.Reason]++
			row.Mark, row.order = bad, 0
		case w.Reason == reason.ForeignHost.String() || w.State == status.StateConflict:
			row.Mark, row.order = bad, 0
		case waits(w.Reason) || w.State == status.StateBackup:
			row.Mark, row.order = wait, 0
		}
		if v.query.matches(texts...) {
			watched = append(watched, row)
		}
	}
	slices.SortStableFunc(watched, func(x, y watchedRow) int { return x.order - y.order })
	v.Owned, v.Watched = cut(v.query, "owned", owned, len(s.Owned)), cut(v.query, "watched", watched, len(s.Watched))
	for _, reason := range slices.Sorted(maps.Keys(nobody)) {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: fmt.Sprintf("Nobody answers for %s: %s.", counted(nobody[reason], "address", "addresses"), reason),
			Query: v.query.with("q", reason), Link: "Show"})
	}
}

func (v *speakerView) members(s *status.Speaker) {
	ready, away := 0, []string{}
	for _, m := range s.Members {
		row := memberRow{Member: m, Mark: good, Heard: v.ago(m.LastHeard)}
		switch {
		case m.Suspected || m.State == "gone":
			row.Mark = bad
			away = append(away, m.Node)
		case m.State == "ready":
			ready++
		default:
			row.Mark = wait
		}
		v.Members = append(v.Members, row)
	}
	f := fact{Name: "Members", Value: groupDigits(ready) + " ready", Mark: good}
	if len(away) > 0 {
		f.Mark, f.Detail = bad, counted(len(away), "is", "are")+" not heard"
		v.Issues = append(v.Issues, issue{Mark: bad, Text: "Not heard: " + strings.Join(away, ", ") + "."})
	}
	v.Facts = append(v.Facts, f)
}

// unreached adds the nodes that gossip does not reach. A node that may be off is only a remark, not a problem.
func (v *speakerView) unreached(s *status.Speaker) {
	v.Unreached = s.Unreached
	var blocked, away []status.Unreached
	for _, u := range s.Unreached {
		if u.Blocked {
			blocked = append(blocked, u)
		} else {
			away = append(away, u)
		}
	}
	tell := func(m mark, list []status.Unreached, many string) {
		switch n := len(list); {
		case n == 1:
			v.Issues = append(v.Issues, issue{Mark: m, Text: capital(list[0].Message) + "."})
		case n > 1:
			v.Issues = append(v.Issues, issue{Mark: m, Text: fmt.Sprintf(many, groupDigits(n)) + "; see Not reached by gossip."})
		}
	}
	tell(bad, blocked, "Gossip with %s nodes does not pass")
	tell(note, away, "%s nodes have left the gossip and do not come back")
}

func (v *speakerView) interfaces(s *status.Speaker) {
	up := 0
	for _, i := range s.Interfaces {
		row := interfaceRow{Interface: i, Mark: good, State: "used"}
		switch {
		case !i.Used:
			row.Mark, row.State = idle, "not used: "+i.NotUsed
			v.Unused = append(v.Unused, row)
			continue
		case !i.Carrier:
			row.Mark, row.State = bad, "no carrier"
		default:
			up++
		}
		v.Interfaces = append(v.Interfaces, row)
	}
	if up == 0 {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: "No interface of this node can be used: see Interfaces for why."})
	}
}
