package inspect

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

// PeerList lists the BGP sessions of all nodes.
type PeerList struct {
	// Sessions are sorted by node, then in the order of the configuration.
	Sessions []PeerRow `json:"sessions"`
	// Silent lists the nodes whose speakers could not be asked, sorted.
	Silent   []string `json:"silent,omitempty"`
	NotKnown []Gap    `json:"notKnown,omitempty"`

	at time.Time
	// filtered is true if the list leaves out sessions.
	filtered bool
}

// PeerRow describes the session of one node with one peer.
type PeerRow struct {
	Node string `json:"node"`
	status.Peer
	// Fix explains the fix for a session that is down; empty for an established session.
	Fix string `json:"fix,omitempty"`
}

// Peers lists the BGP sessions of all nodes.
func Peers(c *Cluster) PeerList {
	l := PeerList{Sessions: []PeerRow{}, NotKnown: c.gaps(OfProcesses), at: c.At}
	for _, s := range c.speakers() {
		for _, p := range s.Says.Peers {
			row := PeerRow{Node: s.Node, Peer: p}
			if !p.Up {
				row.Fix = sessionFix(p.Reason)
			}
			l.Sessions = append(l.Sessions, row)
		}
	}
	slices.SortStableFunc(l.Sessions, func(x, y PeerRow) int { return cmp.Compare(x.Node, y.Node) })
	l.Silent = slices.Sorted(keysOf(newView(c).silent))
	return l
}

// WriteText writes a table with one line for each session.
func (l PeerList) WriteText(out io.Writer) error { return l.write(out, false) }

// WriteWide adds the local address, the AS numbers, the timers and the number of resets.
func (l PeerList) WriteWide(out io.Writer) error { return l.write(out, true) }

func (l PeerList) write(out io.Writer, wide bool) error {
	if len(l.Sessions) == 0 && l.filtered {
		if err := line(out, "No session fits the filter."); err != nil {
			return err
		}
	} else if len(l.Sessions) == 0 {
		if err := line(out, "No node has a BGP session: the configuration has no peers for these nodes."); err != nil {
			return err
		}
	} else if err := writeTable(out, l.rows(wide)); err != nil {
		return err
	}
	if len(l.Silent) > 0 {
		if err := line(out, "Note: the speakers of these nodes could not be asked: "+listed(l.Silent)); err != nil {
			return err
		}
	}
	return writeGaps(out, l.NotKnown)
}

func (l PeerList) rows(wide bool) [][]string {
	rows := [][]string{{"NODE", "PEER", "ROUTER", "STATE", "SINCE", "PREFIXES", "BFD", "REASON"}}
	if wide {
		rows[0] = slices.Insert(rows[0], 7, "LOCAL", "AS", "HOLD", "RESETS")
	}
	for i := range l.Sessions {
		p := &l.Sessions[i]
		row := []string{
			p.Node, p.Name, or(p.Router, unknown), or(p.State, unknown), age(&p.Since, l.at),
			fmt.Sprintf("%d/%d", p.Announced, p.Wanted), bfdText(p.BFD), p.why(),
		}
		if wide {
			row = slices.Insert(row, 7, or(p.Local, none), fmt.Sprintf("%d-%s", p.LocalASN, number(p.RemoteASN)),
				holdText(p.HoldTime),
				fmt.Sprint(p.Resets))
		}
		rows = append(rows, row)
	}
	return rows
}

// why explains a session that is down, or what is missing in an established session.
func (p *PeerRow) why() string {
	switch {
	case !p.Up && p.Reason != "":
		return p.Reason + colon(p.Message)
	case !p.Up:
		return or(sentence(p.Message), none)
	case len(p.Refused) > 0:
		return "the router does not accept " + strings.Join(p.Refused, " and ")
	}
	return none
}

// bfdText returns the state of a BFD session with the interval and the detection time in milliseconds.
func bfdText(b *status.BFD) string {
	if b == nil {
		return none
	}
	if b.State != "Up" {
		return b.State
	}
	return fmt.Sprintf("%s %d/%dms", b.State, b.Interval, b.Detection)
}

func holdText(seconds int) string {
	if seconds == 0 {
		return none
	}
	return fmt.Sprintf("%ds", seconds)
}

func number(asn uint32) string {
	if asn == 0 {
		return unknown
	}
	return fmt.Sprint(asn)
}
