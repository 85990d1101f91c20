package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Restricted reports whether only certain Services may use the pool.
func (p *Pool) Restricted() bool {
	return len(p.Namespaces) > 0 || len(p.NamespaceSelectors) > 0 || len(p.ServiceSelectors) > 0
}

// AdmitsNamespace reports whether Namespaces and NamespaceSelectors admit Services of the namespace name with the
// labels has.
func (p *Pool) AdmitsNamespace(name string, has map[string]string) bool {
	if len(p.Namespaces) == 0 && len(p.NamespaceSelectors) == 0 {
		return true
	}
	_, named := slices.BinarySearch(p.Namespaces, name)
	return named || matchesAny(p.NamespaceSelectors, has)
}

// AdmitsService reports whether ServiceSelectors admit a Service with the labels has.
func (p *Pool) AdmitsService(has map[string]string) bool {
	return len(p.ServiceSelectors) == 0 || matchesAny(p.ServiceSelectors, has)
}

func matchesAny(selectors []labels.Selector, has map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(has)) })
}

// Quota returns the greatest number of addresses of the pool for the namespace; limited is false for no limit. Each
// address counts once, even if several Services of the namespace share the address. A dual-stack Service may count
// twice.
func (p *Pool) Quota(namespace string) (limit int, limited bool) {
	if limit, limited = p.Quotas[namespace]; !limited {
		limit, limited = p.Quotas[""]
	}
	return limit, limited
}

// String returns "namespace/name".
func (n ServiceName) String() string { return n.Namespace + "/" + n.Name }

// String returns "address for namespace/name, namespace/name".
func (r Reservation) String() string {
	names := make([]string, len(r.Services))
	for i, n := range r.Services {
		names[i] = n.String()
	}
	return r.Addr.String() + " for " + strings.Join(names, ", ")
}

// reservations returns the reservations of a pool. complete is true if all addresses of the pool are known.
func (b *builder) reservations(raw value[[]rawReservation], pool Pool, complete bool) []Reservation {
	if raw.ok && len(raw.v) == 0 && raw.present() {
		b.fail(raw.at, "the mapping is empty; write addresses and their Services, or remove the key")
	}
	var all []Reservation
	lines := map[netip.Addr]int{}
	for _, r := range raw.v {
		addr, err := parseAddr(r.addr)
		if err != nil {
			b.fail(r.at, "%s", err)
		} else if first, twice := lines[addr]; twice {
			b.fail(r.at, "%s is reserved twice, first on line %d; write its Services as a list", addr, first)
		} else if complete && !pool.Contains(addr) {
			b.fail(r.at, "%s", notContained(addr, pool))
		}
		lines[addr] = r.at.line
		all = append(all, Reservation{addr, b.serviceNames(r)})
	}
	slices.SortFunc(all, func(x, y Reservation) int { return x.Addr.Compare(y.Addr) })
	return all
}

func notContained(addr netip.Addr, pool Pool) string {
	if find(pool.Ranges, addr) >= 0 {
		return fmt.Sprintf("%s is left out by avoid-buggy-ips, so nobody can have it", addr)
	}
	return fmt.Sprintf("%s is not in the pool, so nobody can have it; add it under addresses, or take it out of exclude", addr)
}

func (b *builder) serviceNames(raw rawReservation) []ServiceName {
	if len(raw.services) == 0 {
		b.fail(raw.at, "the list is empty; name at least one Service as namespace/name")
	}
	var names []ServiceName
	for _, text := range raw.services {
		if !text.ok {
			continue
		}
		name, err := parseServiceName(text.v)
		switch {
		case err != nil:
			b.fail(text.at, "%s", err)
		case slices.Contains(names, name):
			b.warn(text.at, "%q is in the list twice", text.v)
		default:
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y ServiceName) int { return strings.Compare(x.String(), y.String()) })
	return names
}

func parseServiceName(text string) (ServiceName, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok {
		return ServiceName{}, fmt.Errorf("%q must name a Service as namespace/name", text)
	}
	if err := checkNamespace(namespace); err != nil {
		return ServiceName{}, err
	}
	if validation.IsDNS1123Label(name) != nil {
		return ServiceName{}, fmt.Errorf("%q cannot be the name of a Service: it has small letters, digits and dashes, at most 63", name)
	}
	return ServiceName{namespace, name}, nil
}

// quotas returns the quotas of a pool.
func (b *builder) quotas(raw rawQuota) map[string]int {
	if raw.at == (place{}) {
		return nil
	}
	if !raw.wrong && !raw.each.given && len(raw.namespaces.v) == 0 {
		b.fail(raw.at, "the quota is empty; write {each: 4} for every namespace, {namespaces: {shop: 4}} for some, or both")
		return nil
	}
	quotas := map[string]int{}
	if raw.each.ok {
		quotas[""] = int(raw.each.v)
	}
	for _, l := range raw.namespaces.v {
		switch err := checkNamespace(l.namespace); {
		case err != nil:
			b.fail(l.limit.at, "%s", err)
		case !l.limit.given:
			b.fail(l.limit.at, "must be a number of addresses, and is empty")
		default:
			quotas[l.namespace] = int(l.limit.v)
		}
	}
	return quotas
}

func checkNamespace(name string) error {
	if validation.IsDNS1123Label(name) != nil {
		return fmt.Errorf("%q cannot be the name of a namespace: it has small letters, digits and dashes, at most 63", name)
	}
	return nil
}
