package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// named is how many pools a message names before it counts the others.
	named = 3
	// maxName is how much of a pool's name a message shows, in bytes.
	maxName = 63
)

// exhaustion is what a lack of free addresses depends on.
type exhaustion struct {
	namespace string
	only      int
	family    cluster.Family
}

func (a *Allocator) isExhausted(svc *cluster.Service, f cluster.Family, only int) bool {
	_, ok := a.exhausted[exhaustion{svc.Key.Namespace, only, f}]
	return ok
}

// lacking says what svc lacks after all was tried: a refusal if it needs it, a remark if it can do without.
func (a *Allocator) lacking(svc *cluster.Service, slots []slot, only int) (refusal *Refusal, remark string) {
	var missing []*Refusal
	for i := range slots {
		if slots[i].empty() {
			missing = append(missing, a.exhaustedFor(svc, slots[i].family, only))
		}
	}
	switch {
	case len(missing) == 0:
		return nil, ""
	case len(slots) == 2 && svc.FamilyPolicy == cluster.RequireDualStack:
		return lasting(svc, missing), ""
	case len(missing) == 2:
		return refuse(missing[0].Reason, "%s; %s", missing[0].Message, missing[1].Message), ""
	case len(slots) == 2:
		return nil, missing[0].Message
	}
	return missing[0], ""
}

// lasting chooses what a Service that waits for two addresses is told: what the configuration is the cause of, else what
// it was told before if that is still true. Of the two families one may come free and be taken again many times while the
// other one is what keeps the Service waiting; a message that followed would be written each time.
func lasting(svc *cluster.Service, missing []*Refusal) *Refusal {
	for _, r := range missing {
		if r.Reason != NoFreeAddress {
			return r
		}
	}
	for _, r := range missing {
		if svc.Condition != nil && strings.HasPrefix(svc.Condition.Message, r.Message) {
			return r
		}
	}
	return missing[0]
}

// exhaustedFor returns why there is no address of the family for svc.
func (a *Allocator) exhaustedFor(svc *cluster.Service, f cluster.Family, only int) *Refusal {
	key := exhaustion{svc.Key.Namespace, only, f}
	r, ok := a.exhausted[key]
	if !ok {
		r = a.explainExhausted(svc, f, only)
		a.exhausted[key] = r
	}
	return r
}

func (a *Allocator) explainExhausted(svc *cluster.Service, f cluster.Family, only int) *Refusal {
	var considered, others list
	var more float64
	for i := range a.pools {
		p := &a.pools[i]
		size := p.of(f).size
		switch {
		case only != noPool && i != only:
		case size == 0 && only == noPool:
			others.add("pool %s has no %s addresses", quote(p.Name), f)
		case size == 0:
			return refuse(PoolLacksFamily, "pool %s has no %s addresses", quote(p.Name), f)
		case !p.admits(svc.Key.Namespace):
			others.add("pool %s is for other namespaces", quote(p.Name))
		case only == noPool && !p.AutoAssign:
			others.add("pool %s is used only on request", quote(p.Name))
		default:
			considered.add("pool %s has 0 of %.0f", quote(p.Name), size)
			if considered.count > named {
				more += size
			}
		}
	}
	if considered.count == 0 {
		if others.count == 0 {
			return refuse(NoPool, "no pool is configured%s", a.setAside())
		}
		return refuse(NoPool, "no pool gives %s addresses to namespace %s: %s", f, svc.Key.Namespace, others.String())
	}
	text := considered.String()
	if considered.count > named {
		text += fmt.Sprintf(" with 0 of %.0f", more)
	}
	if others.count > 0 {
		text += "; not considered: " + others.String()
	}
	return refuse(NoFreeAddress, "no %s address is free: %s", f, text)
}

// outside says that no pool contains addr.
func (a *Allocator) outside(addr netip.Addr) *Refusal {
	return refuse(AddressOutsidePools, "no pool contains %s (pools: %s%s)", addr, a.poolNames(), a.setAside())
}

func (a *Allocator) unknownPool(name string) *Refusal {
	if slices.Contains(a.cfg.SetAside, name) {
		return refuse(PoolSetAside, "pool %s is set aside for its protocol bgp; request a pool of protocol layer2", quote(name))
	}
	return refuse(UnknownPool, "no pool is named %s (pools: %s%s)", quote(name), a.poolNames(), a.setAside())
}

func (a *Allocator) notAllowed(svc *cluster.Service, i int) *Refusal {
	return refuse(PoolNotAllowed, "pool %s is not for namespace %s", quote(a.pools[i].Name), svc.Key.Namespace)
}

func (a *Allocator) poolNames() string {
	if len(a.pools) == 0 {
		return "none"
	}
	var names list
	for i := range a.pools {
		names.add("%s", quote(a.pools[i].Name))
	}
	return names.String()
}

func (a *Allocator) setAside() string {
	var names list
	for _, name := range a.cfg.SetAside {
		names.add("%s", quote(name))
	}
	if names.count == 0 {
		return ""
	}
	return "; set aside for protocol bgp: " + names.String()
}

func inUse(addr netip.Addr, holder cluster.Key) *Refusal {
	return refuse(AddressInUse, "%s is held by Service %s", addr, holder)
}

// familyMismatch says that svc is to have no address of addr's family.
func familyMismatch(svc *cluster.Service, addr netip.Addr) *Refusal {
	if wanted := Wanted(svc); len(wanted) == 1 {
		return refuse(FamilyMismatch, "%s is %s, and the Service is %s only", addr, cluster.FamilyOf(addr), wanted[0])
	}
	return missingFamily(svc)
}

func missingFamily(svc *cluster.Service) *Refusal {
	if len(svc.Families) == 0 {
		return refuse(MissingFamily, "the Service has no cluster IP")
	}
	return refuse(MissingFamily, "the Service requires dual stack and has cluster IPs of %s only", svc.Families[0])
}

// list collects what a message enumerates, and keeps only as much of it as the message shows.
type list struct {
	shown []string
	count int
}

func (l *list) add(format string, args ...any) {
	if l.count++; l.count <= named {
		l.shown = append(l.shown, fmt.Sprintf(format, args...))
	}
}

// String returns "a, b, c" or "a, b, c and 4 more".
func (l *list) String() string {
	text := strings.Join(l.shown, ", ")
	if l.count > named {
		text += fmt.Sprintf(" and %d more", l.count-named)
	}
	return text
}

// AppendTo appends "10.0.0.5 from pool "a"" to text, as messages about an Assignment have it.
func (a Assignment) AppendTo(text []byte) []byte {
	text = append(a.Addr.AppendTo(text), " from pool "...)
	return strconv.AppendQuote(text, Shorten(a.Pool, maxName))
}

// quote returns a pool's name in quotes, shortened if it is long.
func quote(name string) string { return strconv.Quote(Shorten(name, maxName)) }

func refuse(r Reason, format string, args ...any) *Refusal {
	return &Refusal{r, Shorten(fmt.Sprintf(format, args...), MaxMessage)}
}

// Shorten cuts text to at most size bytes, between characters, and shows that it did.
func Shorten(text string, size int) string {
	if len(text) <= size {
		return text
	}
	const dots = "…"
	cut := size - len(dots)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + dots
}
