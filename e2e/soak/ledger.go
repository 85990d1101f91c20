package soak

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
)

// The annotations that Services of a soak have.
const (
	AddressesAnnotation = "lanlord.io/load-balancer-ips"
	SharingAnnotation   = "lanlord.io/allow-shared-ip"
)

// account is what is known of a Service that is to have addresses.
type account struct {
	addrs []netip.Addr
	// want is what it asks for, since when it does not have that, zero if it has, and whether that was told of.
	want  wish
	since time.Time
	told  bool
	// reason says that it has asked for something else since it got its addresses.
	reason bool
}

// wish is the part of a Service that decides about its addresses.
type wish struct {
	addrs, sharing, families string
}

func wishOf(s *corev1.Service) wish {
	return wish{s.Annotations[AddressesAnnotation], s.Annotations[SharingAnnotation], fmt.Sprint(s.Spec.IPFamilies)}
}

// Ledger holds what is written of Services' addresses to the rules of allocation. Its methods are called by one goroutine.
type Ledger struct {
	services map[types.NamespacedName]*account
	holders  map[netip.Addr][]types.NamespacedName
	// Assigned are the times from a Service's wish to its addresses.
	Assigned []time.Duration
	// Changed counts addresses that changed for a reason.
	Changed int
}

// NewLedger returns one without Services.
func NewLedger() *Ledger {
	return &Ledger{services: make(map[types.NamespacedName]*account), holders: make(map[netip.Addr][]types.NamespacedName)}
}

// Addrs returns all addresses that Services have.
func (l *Ledger) Addrs() map[netip.Addr]bool {
	all := make(map[netip.Addr]bool, len(l.holders))
	for a := range l.holders {
		all[a] = true
	}
	return all
}

// Of returns the addresses that a Service has.
func (l *Ledger) Of(key types.NamespacedName) []netip.Addr {
	if a := l.services[key]; a != nil {
		return a.addrs
	}
	return nil
}

// Len is how many Services there are.
func (l *Ledger) Len() int { return len(l.services) }

// Note takes a change of a Service at a time, and returns what rules it breaks.
func (l *Ledger) Note(c apiserver.Change, at time.Time) (broken []string) {
	if c.After == nil {
		key := keyOf(c.Before.(*corev1.Service))
		l.give(key, nil)
		delete(l.services, key)
		return nil
	}
	s := c.After.(*corev1.Service)
	key, now := keyOf(s), wishOf(s)
	a := l.services[key]
	if a == nil {
		a = &account{want: now, since: at}
		l.services[key] = a
	}
	addrs := addrsOf(s)
	ok := satisfied(s, addrs)
	if now != a.want {
		a.want, a.reason, a.told = now, true, false
		if a.since.IsZero() && !ok {
			a.since = at
		}
	}
	if slices.Equal(addrs, a.addrs) {
		if ok {
			a.since = time.Time{} // a wish was taken back
		}
		return nil
	}
	old := a.addrs
	l.give(key, addrs)
	switch {
	case len(old) > 0 && !a.reason:
		broken = append(broken, fmt.Sprintf("%s had %v and has %v, without a reason", key, old, addrs))
	case len(old) > 0:
		l.Changed++
	}
	a.reason = false
	for _, addr := range addrs {
		broken = append(broken, l.conflicts(key, addr)...)
		if now.addrs != "" && now.addrs != addr.String() {
			broken = append(broken, fmt.Sprintf("%s asks for %s and is given %s", key, now.addrs, addr))
		}
	}
	switch {
	case ok && !a.since.IsZero():
		l.Assigned = append(l.Assigned, at.Sub(a.since))
		a.since = time.Time{}
	case !ok && a.since.IsZero():
		a.since = at
	}
	return broken
}

// satisfied tells whether a Service has an address of each family that it wants, and the one that it asks for.
func satisfied(s *corev1.Service, addrs []netip.Addr) bool {
	for _, f := range s.Spec.IPFamilies {
		if !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is4() == (f == corev1.IPv4Protocol) }) {
			return false
		}
	}
	asks := s.Annotations[AddressesAnnotation]
	return asks == "" || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.String() == asks })
}

// give makes these the addresses of a Service.
func (l *Ledger) give(key types.NamespacedName, addrs []netip.Addr) {
	a := l.services[key]
	if a == nil {
		return
	}
	for _, old := range a.addrs {
		rest := slices.DeleteFunc(l.holders[old], func(k types.NamespacedName) bool { return k == key })
		if l.holders[old] = rest; len(rest) == 0 {
			delete(l.holders, old)
		}
	}
	a.addrs = addrs
	for _, addr := range addrs {
		l.holders[addr] = append(l.holders[addr], key)
	}
}

// conflicts tells of others that have an address and do not share it.
func (l *Ledger) conflicts(key types.NamespacedName, addr netip.Addr) (broken []string) {
	mine := l.services[key].want.sharing
	for _, other := range l.holders[addr] {
		if theirs := l.services[other].want.sharing; other != key && (mine == "" || mine != theirs) {
			broken = append(broken, fmt.Sprintf("%s is of %s (sharing %q) and of %s (sharing %q)", addr, key, mine, other, theirs))
		}
	}
	return broken
}

// Open returns how many Services are without what they want.
func (l *Ledger) Open() (n int) {
	for _, a := range l.services {
		if !a.since.IsZero() {
			n++
		}
	}
	return n
}

// Waiting returns the Services that have been without what they want since a time that is overdue, each once.
func (l *Ledger) Waiting(overdue func(since time.Time) bool) (broken []string) {
	for _, key := range slices.SortedFunc(maps.Keys(l.services), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }) {
		a := l.services[key]
		if !a.since.IsZero() && !a.told && overdue(a.since) {
			a.told = true
			broken = append(broken, fmt.Sprintf("%s wants %+v since %s, and has %v", key, a.want, a.since.Format("15:04:05.000"), a.addrs))
		}
	}
	return broken
}

func keyOf(s *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
}

// addrsOf returns the addresses of a Service's status, sorted.
func addrsOf(s *corev1.Service) (addrs []netip.Addr) {
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
