package page

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// nearlyFull is the use of a pool, in percent, from which the page warns.
const nearlyFull = 90

// controllerView holds the content of the controller's page.
type controllerView struct {
	common
	Pools []poolRow
	// Services are shown with Columns. Filters are the exact filters of the request.
	Services table[serviceRow]
	Columns  []column
	Filters  []filter
	HeldBack table[heldRow]
	// Last are the last changes, nil without the answers of the speakers.
	Last []happeningRow
}

// The pages of the cluster by name.
const (
	overviewPath = "Overview"
	mapPath      = "Map"
	changesPath  = "Changes"
	servicePath  = "Service"
)

// lastChanges is the number of changes on the overview.
const lastChanges = 8

// newClusterCommon returns the part that all pages of the cluster share.
func newClusterCommon(sight *Sight, q query, here string) common {
	p := sight.Controller.Process
	if p.Time.IsZero() && sight.Cluster != nil {
		p.Time = sight.Cluster.At
	}
	if p.Kind == "" && sight.Controller.Role == "" {
		p.Connected = true // nothing is known to be wrong
	}
	name := "controller"
	if sight.Cluster != nil {
		name = "cluster"
	}
	c := newCommon(p, q, name)
	c.Here = here
	return c
}

// poolRow describes one family of a pool.
type poolRow struct {
	status.Pool
	status.Stock
	// Ranges are the ranges of the family.
	Ranges string
	// The widths of the parts of the bar, in hundredths of the bar: used addresses, addresses in cool-down, and
	// addresses that no Service gets.
	Used100, Resting100, Kept100 int
	Mark                         mark
	State                        string
	// Notes lists the special properties of the pool.
	Notes []string
}

// heldRow describes one address that the controller does not assign.
type heldRow struct {
	status.HeldBack
	Ends moment
}

func newControllerView(sight *Sight, q query) *controllerView {
	s := &sight.Controller
	v := &controllerView{common: newClusterCommon(sight, q, overviewPath)}
	v.role(s)
	list := newServiceTable(sight, &v.common)
	v.Services, v.Columns, v.Filters = list.cut(q), list.columns(q), filtersOf(q)
	v.services(list)
	v.speakers(sight.Cluster)
	v.pools(s)
	held := []heldRow{}
	quarantined := 0
	for _, h := range s.HeldBack {
		if h.Why == status.Quarantine {
			quarantined++
		}
		if q.matches(h.Address, h.Pool, string(h.Why), h.By) {
			held = append(held, heldRow{h, v.ago(h.Until)})
		}
	}
	v.HeldBack = cut(q, "held", held, len(s.HeldBack))
	if quarantined > 0 {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: counted(quarantined, "address is", "addresses are") + " in quarantine: a host that is no node answers.",
			Query: q.with("q", string(status.Quarantine)), Link: "Show", Runbook: inspect.Runbook("AddressConflict")})
	}
	if sight.Cluster != nil {
		v.Last = happenings(&v.common, inspect.Timeline(sight.Cluster))
		v.Last = v.Last[:min(len(v.Last), lastChanges)]
	}
	return v
}

// role adds the facts about the controller and the configuration.
func (v *controllerView) role(s *status.Controller) {
	if s.Kind == "" && s.Role == "" {
		v.Facts = append(v.Facts, fact{Name: "Controller", Value: "not asked", Mark: wait})
		return
	}
	role := fact{Name: "Role", Value: string(s.Role), Mark: good, When: v.ago(s.Since), Since: lasting}
	if s.Role != status.Leader {
		role.Mark = idle
	}
	v.Facts = append(v.Facts, role)
	v.configured()
}

// services adds the fact and the issues about the Services.
func (v *controllerView) services(list *serviceTable) {
	n := &list.counts
	f := fact{Name: "Services", Value: groupDigits(n.assigned) + " assigned", Mark: idle}
	if list.known {
		f.Value, f.Mark = groupDigits(n.announced)+" announced", good
	}
	var others []string
	add := func(count int, word string) {
		if count > 0 {
			others = append(others, groupDigits(count)+" "+word)
		}
	}
	if list.known {
		add(n.unannounced, "not announced")
		add(n.assigned-n.announced-n.unannounced, "perhaps announced")
	}
	waiting := 0
	for _, count := range n.waiting {
		waiting += count
	}
	add(waiting, string(status.Waiting))
	add(n.pending, string(status.Pending))
	add(n.undecided, string(status.Undecided))
	if f.Detail = strings.Join(others, ", "); waiting+n.unannounced > 0 {
		f.Mark = bad
	}
	v.Facts = append(v.Facts, f)
	for _, reason := range slices.Sorted(maps.Keys(n.waiting)) {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: fmt.Sprintf("%s waiting: %s.", counted(n.waiting[reason], "Service is", "Services are"), reason),
			Query: v.query.with("q", reason), Link: "Show", Runbook: inspect.Runbook(reason)})
	}
	for _, state := range slices.Sorted(maps.Keys(n.states)) {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: fmt.Sprintf("%s not announced as it should be: %s.", counted(n.states[state], "address is", "addresses are"), state),
			Query: v.query.with("q", state), Link: "Show", Runbook: inspect.Runbook(state)})
	}
	if n.conflicts > 0 {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: counted(n.conflicts, "Service has", "Services have") + " an address that a host which is no node answers for too.",
			Query: v.query.with("q", "conflict"), Link: "Show", Runbook: inspect.Runbook("AddressConflict")})
	}
}

// speakers adds the fact and the issues about the speakers.
func (v *controllerView) speakers(c *inspect.Cluster) {
	if c == nil {
		v.Calm = "Nothing that the controller knows needs attention. The pages of the speakers show who answers."
		return
	}
	ready, missing := 0, map[string][]string{}
	rows := inspect.SpeakerRows(c)
	for _, row := range rows {
		if row.State == "ready" {
			ready++
			continue
		}
		text := row.State
		if row.Problem != "" {
			text += ": " + row.Problem
		}
		missing[text] = append(missing[text], row.Node)
	}
	f := fact{Name: "Speakers", Value: fmt.Sprintf("%d of %d ready", ready, len(rows)), Mark: good}
	if ready < len(rows) {
		f.Mark = bad
	}
	v.Facts = append(v.Facts, f)
	for _, why := range slices.Sorted(maps.Keys(missing)) {
		v.Issues = append(v.Issues, issue{Mark: wait, Text: fmt.Sprintf("%s: %s.", speakersOf(missing[why]), why),
			Query: "map", Link: "Map", Runbook: inspect.Docs + "runbooks/speaker-down.md"})
	}
	for _, g := range c.Gaps {
		v.Issues = append(v.Issues, issue{Mark: wait, Text: capital(g.String()) + "."})
	}
}

// speakersOf names the speakers of nodes.
func speakersOf(nodes []string) string {
	const most = 6
	if len(nodes) == 1 {
		return "The speaker of " + nodes[0]
	}
	if len(nodes) > most {
		return fmt.Sprintf("The speakers of %s and %d more", strings.Join(nodes[:most], ", "), len(nodes)-most)
	}
	return "The speakers of " + strings.Join(nodes, ", ")
}

// asks lists the requests of a Service, the families first.
func asks(w *status.Wants) []string {
	list := []string{strings.Join(w.Families, " and ")}
	if len(w.Families) == 2 {
		list[0] += map[string]string{"SingleStack": " (the first)", "PreferDualStack": " (one is enough)"}[w.Policy]
	}
	if len(w.Addresses) > 0 {
		list = append(list, "address "+strings.Join(w.Addresses, ", "))
	}
	if w.Pool != "" {
		list = append(list, "pool "+w.Pool)
	}
	if w.SharingKey != "" {
		list = append(list, "shared as "+w.SharingKey)
	}
	if w.PreferNode != "" {
		list = append(list, "node "+w.PreferNode)
	}
	if w.TrafficPolicy == "Local" {
		list = append(list, "traffic policy Local")
	}
	return list
}

func (v *controllerView) pools(s *status.Controller) {
	full := []string{}
	for _, p := range s.Pools {
		for _, stock := range p.Families {
			row := poolRow{Pool: p, Stock: stock, Ranges: rangesOf(p.Addresses, stock.Family), Mark: good, State: "has free addresses", Notes: notes(&p)}
			size := number(stock.Size)
			row.Used100, row.Resting100 = share(int64(stock.Used), size), share(int64(stock.Resting), size)
			row.Kept100 = share(int64(stock.Quarantined+stock.Reserved+stock.Withheld), size)
			switch {
			case p.Disabled:
				row.Mark, row.State = idle, "disabled"
			case number(stock.Free).Sign() <= 0:
				row.Mark, row.State = bad, "full"
			case row.Used100 >= nearlyFull:
				row.Mark, row.State = wait, "nearly full"
			}
			if row.State == "full" || row.State == "nearly full" {
				full = append(full, fmt.Sprintf("Pool %s is %s (%s): %s of %s in use.", p.Name, row.State, stock.Family, groupDigits(stock.Used), shortNumber(stock.Size)))
			}
			v.Pools = append(v.Pools, row)
		}
	}
	for _, text := range full {
		v.Issues = append(v.Issues, issue{Mark: note, Text: text})
	}
	f := fact{Name: "Pools", Value: groupDigits(len(s.Pools)), Mark: good}
	switch {
	case len(s.Pools) == 0:
		f.Mark = idle
	case len(full) > 0:
		f.Mark, f.Detail = wait, fmt.Sprintf("%d full or nearly so", len(full))
	}
	v.Facts = append(v.Facts, f)
}

// rangesOf returns the ranges of the family from a list.
func rangesOf(list, family string) string {
	ranges := slices.DeleteFunc(strings.Split(list, ", "), func(r string) bool { return strings.Contains(r, ":") != (family == "IPv6") })
	return strings.Join(ranges, ", ")
}

func notes(p *status.Pool) []string {
	list := []string{}
	if len(p.Protocols) > 0 && !slices.Equal(p.Protocols, []string{"layer2"}) {
		list = append(list, strings.Join(p.Protocols, " and "))
	}
	if p.Priority > 0 {
		list = append(list, fmt.Sprintf("priority %d", p.Priority))
	}
	if !p.AutoAssign {
		list = append(list, "only on request")
	}
	if p.Restricted {
		list = append(list, "for some only")
	}
	if p.Disabled {
		list = append(list, "disabled")
	}
	return list
}

func number(digits string) *big.Int {
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// share returns part in hundredths of the whole, rounded up, so that a small part stays visible.
func share(part int64, whole *big.Int) int {
	if part <= 0 || whole.Sign() <= 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(part), big.NewInt(100))
	n.Add(n, whole).Sub(n, big.NewInt(1)).Quo(n, whole)
	return int(min(n.Int64(), 100))
}
