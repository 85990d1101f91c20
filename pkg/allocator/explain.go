package allocator

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// exhaustion is the key of a refusal for lack of a free address.
type exhaustion struct {
	view   *view
	only   int
	family cluster.Family
	// both is true for Services that need an address of each family: the rest of a quota may be too small for two
	// addresses.
	both bool
}

func (a *Allocator) isExhausted(s *seeker, f cluster.Family) bool {
	_, one := a.exhausted[exhaustion{s.view, s.only, f, false}]
	_, both := a.exhausted[exhaustion{s.view, s.only, f, true}]
	return one || both
}

// lacking returns a refusal if the Service lacks an address that the Service needs, and a remark if the Service lacks
// an address that the Service only prefers.
func (a *Allocator) lacking(s *seeker) (refusal *Refusal, remark string) {
	var missing []*Refusal
	for i := range s.slots() {
		if s.slots()[i].empty() {
			missing = append(missing, a.exhaustedFor(s, s.slots()[i].family))
		}
	}
	switch {
	case len(missing) == 0:
		return nil, ""
	case len(s.slots()) == 2 && s.FamilyPolicy == cluster.RequireDualStack:
		return lasting(s.Service, missing), ""
	case len(missing) == 2:
		return both(missing[0], missing[1]), ""
	case len(s.slots()) == 2:
		return nil, missing[0].Message
	}
	return missing[0], ""
}

// both returns the refusal for a Service that lacks an address of each family.
func both(first, second *Refusal) *Refusal {
	return &Refusal{
		Reason: first.Reason, Problems: slices.Concat(first.Problems, second.Problems),
		Message: Shorten(first.Message+"; "+second.Message, MaxMessage),
	}
}

// lasting chooses one of two refusals for a Service that waits for two addresses. A refusal caused by the configuration
// comes first, then a refusal that the record of the Service already has and that still holds. An address of one family
// may become free and taken many times while the other family keeps the Service waiting. Without this rule, each of
// these changes would write a new message.
func lasting(svc *cluster.Service, missing []*Refusal) *Refusal {
	for _, r := range missing {
		if r.Reason != reason.NoFreeAddress && r.Reason != reason.QuotaReached {
			return r
		}
	}
	for _, r := range missing {
		if svc.Assignment != nil && slices.ContainsFunc(svc.Assignment.Problems, r.Problems[0].Same) {
			return r
		}
	}
	return missing[0]
}

// exhaustedFor returns the reason why no address of the family is left for the Service.
func (a *Allocator) exhaustedFor(s *seeker, f cluster.Family) *Refusal {
	for i := range s.slots() {
		if slot := &s.slots()[i]; !slot.empty() && !slot.held && a.pools[slot.pool].limits() {
			// If only the Service's own new address has used up a quota, the next Service may still have room. Do not
			// cache the refusal.
			return a.explainExhausted(s, f)
		}
	}
	key := exhaustion{s.view, s.only, f, s.needsBoth()}
	r, ok := a.exhausted[key]
	if !ok {
		r = a.explainExhausted(s, f)
		a.exhausted[key] = r
	}
	return r
}

// explainExhausted examines each pool again, and returns the reasons why no pool has an address of the family for the
// Service.
func (a *Allocator) explainExhausted(s *seeker, f cluster.Family) *Refusal {
	if s.only != noPool {
		return a.explainRequested(s, f)
	}
	lack := shortage{family: f, namespace: s.Key.Namespace}
	for i := range a.configured() {
		switch why := a.notFor(s, i, f); {
		case why != "":
			if lack.others.next() {
				lack.others.add("pool %s %s", quote(a.pools[i].Name), why)
			}
		case !a.quotaLeft(s, i, a.pending(s, i)+1):
			if lack.quotas.next() {
				lack.quotas.add("%s", a.quotaText(s, i))
			}
		default:
			lack.addFull(&a.pools[i])
		}
	}
	return lack.refuse()
}

// shortage collects the reasons why the pools have no address of a family for a Service.
type shortage struct {
	family    cluster.Family
	namespace string
	// full lists the pools without a free address, and names their first few names. more is the total size of the pools
	// that a message does not show.
	full  list
	names []string
	more  float64
	// quotas lists the pools with a full quota, others the pools that are not for the Service.
	quotas, others list
}

func (s *shortage) addFull(p *pool) {
	if s.full.next() {
		s.names = append(s.names, cluster.Recorded(p.Name))
		s.full.add("%s", p.used(s.family))
	} else {
		s.more += p.of(s.family).size
	}
}

// refuse returns the refusal for the collected reasons.
func (s *shortage) refuse() *Refusal {
	problem := cluster.Problem{Family: s.family}
	switch {
	case s.full.count > 0:
		problem.Reason, problem.Full = reason.NoFreeAddress, s.names
		return refuse(problem, "no %s address is free: %s%s", s.family, s.fullText(), notConsidered(s.others))
	case s.quotas.count > 0:
		problem.Reason = reason.QuotaReached
		return refuse(problem, "the quota is reached: %s%s", s.quotas.String(), notConsidered(s.others))
	}
	problem.Reason = reason.NoPool
	if s.others.count > 0 {
		return refuse(problem, "no pool gives %s addresses to namespace %s: %s", s.family, s.namespace, s.others.String())
	}
	return refuse(problem, "no pool is configured")
}

func (s *shortage) fullText() string {
	if s.full.count > named {
		s.full.shown[named-1] += fmt.Sprintf(" and %d more with 0 of %.0f", s.full.count-named, s.more)
		s.full.count = named
	}
	text := s.full.String()
	if s.quotas.count > 0 {
		text += "; " + s.quotas.String()
	}
	return text
}

// explainRequested returns the reason why the requested pool has no address of the family for the Service.
func (a *Allocator) explainRequested(s *seeker, f cluster.Family) *Refusal {
	p := &a.pools[s.only]
	switch {
	case p.of(f).size == 0:
		return refuse(cluster.Problem{Reason: reason.PoolLacksFamily, Family: f, Pool: p.Name},
			"pool %s has no %s addresses", quote(p.Name), f)
	case s.fenced:
		return a.notAllowed(s.Service, s.only)
	case p.Disabled:
		return a.disabled(s.only)
	case !a.quotaLeft(s, s.only, a.pending(s, s.only)+1):
		return refuse(cluster.Problem{Reason: reason.QuotaReached, Family: f, Pool: p.Name},
			"the quota is reached: %s", a.quotaText(s, s.only))
	}
	return refuse(cluster.Problem{Reason: reason.NoFreeAddress, Family: f, Full: []string{p.Name}},
		"no %s address is free: %s", f, p.used(f))
}

// notFor returns the reason why pool i does not give addresses of the family to the Service by automatic assignment,
// empty if the pool does.
func (c *catalog) notFor(s *seeker, i int, f cluster.Family) string {
	p := &c.pools[i]
	switch {
	case p.of(f).size == 0 && f == cluster.IPv4:
		return "has no IPv4 addresses"
	case p.of(f).size == 0:
		return "has no IPv6 addresses"
	case p.restricted && !c.admitsNamespace(p, s.Key.Namespace):
		return "is for other namespaces"
	case !p.AdmitsService(s.Labels):
		return "is for other Services"
	case p.Disabled:
		return "is disabled"
	case !p.AutoAssign:
		return "is used only on request"
	}
	return ""
}

// used returns the text for a pool without a free address of the family.
func (p *pool) used(f cluster.Family) string {
	return fmt.Sprintf("pool %s has 0 of %.0f%s", quote(p.Name), p.of(f).size, p.of(f).kept())
}

func notConsidered(pools list) string {
	if pools.count == 0 {
		return ""
	}
	return "; not considered: " + pools.String()
}

// kept returns the text for the addresses of the pool that are reserved or withheld.
func (s *stock) kept() string {
	switch {
	case s.reserved > 0 && s.withheld > 0:
		return fmt.Sprintf(" (%d reserved, %d withheld)", s.reserved, s.withheld)
	case s.reserved > 0:
		return fmt.Sprintf(" (%d reserved)", s.reserved)
	case s.withheld > 0:
		return fmt.Sprintf(" (%d withheld)", s.withheld)
	}
	return ""
}

// quotaText returns the text for a pool with a quota that leaves too little for the Service. The text contains no count
// that other Services change.
func (c *catalog) quotaText(s *seeker, i int) string {
	limit, _ := c.pools[i].Quota(s.Key.Namespace)
	text := fmt.Sprintf("pool %s allows namespace %s ", quote(c.pools[i].Name), s.Key.Namespace)
	switch limit {
	case 0:
		return text + "no addresses"
	case 1:
		text += "1 address"
	default:
		text += fmt.Sprintf("%d addresses", limit)
	}
	if s.needsBoth() {
		return text + " (too few left)"
	}
	return text + " (all in use)"
}

func (c *catalog) disabled(i int) *Refusal {
	return refuse(cluster.Problem{Reason: reason.PoolDisabled, Pool: c.pools[i].Name},
		"pool %s is disabled, so it gives no more addresses", quote(c.pools[i].Name))
}

// outside returns the refusal of an address that no pool contains.
func (c *catalog) outside(addr netip.Addr) *Refusal {
	return refuse(cluster.Problem{Reason: reason.AddressOutsidePools, Addr: addr},
		"no pool contains %s (pools: %s)", addr, c.poolNames())
}

func (c *catalog) unknownPool(name string) *Refusal {
	return refuse(cluster.Problem{Reason: reason.UnknownPool, Pool: name},
		"no pool is named %s (pools: %s)", quote(name), c.poolNames())
}

func (c *catalog) notAllowed(svc *cluster.Service, i int) *Refusal {
	problem := cluster.Problem{Reason: reason.PoolNotAllowed, Pool: c.pools[i].Name}
	if c.admitsNamespace(&c.pools[i], svc.Key.Namespace) {
		return refuse(problem, "pool %s is not for Services with these labels", quote(c.pools[i].Name))
	}
	return refuse(problem, "pool %s is not for namespace %s", quote(c.pools[i].Name), svc.Key.Namespace)
}

func (c *catalog) poolNames() string {
	if len(c.configured()) == 0 {
		return "none"
	}
	var names list
	for i := range c.configured() {
		if names.next() {
			names.add("%s", quote(c.pools[i].Name))
		}
	}
	return names.String()
}

// inUse returns the refusal of an address that holder has and does not share with svc.
func (a *Allocator) inUse(svc *cluster.Service, addr netip.Addr, holder *cluster.Service) *Refusal {
	why := a.unshared(svc, holder, addr)
	problem := cluster.Problem{Reason: reason.AddressInUse, Addr: addr, By: holder.Key.String(), Unshared: why}
	return refuse(problem, "%s is held by Service %s%s", addr, holder.Key, a.unsharedText(why, svc, holder, addr))
}

// familyMismatch returns the refusal of an address of a family that svc does not have.
func familyMismatch(svc *cluster.Service, addr netip.Addr) *Refusal {
	if wanted := Wanted(svc); len(wanted) == 1 {
		return refuse(cluster.Problem{Reason: reason.FamilyMismatch, Addr: addr},
			"%s is %s, and the Service is %s only", addr, cluster.FamilyOf(addr), wanted[0])
	}
	return missingFamily(svc)
}

func missingFamily(svc *cluster.Service) *Refusal {
	if len(svc.Families) == 0 {
		return refuse(cluster.Problem{Reason: reason.MissingFamily}, "the Service has no cluster IP")
	}
	return refuse(cluster.Problem{Reason: reason.MissingFamily, Family: svc.Families[0]},
		"the Service requires dual stack and has cluster IPs of %s only", svc.Families[0])
}
