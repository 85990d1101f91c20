package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/reason"
)

// Assignment is the record that the controller writes on a Service: what the Service was assigned, under which terms,
// and which problems its owner was told of. The next decision, also that of a new leader, reads the record and no
// message.
type Assignment struct {
	// Addresses are the assigned addresses, in the order of the status.
	Addresses []AssignedAddress
	// Sharing is how the Service shared its addresses at that time.
	Sharing Sharing
	// Problems say why the Service lacks an address: one for each missing family, or one for the whole request. Events
	// have told of them. Empty for a Service that has every address that it needs.
	Problems []Problem
	// IgnoredNode is the value of the annotation for a preferred node that an Event has reported as not valid.
	IgnoredNode string
	// Conflicts are the foreign hosts and the claims that an Event has told of, in the order of Addresses.
	Conflicts []Conflict
	// Former are addresses that the Service has had and does not have any more, at most one of each family that it lacks. The
	// Service gets them back before any other Service gets them, when they are free and it may have them.
	Former []netip.Addr
}

// AssignedAddress is an address and the pool that it came from.
type AssignedAddress struct {
	Addr netip.Addr
	Pool string
}

// Sharing is how a Service shares addresses. It is the zero value for a Service without a sharing key.
type Sharing struct {
	Key           string
	Ports         []Port
	TrafficPolicy TrafficPolicy
	// Selector is empty unless TrafficPolicy is TrafficLocal.
	Selector string
}

// Problem identifies why a Service lacks an address. Fields that do not apply to the Reason are empty.
type Problem struct {
	Reason reason.Assignment
	Family Family
	Addr   netip.Addr
	Pool   string
	// By names the Service, the Node or the MAC address that has Addr, the Services that Addr is reserved for, or the
	// value of the field that is not valid.
	By string
	// Unshared says why the Service cannot share Addr with the Service By.
	Unshared reason.Unshared
	// Full are pools without a free address, at most three.
	Full []string
}

// Conflict is an address of the Service that foreign hosts answer for, or that another object of the API server has. At least
// one of the lists has an entry.
type Conflict struct {
	Addr netip.Addr
	// MACs are the MAC addresses of the hosts, at most MaxConflictMACs of them.
	MACs []string
	// Claims are the texts of the claims (Claim.Text), at most MaxConflictMACs of them.
	Claims []string
}

// The bounds below keep the record far below the size that Kubernetes allows for annotations, whatever a user writes
// into the fields of the Service. Two values that differ only beyond the bound count as equal.
const (
	// MaxRecordedText is the length of the longest text in a record, in bytes.
	MaxRecordedText = 1024
	// MaxRecordedPorts is the number of ports in a record.
	MaxRecordedPorts = 1000
	// MaxConflictMACs is the number of MAC addresses, and that of claims, recorded for one address.
	MaxConflictMACs = 16
)

// SharingOf returns how s shares addresses now.
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

// Recorded returns text as records hold it: cut to MaxRecordedText, and valid UTF-8.
func Recorded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxRecordedText)], "")
}

// Equal reports whether both share addresses on the same terms.
func (s Sharing) Equal(o Sharing) bool {
	return s.Key == o.Key && s.TrafficPolicy == o.TrafficPolicy && s.Selector == o.Selector &&
		slices.Equal(s.Ports, o.Ports)
}

// Equal reports whether both are the same problem, the full pools included.
func (p Problem) Equal(o Problem) bool { return p.Same(o) && slices.Equal(p.Full, o.Full) }

// Same reports whether both are the same problem to the owner of the Service, who need not be told of it again.
func (p Problem) Same(o Problem) bool {
	return p.Reason == o.Reason && p.Family == o.Family && p.Addr == o.Addr && p.Pool == o.Pool &&
		p.By == o.By && p.Unshared == o.Unshared
}

// Equal reports whether both are the same conflict.
func (c Conflict) Equal(o Conflict) bool {
	return c.Addr == o.Addr && slices.Equal(c.MACs, o.MACs) && slices.Equal(c.Claims, o.Claims)
}

// Equal reports whether both records say the same.
func (a *Assignment) Equal(o *Assignment) bool {
	if a == nil || o == nil {
		return a == o
	}
	return slices.Equal(a.Addresses, o.Addresses) && a.Sharing.Equal(o.Sharing) && a.IgnoredNode == o.IgnoredNode &&
		slices.EqualFunc(a.Problems, o.Problems, Problem.Equal) &&
		slices.EqualFunc(a.Conflicts, o.Conflicts, Conflict.Equal) && slices.Equal(a.Former, o.Former)
}

// Has reports whether the record says that addr was assigned. A nil record says nothing.
func (a *Assignment) Has(addr netip.Addr) bool {
	return a != nil && slices.ContainsFunc(a.Addresses, func(x AssignedAddress) bool { return x.Addr == addr })
}

// PoolOf returns the pool that addr was assigned from, empty if the record does not have addr.
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

// LastOf returns the address of the family that the Service has or has had last, the zero Addr if the record has none.
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
