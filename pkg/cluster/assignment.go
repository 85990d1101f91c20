package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/reason"
)

// Assignment is the record that the controller writes on a Service. The record holds the assigned addresses, the terms
// of sharing, and the problems already reported to the owner of the Service. The next decision, also the decision of a
// new leader, reads the record and never a message.
type Assignment struct {
	// Addresses lists the assigned addresses, in the order of the status.
	Addresses []AssignedAddress
	// Sharing holds the terms on which the Service shared its addresses at that time.
	Sharing Sharing
	// Problems lists the reasons for missing addresses: one for each missing family, or one for the whole request.
	// Events have reported all of them. Problems is empty for a Service that has every address that it needs.
	Problems []Problem
	// IgnoredNode holds the values and the names of the annotations without effect that an Event has reported
	// (Service.PreferNodeValue).
	IgnoredNode string
	// Conflicts lists the foreign hosts and the claims that an Event has reported, in the order of Addresses.
	Conflicts []Conflict
	// Former lists addresses that the Service had and lost, at most one for each family that the Service lacks. If a
	// former address is free and allowed for the Service, the Service gets the address back before any other Service.
	Former []netip.Addr
}

// AssignedAddress is an address with the name of its pool.
type AssignedAddress struct {
	Addr netip.Addr
	Pool string
}

// Sharing holds the terms on which a Service shares addresses. A Service without a sharing key has the zero value.
type Sharing struct {
	Key           string
	Ports         []Port
	TrafficPolicy TrafficPolicy
	// Selector is empty unless TrafficPolicy is TrafficLocal.
	Selector string
}

// Problem identifies the reason for a missing address. Fields that do not apply to the Reason are empty.
type Problem struct {
	Reason reason.Assignment
	Family Family
	Addr   netip.Addr
	Pool   string
	// By names the Service, the Node or the MAC address with Addr, or the Services of the reservation of Addr, or the
	// invalid value of a field.
	By string
	// Unshared gives the reason why the Service cannot share Addr with the Service By.
	Unshared reason.Unshared
	// Full lists pools without a free address, at most three.
	Full []string
}

// Conflict records that foreign hosts answer for an address of the Service, or that another object of the API server
// claims the address. At least one of the lists has an entry.
type Conflict struct {
	Addr netip.Addr
	// MACs lists the MAC addresses of the hosts, at most MaxConflictMACs.
	MACs []string
	// Claims lists the texts of the claims (Claim.Text), at most MaxConflictMACs.
	Claims []string
}

// The bounds below keep the record far below the size that Kubernetes allows for annotations, even for very large
// fields of the Service. Two values that differ only beyond the bound count as equal.
const (
	// MaxRecordedText limits the length of a text in a record, in bytes.
	MaxRecordedText = 1024
	// MaxRecordedPorts limits the number of ports in a record.
	MaxRecordedPorts = 1000
	// MaxConflictMACs limits the number of MAC addresses, and the number of claims, recorded for one address.
	MaxConflictMACs = 16
)

// SharingOf returns the terms on which s shares addresses now.
func SharingOf(s *Service) Sharing {
	if s.SharingKey == "" {
		return Sharing{}
	}
	ports := s.Ports[:min(len(s.Ports), MaxRecordedPorts)]
	sharing := Sharing{Key: Recorded(s.SharingKey), Ports: ports, TrafficPolicy: s.TrafficPolicy}
	if s.TrafficPolicy == TrafficLocal {
		sharing.Selector = Recorded(s.Selector)
	}
	return sharing
}

// Recorded returns text in the form for records: cut to MaxRecordedText, and valid UTF-8.
func Recorded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxRecordedText)], "")
}

// Equal reports whether s and o share addresses on the same terms.
func (s Sharing) Equal(o Sharing) bool {
	return s.Key == o.Key && s.TrafficPolicy == o.TrafficPolicy && s.Selector == o.Selector &&
		slices.Equal(s.Ports, o.Ports)
}

// Equal reports whether p and o are the same problem, including the full pools.
func (p Problem) Equal(o Problem) bool { return p.Same(o) && slices.Equal(p.Full, o.Full) }

// Same reports whether p and o are the same problem for the owner of the Service. A second Event is not necessary then.
func (p Problem) Same(o Problem) bool {
	return p.Reason == o.Reason && p.Family == o.Family && p.Addr == o.Addr && p.Pool == o.Pool &&
		p.By == o.By && p.Unshared == o.Unshared
}

// Equal reports whether c and o are the same conflict.
func (c Conflict) Equal(o Conflict) bool {
	return c.Addr == o.Addr && slices.Equal(c.MACs, o.MACs) && slices.Equal(c.Claims, o.Claims)
}

// Equal reports whether both records have the same content.
func (a *Assignment) Equal(o *Assignment) bool {
	if a == nil || o == nil {
		return a == o
	}
	return slices.Equal(a.Addresses, o.Addresses) && a.Sharing.Equal(o.Sharing) && a.IgnoredNode == o.IgnoredNode &&
		slices.EqualFunc(a.Problems, o.Problems, Problem.Equal) &&
		slices.EqualFunc(a.Conflicts, o.Conflicts, Conflict.Equal) && slices.Equal(a.Former, o.Former)
}

// Has reports whether the record contains addr as an assigned address. A nil record contains none.
func (a *Assignment) Has(addr netip.Addr) bool {
	return a != nil && slices.ContainsFunc(a.Addresses, func(x AssignedAddress) bool { return x.Addr == addr })
}

// PoolOf returns the pool of the assigned address addr, or "" if the record does not have addr.
func (a *Assignment) PoolOf(addr netip.Addr) string {
	if a != nil {
		for _, x := range a.Addresses {
			if x.Addr == addr {
				return x.Pool
			}
		}
	}
	return ""
}

// LastOf returns the present address of the family, or else the former one; the zero Addr if the record has neither.
func (a *Assignment) LastOf(f Family) netip.Addr {
	for _, x := range a.Addresses {
		if FamilyOf(x.Addr) == f {
			return x.Addr
		}
	}
	for _, addr := range a.Former {
		if FamilyOf(addr) == f {
			return addr
		}
	}
	return netip.Addr{}
}

// ConflictAt returns the conflict about addr.
func (a *Assignment) ConflictAt(addr netip.Addr) (Conflict, bool) {
	if a != nil {
		for _, c := range a.Conflicts {
			if c.Addr == addr {
				return c, true
			}
		}
	}
	return Conflict{}, false
}
