package wire

import "net/netip"

// Lengths of messages in bytes (RFC 4271, section 4.1).
const (
	HeaderLen = 19
	MaxLen    = 4096
)

// Type is the type of a message (RFC 4271, section 4.1; RFC 2918).
type Type uint8

// The types, with their numbers in messages.
const (
	TypeOpen Type = iota + 1
	TypeUpdate
	TypeNotification
	TypeKeepalive
	TypeRouteRefresh

	// TypeCount is one more than the largest Type.
	TypeCount = int(TypeRouteRefresh) + 1
)

// String returns the name of the type in lower case, for labels of metrics.
func (t Type) String() string {
	if int(t) >= TypeCount {
		return "unknown"
	}
	return [TypeCount]string{"unknown", "open", "update", "notification", "keepalive", "route-refresh"}[t]
}

// Family is an address family with the subsequent family unicast (RFC 4760).
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6

	// FamilyCount is the number of Family values.
	FamilyCount = int(IPv6) + 1
)

// String returns "IPv4" or "IPv6".
func (f Family) String() string { return [FamilyCount]string{"IPv4", "IPv6"}[f] }

// FamilyOf returns the family of an address. A 4-in-6 address counts as IPv6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// GracefulShutdown is the community GRACEFUL_SHUTDOWN (RFC 8326).
const GracefulShutdown uint32 = 0xffff0000

// Route is a prefix to announce. The next hop is an address of the session.
type Route struct {
	// Prefix is masked.
	Prefix netip.Prefix
	// MED is sent when HasMED is true.
	MED    uint32
	HasMED bool
	// LocalPref is sent to iBGP peers only.
	LocalPref uint32
	// Prepend is the number of additional local AS numbers in the AS_PATH to eBGP peers, 0 to 10.
	Prepend int
	// Communities and LargeCommunities are sorted, each once.
	Communities      []uint32
	LargeCommunities [][3]uint32
}
