package cluster

import (
	"cmp"
	"net/netip"
)

// Claim is an address that an object of the API server has without an assignment by Lanlord. No Service gets a claimed
// address. A Service that already has the address keeps the address, because its traffic works, and the condition of
// the Service reports the claim.
type Claim struct {
	Addr netip.Addr
	By   ClaimedBy
	// Holder identifies the Service, the Gateway or the Node. The Namespace of a Node is empty.
	Holder Key
	// Managed is true when Holder is a Service of Lanlord. Such a Service claims by spec.externalIPs.
	Managed bool
}

// ClaimedBy names the field that contains a claimed address.
type ClaimedBy uint8

const (
	// ClaimedByStatus marks an address in status.loadBalancer of a Service of another class; another controller serves
	// the Service.
	ClaimedByStatus ClaimedBy = iota
	// ClaimedByExternalIPs marks an address in spec.externalIPs of a Service of any type.
	ClaimedByExternalIPs
	// ClaimedByNode marks an ExternalIP in the status of a Node.
	ClaimedByNode
	// ClaimedByGateway marks an address in status.addresses of a Gateway. When a Service of Lanlord has the address,
	// the Gateway shows the address of that Service, and the claim has no effect.
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

// Text returns the claim as the end of a sentence that begins with the address.
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
