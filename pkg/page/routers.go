package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// sessionRow describes a BGP session.
type sessionRow struct {
	status.Peer
	Mark  mark
	Since moment
	BFD   string
}

// routeRow describes the decision about an address of a pool with protocol bgp.
type routeRow struct {
	status.Route
	Mark    mark
	Routers []string
	order   int
}

// sessions adds the BGP sessions, and a fact and an issue about the sessions. Without sessions, sessions adds nothing.
func (v *speakerView) sessions(s *status.Speaker) {
	var down []string
	for _, p := range s.Peers {
		row := sessionRow{Peer: p, Mark: good, Since: v.ago(p.Since), BFD: bfdText(p.BFD)}
		switch {
		case !p.Up:
			row.Mark = bad
			down = append(down, p.Name)
		case len(p.Refused) > 0 || p.Announced != p.Wanted:
			row.Mark = wait
		}
		v.Sessions = append(v.Sessions, row)
	}
	if len(s.Peers) == 0 {
		return
	}
	f := fact{Name: "BGP sessions", Value: fmt.Sprintf("%s of %s up", groupDigits(len(s.Peers)-len(down)),
		groupDigits(len(s.Peers))), Mark: good}
	if len(down) > 0 {
		f.Mark = bad
		v.Issues = append(v.Issues, issue{Mark: bad, Text: "No BGP session with " + strings.Join(down, ", ") +
			"; see BGP sessions for why."})
	}
	v.Facts = append(v.Facts, f)
}

// bfdText returns the state of a BFD session with the timers, or "off" without BFD.
func bfdText(b *status.BFD) string {
	switch {
	case b == nil:
		return "off"
	case b.Interval > b.Configured:
		return fmt.Sprintf("%s, every %d ms instead of %d ms, down after %d ms", b.State, b.Interval, b.Configured,
			b.Detection)
	}
	return fmt.Sprintf("%s, every %d ms, down after %d ms", b.State, b.Interval, b.Detection)
}

// routed adds the addresses of pools with protocol bgp. Addresses that some router has not received come first.
func (v *speakerView) routed(s *status.Speaker) {
	rows := []routeRow{}
	for _, r := range s.Routes {
		row := routeRow{Route: r, Mark: idle, order: 1}
		for _, peer := range r.Peers {
			if !slices.Contains(r.Told, peer) {
				peer = "(" + peer + ")"
			}
			row.Routers = append(row.Routers, peer)
		}
		switch {
		case r.Reason == reason.Routed.String() && len(r.Told) == len(r.Peers):
			row.Mark = good
		case r.Reason == reason.Routed.String():
			row.Mark, row.order = wait, 0
		}
		texts := append([]string{r.Address, r.Reason, r.Exclusion, r.Message}, r.Services...)
		if v.query.matches(slices.Concat(texts, r.Peers, r.Prefixes)...) {
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(x, y routeRow) int { return x.order - y.order })
	v.Routes = cut(v.query, "routes", rows, len(s.Routes))
}

// routeText explains the reason of a route, empty for the word of a later version.
func routeText(word string) string {
	if r, known := reason.ParseRoute(word); known {
		return r.Text()
	}
	return ""
}
