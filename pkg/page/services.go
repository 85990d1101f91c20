package page

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

// serviceRow describes one Service.
type serviceRow struct {
	status.Service
	Mark mark
	// Word is the state of the Service, the reason of a Service that waits, or the state of an address that is not
	// announced as it should be.
	Word  string
	Lines []addressLine
	Since moment
	Asks  []string
	// Runbook is the address of the page that explains Word, empty without one.
	Runbook string
	order   int
}

// addressLine describes one address of a Service.
type addressLine struct {
	Address, Pool string
	addr          netip.Addr
	// Nodes are the answering nodes, and Routed counts the nodes that announce the address by BGP. known is false if
	// nobody has asked the speakers.
	Nodes  []string
	Routed string
	known  bool
	// State and Detail are empty for an address that is announced as it should be. Cause is the word for the cause of
	// the last takeover, and CauseText the sentence.
	State, Detail, Cause, CauseText string
	Since                           moment
	at                              time.Time
}

// serviceTable holds all Services that fit the filter, and the counts of all Services.
type serviceTable struct {
	rows   []serviceRow
	all    int
	known  bool
	counts serviceCounts
}

// serviceCounts counts the Services, and for states the addresses.
type serviceCounts struct {
	assigned, announced, unannounced, pending, undecided, conflicts int
	waiting, states                                                 map[string]int
}

// newServiceTable returns the Services of the controller with the answers of the speakers. Without a status of the
// controller, the Services come from the API server.
func newServiceTable(sight *Sight, c *common) *serviceTable {
	t := &serviceTable{counts: serviceCounts{waiting: map[string]int{}, states: map[string]int{}}}
	answers := map[string]*inspect.ServiceRow{}
	services := sight.Controller.Services
	if sight.Cluster != nil {
		list := inspect.Services(sight.Cluster, "").Services
		for i := range list {
			answers[list[i].Namespace+"/"+list[i].Name] = &list[i]
		}
		if len(services) == 0 {
			services = servicesOf(list)
		}
		t.known = inspect.Asked(sight.Cluster)
	}
	t.all = len(services)
	for i := range services {
		row := newServiceRow(&services[i], answers[services[i].Namespace+"/"+services[i].Name], c)
		t.count(&row)
		if row.fits(c.query) {
			t.rows = append(t.rows, row)
		}
	}
	return t
}

// servicesOf returns the Services of the API server as the controller would describe them.
func servicesOf(list []inspect.ServiceRow) []status.Service {
	services := make([]status.Service, len(list))
	for i := range list {
		row := &list[i]
		s := status.Service{Namespace: row.Namespace, Name: row.Name, Reason: row.Reason, Message: row.Message, State: status.Waiting}
		switch {
		case row.Assigned:
			s.State = status.Assigned
		case row.Reason == "":
			s.State = status.Undecided
		}
		if row.Since != nil {
			s.Since = *row.Since
		}
		for _, a := range row.Addresses {
			s.Addresses = append(s.Addresses, status.Assignment{Address: a.Address.String(), Pool: a.Pool})
		}
		services[i] = s
	}
	return services
}

// newServiceRow returns the row of a Service. answers is nil if nobody has asked the speakers.
func newServiceRow(svc *status.Service, answers *inspect.ServiceRow, c *common) serviceRow {
	row := serviceRow{Service: *svc, Word: string(svc.State), Since: c.ago(svc.Since), Mark: idle, Asks: asks(&svc.Wants), order: 3}
	for _, a := range svc.Addresses {
		row.Lines = append(row.Lines, newAddressLine(a, answers, c))
	}
	switch svc.State {
	case status.Waiting:
		row.Mark, row.order = bad, 0
		row.Word = cmp.Or(svc.Reason, row.Word)
	case status.Pending, status.Undecided:
		row.Mark, row.order = wait, 2
	case status.Assigned:
		for i := range row.Lines {
			switch a := &row.Lines[i]; {
			case !a.known:
			case a.State != "":
				row.Mark, row.order, row.Word = bad, 1, a.State
			case row.Mark == idle:
				row.Mark, row.Word = good, "Announced"
			}
		}
	}
	if svc.Conflict != "" {
		row.Mark, row.order = bad, min(row.order, 1)
	}
	row.Runbook = inspect.Runbook(row.Word)
	return row
}

func newAddressLine(a status.Assignment, answers *inspect.ServiceRow, c *common) addressLine {
	line := addressLine{Address: a.Address, Pool: a.Pool}
	line.addr, _ = netip.ParseAddr(a.Address) // an invalid address sorts first
	if answers == nil {
		return line
	}
	i := slices.IndexFunc(answers.Addresses, func(x inspect.AddressRow) bool { return x.Address == line.addr })
	if i < 0 {
		return line
	}
	x := &answers.Addresses[i]
	line.Nodes, line.Cause, line.CauseText, line.known = x.Nodes, x.Cause, x.CauseText(), x.Known()
	if !x.Well() {
		line.State, line.Detail = x.State, x.Detail
	}
	if x.Routing != nil {
		line.Routed = fmt.Sprintf("%d of %s", x.Routing.Nodes, counted(x.Routing.OfNodes, "node", "nodes"))
	}
	if x.Since != nil {
		line.Since, line.at = c.ago(*x.Since), *x.Since
	}
	return line
}

func (t *serviceTable) count(row *serviceRow) {
	n := &t.counts
	switch row.State {
	case status.Waiting:
		n.waiting[row.Reason]++
	case status.Pending:
		n.pending++
	case status.Undecided:
		n.undecided++
	case status.Assigned:
		n.assigned++
		trouble, known := false, true
		for i := range row.Lines {
			a := &row.Lines[i]
			known = known && a.known
			if a.known && a.State != "" {
				trouble = true
				n.states[a.State]++
			}
		}
		switch {
		case trouble:
			n.unannounced++
		case known:
			n.announced++
		}
	}
	if row.Conflict != "" {
		n.conflicts++
	}
}

// fits reports whether the row fits all filters of the request.
func (s *serviceRow) fits(q query) bool {
	if node := q.values.Get("node"); node != "" &&
		!slices.ContainsFunc(s.Lines, func(a addressLine) bool { return slices.Contains(a.Nodes, node) }) {
		return false
	}
	if pool := q.values.Get("pool"); pool != "" &&
		!slices.ContainsFunc(s.Lines, func(a addressLine) bool { return a.Pool == pool }) {
		return false
	}
	if len(q.words) == 0 {
		return true
	}
	texts := []string{s.Namespace + "/" + s.Name, string(s.State), s.Word, s.Reason, s.Message}
	if s.Conflict != "" {
		texts = append(texts, "conflict", s.Conflict)
	}
	for i := range s.Lines {
		a := &s.Lines[i]
		texts = append(texts, a.Address, a.Pool, a.State, a.Detail, a.Cause)
		texts = append(texts, a.Nodes...)
	}
	return q.matches(append(texts, s.Asks...)...)
}

// compareBy returns the comparison for a column, nil for an unknown column.
func compareBy(key string) func(x, y *serviceRow) int {
	first := func(s *serviceRow) *addressLine {
		if len(s.Lines) == 0 {
			return &addressLine{}
		}
		return &s.Lines[0]
	}
	node := func(s *serviceRow) string {
		if a := first(s); len(a.Nodes) > 0 {
			return a.Nodes[0]
		}
		return "\uffff" // after all names
	}
	switch key {
	case "name":
		return func(x, y *serviceRow) int {
			return cmp.Or(strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
		}
	case "state":
		return func(x, y *serviceRow) int { return strings.Compare(x.Word, y.Word) }
	case "address":
		return func(x, y *serviceRow) int { return first(x).addr.Compare(first(y).addr) }
	case "node":
		return func(x, y *serviceRow) int { return strings.Compare(node(x), node(y)) }
	case "since":
		return func(x, y *serviceRow) int { return y.since().Compare(x.since()) }
	}
	return nil
}

// since returns the time of the last takeover of the first address, or the time of the state.
func (s *serviceRow) since() time.Time {
	if len(s.Lines) > 0 && !s.Lines[0].at.IsZero() {
		return s.Lines[0].at
	}
	return s.Service.Since
}

// cut sorts the Services as the request asks for, and returns the shown page.
func (t *serviceTable) cut(q query) table[serviceRow] {
	key, reverse := sortOf(q)
	if by := compareBy(key); by != nil {
		slices.SortStableFunc(t.rows, func(x, y serviceRow) int {
			if reverse {
				return by(&y, &x)
			}
			return by(&x, &y)
		})
	} else { // Services with a problem come first
		slices.SortStableFunc(t.rows, func(x, y serviceRow) int { return x.order - y.order })
	}
	return cut(q, "page", t.rows, t.all)
}

// sortOf returns the column that the request sorts by, and whether the order is reversed.
func sortOf(q query) (key string, reverse bool) {
	key, reverse = strings.CutPrefix(q.values.Get("sort"), "-")
	return key, reverse
}

// columns returns the columns of the table, with the links that sort the table.
func (t *serviceTable) columns(q query) []column {
	columns := columnsOf("Service", "State", "Address", "Node", "Since", "Why")
	columns[len(columns)-1].Class = "why"
	by, reverse := sortOf(q)
	for i, key := range [...]string{"name", "state", "address", "node", "since"} {
		c := &columns[i]
		c.Link = q.with("sort", key)
		if key != by {
			continue
		}
		c.Sorted = "ascending"
		if reverse {
			c.Sorted, c.Link = "descending", q.without("sort")
		} else {
			c.Link = q.with("sort", "-"+key)
		}
	}
	return columns
}

// filter is an exact filter of the request, with the link that removes it.
type filter struct{ Name, Value, Remove string }

func filtersOf(q query) (list []filter) {
	for _, name := range [...]string{"node", "pool"} {
		if value := q.values.Get(name); value != "" {
			list = append(list, filter{name, value, q.without(name)})
		}
	}
	return list
}
