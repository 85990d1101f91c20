package page

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/status"
)

// nearlyFull is the use of a pool, in percent, from which the page warns.
const nearlyFull = 90

// controllerView holds the content of the controller's page.
type controllerView struct {
	common
	Pools    []poolRow
	Services table[serviceRow]
	HeldBack table[heldRow]
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

// serviceRow describes one Service.
type serviceRow struct {
	status.Service
	Mark  mark
	Since moment
	Asks  []string
	order int
}

// heldRow describes one address that the controller does not assign.
type heldRow struct {
	status.HeldBack
	Ends moment
}

func newControllerView(s *status.Controller, q query) *controllerView {
	v := &controllerView{common: newCommon(s.Process, q, "controller")}
	role := fact{Name: "Role", Value: string(s.Role), Mark: good, When: v.ago(s.Since), Since: lasting}
	if s.Role != status.Leader {
		role.Mark = idle
	}
	v.Facts = append(v.Facts, role)
	v.configured()
	v.services(s)
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
			Query: q.with("q", string(status.Quarantine)), Link: "Show"})
	}
	return v
}

func (v *controllerView) services(s *status.Controller) {
	var rows []serviceRow
	counts, waiting, conflicts := map[status.ServiceState]int{}, map[string]int{}, 0
	for i := range s.Services {
		svc := &s.Services[i]
		counts[svc.State]++
		if svc.State == status.Waiting {
			waiting[svc.Reason]++
		}
		if svc.Conflict != "" {
			conflicts++
		}
		if row := v.serviceRow(svc); v.fits(row) {
			rows = append(rows, row)
		}
	}
	// Services with a problem come first.
	slices.SortStableFunc(rows, func(x, y serviceRow) int { return x.order - y.order })
	v.Services = cut(v.query, "page", rows, len(s.Services))

	// The controller does not know whether a node announces an assigned address.
	f := fact{Name: "Services", Value: groupDigits(counts[status.Assigned]) + " assigned", Mark: idle}
	var others []string
	for _, state := range []status.ServiceState{status.Waiting, status.Pending, status.Undecided} {
		if counts[state] > 0 {
			others = append(others, groupDigits(counts[state])+" "+string(state))
		}
	}
	if f.Detail = strings.Join(others, ", "); counts[status.Waiting] > 0 {
		f.Mark = bad
	}
	v.Facts = append(v.Facts, f)
	for _, reason := range slices.Sorted(maps.Keys(waiting)) {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: fmt.Sprintf("%s waiting: %s.", counted(waiting[reason], "Service is", "Services are"), reason),
			Query: v.query.with("q", reason), Link: "Show"})
	}
	if conflicts > 0 {
		v.Issues = append(v.Issues, issue{Mark: bad, Text: counted(conflicts, "Service has", "Services have") + " an address that a host which is no node answers for too.",
			Query: v.query.with("q", "conflict"), Link: "Show"})
	}
}

func (v *controllerView) serviceRow(svc *status.Service) serviceRow {
	row := serviceRow{Service: *svc, Since: v.ago(svc.Since), Mark: idle, Asks: asks(&svc.Wants), order: 3}
	switch svc.State {
	case status.Waiting:
		row.Mark, row.order = bad, 0
	case status.Pending, status.Undecided:
		row.Mark, row.order = wait, 2
	case status.Assigned:
	}
	if svc.Conflict != "" {
		row.Mark, row.order = bad, min(row.order, 1)
	}
	return row
}

func (v *controllerView) fits(row serviceRow) bool {
	if len(v.query.words) == 0 {
		return true
	}
	texts := []string{row.Namespace + "/" + row.Name, string(row.State), row.Reason, row.Message}
	if row.Conflict != "" {
		texts = append(texts, "conflict", row.Conflict)
	}
	for _, a := range row.Addresses {
		texts = append(texts, a.Address, a.Pool)
	}
	return v.query.matches(append(texts, row.Asks...)...)
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
