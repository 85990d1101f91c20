package cluster

import "net/netip"

type Stranger struct {
	Addr       netip.Addr
	MAC        string
	Quarantine bool
}
