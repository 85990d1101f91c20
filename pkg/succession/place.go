package succession

import (
	"net"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Inheritance describes the state that the process before this one had.
type Inheritance struct {
	// Succeeds is true when this process followed another one until its end. Otherwise the other fields are empty.
	Succeeds bool
	// Addrs are the addresses that this process answers for already.
	Addrs []netip.Addr
	// Members are the other members that the process before this one knew.
	Members []membership.Member
	// Since is the time when the node became ready, zero if unknown.
	Since time.Time
}

// inherit returns what the place tells the node named self.
func inherit(place handover.Place, self string) Inheritance {
	i := Inheritance{Succeeds: true, Addrs: place.Addrs, Members: membersOf(place, self)}
	if place.Since > 0 {
		i.Since = time.Unix(place.Since, 0)
	}
	return i
}

// placeMembers returns what the next process is to know of the members.
func placeMembers(members []membership.Member) (list []handover.Member) {
	for _, m := range members {
		known := handover.Member{Name: m.Name}
		for _, l := range m.Links {
			known.MACs = append(known.MACs, l.MAC.String())
		}
		list = append(list, known)
	}
	return list
}

// membersOf returns the members of the place without self. Texts that are no MAC addresses are left out.
func membersOf(place handover.Place, self string) (members []membership.Member) {
	for _, m := range place.Members {
		if m.Name == self {
			continue
		}
		member := membership.Member{Name: m.Name, State: membership.Ready}
		for _, text := range m.MACs {
			if mac, err := net.ParseMAC(text); err == nil && len(mac) == len(membership.MAC{}) {
				member.Links = append(member.Links, membership.Link{MAC: membership.MAC(mac)})
			}
		}
		members = append(members, member)
	}
	return members
}
