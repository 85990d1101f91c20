package cluster

import (
	"cmp"
	"net/netip"
)

// Claim is an address that an object of the API server names as its own, although Lanlord has not assigned the address to
// that object. No Service gets a claimed address. A Service that has the address already keeps it, since its traffic works,
// and its condition tells of the claim.
type Claim struct {
	Addr netip.Addr
	By   ClaimedBy
	// Holder is the Service, the Gateway or the Node. The Namespace of a Node is empty.
	Holder Key
	// Managed is true when Holder is a Service of Lanlord, which claims by spec.externalIPs.
	Managed bool
}

// ClaimedBy is the field that names a claimed address.
type ClaimedBy uint8

const (
	// ClaimedByStatus is for status.loadBalancer of a Service of another class, which another controller serves.
	ClaimedByStatus ClaimedBy = iota
	// ClaimedByExternalIPs is for spec.externalIPs of a Service of any type.
	ClaimedByExternalIPs
	// ClaimedByNode is for an ExternalIP in the status of a Node.
	ClaimedByNode
	// ClaimedByGateway is for status.addresses of a Gateway. When a Service of Lanlord has the address, the Gateway shows the
	// address of that Service, and the claim counts for nothing.
	ClaimedByGateway
)

// String returns one word.
func (c ClaimedBy) String() string { return [...]string{"Status", "ExternalIPs", "Node", "Gateway"}[c] }

// Compare orders claims by address, then by By and Holder.
func (c Claim) Compare(o Claim) int {
	return cmp.Or(c.Addr.Compare(o.Addr), cmp.Compare(c.By, o.By), c.Holder.Compare(o.Holder))
}

// HolderText returns the holder with its kind, like "Service shop/web" or "Node n1".
func (c Claim) HolderText() string {
	switch c.By {
	case ClaimedByNode:
		return "Node " + c.Holder.Name
	case ClaimedByGateway:
		return "Gateway " + c.Holder.String()
	default:
		return "Service " + c.Holder.String()
	}
}

// Text returns what the holder does with the address, as the end of a sentence that begins with the address.
func (c Claim) Text() string {
	switch c.By {
	case ClaimedByStatus:
		return "is in the status of " + c.HolderText() + ", which another controller serves"
	case ClaimedByExternalIPs:
		return "is in spec.externalIPs of " + c.HolderText()
	case ClaimedByNode:
		return "is an ExternalIP of " + c.HolderText()
	default:
		return "is in the status of " + c.HolderText()
	}
}
