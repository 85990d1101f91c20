package allocator

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// holders records the Services that hold each address, and decides which Services may share an address.
type holders struct {
	// used holds the first holder of each address, more the other holders.
	used map[netip.Addr]*cluster.Service
	more map[netip.Addr][]*cluster.Service
	// apart reports whether Services of different namespaces may not share an address; nil if they always may.
	apart func(netip.Addr) bool
	// settled holds the addresses of settled Services with a sharing key.
	settled map[sharing][]netip.Addr
	sharers
}

// sharers holds the part of holders for one round.
type sharers struct {
	// leaving holds the addresses that a Service must give up and still has in its status. No further Service gets
	// these addresses.
	leaving map[netip.Addr]*cluster.Service
	// firm holds the Services that perhaps hold an address.
	firm map[netip.Addr][]*cluster.Service
	// shared holds the addresses with holders that have a sharing key, for the keys examined so far.
	shared map[sharing]*sharedAddrs
	// assigning is true once all addresses held before the round are known, and Assign runs.
	assigning bool
	// tried counts the addresses at the front of shared that a kind of Service cannot share. The count only grows.
	tried map[sharer]*int
}

// sharedAddrs lists addresses that the same Services could share. Once sorted, the list begins with the addresses held
// before the round, ordered by the age of their oldest holder; the addresses assigned in the round follow.
type sharedAddrs struct {
	addrs  []netip.Addr
	sorted bool
}

// sharing is the key of addresses that the same Services could share.
type sharing struct {
	key    string
	family cluster.Family
}

// sharer is the kind of a Service for sharing: Services of the same kind can share the same addresses.
type sharer struct {
	sharing
	policy cluster.TrafficPolicy
	// namespace is empty unless policy is TrafficLocal or a pool forbids sharing across namespaces. selector is empty
	// unless policy is TrafficLocal.
	namespace, selector string
	// ports has three bytes for each port.
	ports string
}

func newHolders(services int) holders {
	return holders{
		used:    make(map[netip.Addr]*cluster.Service, services),
		more:    make(map[netip.Addr][]*cluster.Service),
		settled: make(map[sharing][]netip.Addr),
	}
}

func newSharers() sharers {
	return sharers{
		leaving: make(map[netip.Addr]*cluster.Service),
		firm:    make(map[netip.Addr][]*cluster.Service),
		shared:  make(map[sharing]*sharedAddrs),
		tried:   make(map[sharer]*int),
	}
}

// lookUp returns the Service with the key, or a Service that shares no address if the key is unknown.
func lookUp(services []*cluster.Service, key cluster.Key) *cluster.Service {
	i, found := slices.BinarySearchFunc(services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	if !found {
		return &cluster.Service{Key: key}
	}
	return services[i]
}

// hold makes svc a holder of addr, and reports whether svc is the first holder.
func (h *holders) hold(svc *cluster.Service, addr netip.Addr) bool {
	var shared *sharedAddrs
	if svc.SharingKey != "" {
		// Sort the list before the new address joins: the order of the addresses held before the round must not depend
		// on assignments in the round.
		shared = h.sharedBy(sharing{svc.SharingKey, cluster.FamilyOf(addr)})
	}
	if _, ok := h.used[addr]; ok {
		h.more[addr] = append(h.more[addr], svc)
		return false
	}
	h.used[addr] = svc
	if shared != nil {
		shared.addrs = append(shared.addrs, addr)
	}
	return true
}

// sharedBy returns the addresses that the same Services could share; sorted once assigning is true.
func (h *holders) sharedBy(s sharing) *sharedAddrs {
	shared, ok := h.shared[s]
	if !ok {
		shared = &sharedAddrs{addrs: slices.Clone(h.settled[s])}
		h.shared[s] = shared
	}
	if h.assigning && !shared.sorted {
		shared.sorted = true
		slices.SortFunc(shared.addrs, func(x, y netip.Addr) int { return cmp.Or(Older(h.oldest(x), h.oldest(y)), x.Compare(y)) })
	}
	return shared
}

// obstacle returns a Service that has addr and does not share addr with svc, nil for none.
func (h *holders) obstacle(svc *cluster.Service, addr netip.Addr) *cluster.Service {
	holder, ok := h.used[addr]
	if !ok {
		return nil
	}
	if !h.mayShare(svc, holder, addr) {
		return holder
	}
	for _, holder := range h.more[addr] {
		if !h.mayShare(svc, holder, addr) {
			return holder
		}
	}
	return h.leaving[addr]
}

// doubt returns a Service that perhaps has addr and would not share addr with svc, nil for none.
func (h *holders) doubt(svc *cluster.Service, addr netip.Addr) *cluster.Service {
	for _, holder := range h.firm[addr] {
		if holder.Key != svc.Key && !h.mayShare(svc, holder, addr) {
			return holder
		}
	}
	return nil
}

// isOpen reports whether no other Service keeps addr from svc.
func (h *holders) isOpen(svc *cluster.Service, addr netip.Addr) bool {
	return h.obstacle(svc, addr) == nil && h.doubt(svc, addr) == nil
}

// hasIn reports whether a Service of the namespace has addr, or perhaps has addr.
func (h *holders) hasIn(namespace string, addr netip.Addr) bool {
	in := func(holder *cluster.Service) bool { return holder.Key.Namespace == namespace }
	if holder, ok := h.used[addr]; ok && (in(holder) && h.leaving[addr] != holder || slices.ContainsFunc(h.more[addr], in)) {
		return true
	}
	return slices.ContainsFunc(h.firm[addr], in)
}

func (h *holders) oldest(addr netip.Addr) *cluster.Service {
	oldest := h.used[addr]
	for _, holder := range h.more[addr] {
		if Older(holder, oldest) < 0 {
			oldest = holder
		}
	}
	return oldest
}

// Older orders Services by creation time, and Services of the same creation time by Key.
func Older(x, y *cluster.Service) int {
	if c := x.Created.Compare(y.Created); c != 0 {
		return c
	}
	return x.Key.Compare(y.Key)
}

// MayShare reports whether two Services may have the same address. The Services must have the same sharing key and no
// port in common, and their traffic must go to the same nodes: both have the policy Cluster, or both have Local and the
// same endpoints. The same endpoints require the same namespace, because a selector chooses Pods of the Service's own
// namespace.
func MayShare(x, y *cluster.Service) bool {
	if x.SharingKey == "" || x.SharingKey != y.SharingKey || x.TrafficPolicy != y.TrafficPolicy {
		return false
	}
	if x.TrafficPolicy == cluster.TrafficLocal && (x.Key.Namespace != y.Key.Namespace || x.Selector != y.Selector) {
		return false
	}
	_, clash := commonPort(x.Ports, y.Ports)
	return !clash
}

// mayShare reports whether two Services may share addr, by the rules for the Services and for the pool of addr.
func (h *holders) mayShare(x, y *cluster.Service, addr netip.Addr) bool {
	return MayShare(x, y) && (x.Key.Namespace == y.Key.Namespace || h.apart == nil || !h.apart(addr))
}

// keepsApart returns the function for holders.apart.
func (c *catalog) keepsApart() func(netip.Addr) bool {
	if !slices.ContainsFunc(c.pools, func(p pool) bool { return p.SeparateNamespaces }) {
		return nil
	}
	return func(addr netip.Addr) bool {
		i := c.poolOf(addr)
		return i >= 0 && c.pools[i].SeparateNamespaces
	}
}

// commonPort returns the first port in both lists. Both lists must be sorted.
func commonPort(x, y []cluster.Port) (cluster.Port, bool) {
	for len(x) > 0 && len(y) > 0 {
		switch c := x[0].Compare(y[0]); {
		case c == 0:
			return x[0], true
		case c < 0:
			x = x[1:]
		default:
			y = y[1:]
		}
	}
	return cluster.Port{}, false
}

// unshared returns the reason why svc cannot share addr with holder.
func (h *holders) unshared(svc, holder *cluster.Service, addr netip.Addr) reason.Unshared {
	_, clash := commonPort(svc.Ports, holder.Ports)
	switch {
	case svc.SharingKey == "":
		return reason.NotMeant
	case holder.SharingKey == "":
		return reason.NoSharingKey
	case holder.SharingKey != svc.SharingKey:
		return reason.OtherSharingKey
	case clash:
		return reason.SamePort
	case holder.TrafficPolicy != svc.TrafficPolicy:
		return reason.OtherTrafficPolicy
	case holder.Key.Namespace != svc.Key.Namespace && (svc.TrafficPolicy == cluster.TrafficLocal || h.apart != nil && h.apart(addr)):
		return reason.OtherNamespace
	case svc.TrafficPolicy == cluster.TrafficLocal && holder.Selector != svc.Selector:
		return reason.OtherSelector
	default:
		return reason.Leaving
	}
}

// unsharedText returns the reason why svc cannot share addr with holder, as the end of a sentence that names holder.
// The text is empty for a Service without a sharing key.
func (a *Allocator) unsharedText(why reason.Unshared, svc, holder *cluster.Service, addr netip.Addr) string {
	switch why {
	case reason.NotMeant:
	case reason.NoSharingKey:
		return ", which has no sharing key"
	case reason.OtherSharingKey:
		return fmt.Sprintf(", whose sharing key is %s and not %s", quote(holder.SharingKey), quote(svc.SharingKey))
	case reason.SamePort:
		port, _ := commonPort(svc.Ports, holder.Ports)
		return fmt.Sprintf(", which has port %s too", port)
	case reason.OtherTrafficPolicy:
		return fmt.Sprintf(", whose externalTrafficPolicy is %s and not %s", holder.TrafficPolicy, svc.TrafficPolicy)
	case reason.OtherNamespace:
		if svc.TrafficPolicy == cluster.TrafficCluster {
			return ", which is in another namespace, and pool " + quote(a.pools[a.poolOf(addr)].Name) + " forbids that (share-across-namespaces)"
		}
		return ", whose externalTrafficPolicy is Local and whose Pods are in another namespace, so that no node has the endpoints of both"
	case reason.OtherSelector:
		return ", whose externalTrafficPolicy is Local and which has another selector"
	case reason.Leaving:
		return ", which is to give it up"
	}
	return ""
}

// maxPorts limits the ports listed in a message; the message counts the others.
const maxPorts = 40

// AppendSharing appends the terms on which svc shares its addresses to the text of a message. For a Service without a
// sharing key, AppendSharing appends nothing. The text lists at most maxPorts ports.
func AppendSharing(text []byte, svc *cluster.Service) []byte {
	if svc.SharingKey == "" {
		return text
	}
	text = append(text, "sharing key "...)
	text = strconv.AppendQuote(text, Shorten(svc.SharingKey, maxName))
	for i, p := range svc.Ports[:min(maxPorts, len(svc.Ports))] {
		if i == 0 {
			text = append(text, " for "...)
		} else {
			text = append(text, ", "...)
		}
		text = append(append(text, p.Protocol.String()...), ' ')
		text = strconv.AppendInt(text, int64(p.Number), 10)
	}
	if more := len(svc.Ports) - maxPorts; more > 0 {
		text = fmt.Appendf(text, " and %d more", more)
	}
	if svc.TrafficPolicy == cluster.TrafficLocal {
		text = append(text, " and externalTrafficPolicy Local"...)
	}
	return text
}
