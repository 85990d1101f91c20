package succession

import (
	"net"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Inheritance describes the state of the previous process.
type Inheritance struct {
	// Succeeds is true when this process followed another process until its end. Otherwise the other fields are empty.
	Succeeds bool
	// Addrs lists the addresses already answered for by this process.
	Addrs []netip.Addr
	// Members lists the other members known to the previous process.
	Members []membership.Member
	// Since is the time when the node became ready, zero if unknown.
	Since time.Time
}

// inherit returns the content of the place for the node named self.
func inherit(place handover.Place, self string) Inheritance {
	i := Inheritance{Succeeds: true, Addrs: place.Addrs, Members: membersOf(place, self)}
	if place.Since > 0 {
		i.Since = time.Unix(place.Since, 0)
	}
	return i
}

// placeMembers returns the members to pass to the next process.
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

// membersOf returns the members of the place without self. membersOf skips texts that are no MAC addresses.
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
