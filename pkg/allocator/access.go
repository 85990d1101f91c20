package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// reservation is a reserved address with the index of its pool.
type reservation struct {
	*config.Reservation
	pool int
}

// reserve records the reservations of pool i.
func (a *Allocator) reserve(i int) {
	p := &a.pools[i]
	for j := range p.Reserve {
		r := &p.Reserve[j]
		a.reserved[r.Addr] = reservation{r, i}
		p.of(cluster.FamilyOf(r.Addr)).reserved++
		for _, name := range r.Services {
			key := cluster.Key{Namespace: name.Namespace, Name: name.Name}
			a.ownReserved[key] = append(a.ownReserved[key], r.Addr)
		}
	}
}

func (r reservation) isFor(svc *cluster.Service) bool {
	return slices.Contains(r.Services, config.ServiceName{Namespace: svc.Key.Namespace, Name: svc.Key.Name})
}

func (r reservation) refuse() *Refusal {
	var names list
	for _, name := range r.Services {
		if names.next() {
			names.add("%s", name)
		}
	}
	return refuse(cluster.Problem{Reason: reason.AddressReserved, Addr: r.Addr, By: names.String()},
		"%s is reserved for Service %s", r.Addr, names.String())
}

// poolNamespace is the key of a quota.
type poolNamespace struct {
	pool      int
	namespace string
}

// count adds one address of pool i to the quota use of a namespace.
func (a *Allocator) count(i int, namespace string) {
	of := poolNamespace{i, namespace}
	a.quotaUsed[of]++
	a.counted = append(a.counted, of)
}

// limits reports whether the pool has quotas.
func (p *pool) limits() bool { return len(p.Quotas) > 0 }

// quotaLeft reports whether the quota leaves room for the given number of further addresses of pool i for the Service's
// namespace.
func (a *Allocator) quotaLeft(s *seeker, i, more int) bool {
	if !a.pools[i].limits() {
		return true
	}
	limit, limited := a.pools[i].Quota(s.Key.Namespace)
	return !limited || a.quotaUsed[poolNamespace{i, s.Key.Namespace}]+more <= limit
}

// mayCount reports whether addr, of pool i, is within the quota of the Service's namespace: addr counts already, or the
// quota has room.
func (a *Allocator) mayCount(s *seeker, i int, addr netip.Addr) bool {
	return a.quotaLeft(s, i, a.pending(s, i)+1) || a.hasIn(s.Key.Namespace, addr)
}

// pending returns the number of addresses of pool i that the Service is about to get and that will newly count for the
// quota.
func (a *Allocator) pending(s *seeker, i int) int {
	n := 0
	for j := range s.slots() {
		if slot := &s.slots()[j]; !slot.empty() && !slot.held && slot.pool == i && !a.hasIn(s.Key.Namespace, slot.Addr) {
			n++
		}
	}
	return n
}

// selection returns a text of 0s and 1s: for each selective pool, 1 if the labels of svc match a service selector of
// the pool.
func (a *Allocator) selection(svc *cluster.Service) string {
	if len(a.selective) == 0 {
		return ""
	}
	// Neither of the two separators can occur in the value of a label.
	text := a.scratch[:0]
	for _, key := range a.labels {
		if value, ok := svc.Labels[key]; ok {
			text = append(append(text, '='), value...)
		}
		text = append(text, ',')
	}
	a.scratch = text
	if selection, ok := a.selections[string(text)]; ok {
		return selection
	}
	bits := make([]byte, len(a.selective))
	for j, i := range a.selective {
		bits[j] = '0'
		if a.pools[i].AdmitsService(svc.Labels) {
			bits[j] = '1'
		}
	}
	a.selections[string(text)] = string(bits)
	return string(bits)
}

// view lists the pools for one group of Services: the Services of one namespace with the same selection.
type view struct {
	namespace string
	// pools holds the indices of the pools with automatic assignment that admit the group, in the order of the pools.
	pools []int
	// next4, next6 and both count pools from the front. These pools have no fresh IPv4 address, no fresh IPv6 address,
	// or not one of each, for this namespace. The counts only grow, because within a round no address becomes free.
	next4, next6, both int
}

func (v *view) next(f cluster.Family) *int {
	if f == cluster.IPv4 {
		return &v.next4
	}
	return &v.next6
}

type viewKey struct{ namespace, selected string }

// viewOf returns the view for svc.
func (a *Allocator) viewOf(svc *cluster.Service) *view {
	key := viewKey{svc.Key.Namespace, a.selection(svc)}
	if v, ok := a.views[key]; ok {
		return v
	}
	v := &view{namespace: svc.Key.Namespace}
	selected := key.selected
	for i := range a.pools {
		p := &a.pools[i]
		if len(p.ServiceSelectors) > 0 {
			open := selected[0] == '1'
			if selected = selected[1:]; !open {
				continue
			}
		}
		if p.AutoAssign && !p.Disabled && (!p.restricted || a.admitsNamespace(p, svc.Key.Namespace)) {
			v.pools = append(v.pools, i)
		}
	}
	a.views[key] = v
	return v
}

// gives reports whether pool i gives addresses to the Service without a request for an address: by automatic
// assignment, or because the Service requests the pool.
func (a *Allocator) gives(s *seeker, i int) bool {
	if s.only != noPool {
		return i == s.only && !a.pools[i].Disabled && !s.fenced
	}
	return slices.Contains(s.view.pools, i)
}
