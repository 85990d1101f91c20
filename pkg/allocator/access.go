package allocator

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// reservation is a reserved address and the pool that it is of.
type reservation struct {
	*config.Reservation
	pool int
}

// reserve notes what pool i reserves.
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

// count notes that a namespace has one more address of pool i.
func (a *Allocator) count(i int, namespace string) {
	of := poolNamespace{i, namespace}
	a.quotaUsed[of]++
	a.counted = append(a.counted, of)
}

// limits is true when there are quotas.
func (p *pool) limits() bool { return len(p.Quotas) > 0 }

// quotaLeft is true when the Service's namespace may have so many more addresses of pool i.
func (a *Allocator) quotaLeft(s *seeker, i, more int) bool {
	if !a.pools[i].limits() {
		return true
	}
	limit, limited := a.pools[i].Quota(s.Key.Namespace)
	return !limited || a.quotaUsed[poolNamespace{i, s.Key.Namespace}]+more <= limit
}

// mayCount is true when addr, of pool i, is within the quota of the Service's namespace, since it counts already or there
// is room.
func (a *Allocator) mayCount(s *seeker, i int, addr netip.Addr) bool {
	return a.quotaLeft(s, i, a.pending(s, i)+1) || a.hasIn(s.Key.Namespace, addr)
}

// pending returns the number of addresses of pool i that the Service is about to get and that count for the quota.
func (a *Allocator) pending(s *seeker, i int) int {
	n := 0
	for j := range s.slots() {
		if slot := &s.slots()[j]; !slot.empty() && !slot.held && slot.pool == i && !a.hasIn(s.Key.Namespace, slot.Addr) {
			n++
		}
	}
	return n
}

// selection returns for each of the selective pools whether it is open to svc, as a text of 0s and 1s.
func (a *Allocator) selection(svc *cluster.Service) string {
	if len(a.selective) == 0 {
		return ""
	}
	// The values of labels hold neither of the bytes that set them apart.
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

// view is the pools as Services of one namespace see them, of those to which the same pools are open by their labels.
type view struct {
	namespace string
	// pools are those that give addresses by themselves, in their order.
	pools []int
	// next4, next6 and both are how many of pools, from the front, have no fresh address of the family, or not of both,
	// for this namespace. They never have one again.
	next4, next6, both int
}

func (v *view) next(f cluster.Family) *int {
	if f == cluster.IPv4 {
		return &v.next4
	}
	return &v.next6
}

type viewKey struct{ namespace, selected string }

// viewOf returns the view that svc has.
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

// gives is true when pool i gives addresses to the Service by itself, or because the Service requests the pool.
func (a *Allocator) gives(s *seeker, i int) bool {
	if s.only != noPool {
		return i == s.only && !a.pools[i].Disabled && !s.fenced
	}
	return slices.Contains(s.view.pools, i)
}
