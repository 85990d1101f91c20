package soak

import (
	"context"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/wire"
)

// Site is where a soak happens: a cluster, its users, a LAN with somebody who listens, and what can happen to all of it. But for Begin and
// the functions that it returns, its methods are called by one goroutine each.
type Site interface {
	// Rules are those of the faults that can happen here.
	Rules() Rules
	// Start makes the cluster and the Services that stay, and keeps s for what is to be told. Close removes all of it, also after an error.
	Start(ctx context.Context, s *Soak) error
	Close()
	// MACs are those of the nodes that faults happen to.
	MACs() []wire.MAC

	// Changes returns what was done to Services since the last call, in order, and Claims what claims were heard, in the order of time.
	Changes() ([]apiserver.Change, error)
	Claims() []wire.Claim
	// Ask asks the LAN once for each of the addresses, and keeps no part of the slice.
	Ask([]netip.Addr) error
	// Places are the nodes that may have the addresses of those Services for which that matters.
	Places() map[types.NamespacedName][]wire.MAC
	// Pools are parts of pools, and the nodes that alone may have their addresses.
	Pools() map[netip.Prefix][]wire.MAC
	// Deed does one thing that users do, and tells whether there was one to do.
	Deed() (bool, error)
	// Events returns how many Events of each reason were written since the last call.
	Events() (map[string]int, error)

	// Begin lets a fault begin. What it returns ends it, and is called also after an error.
	Begin(ctx context.Context, f Fault) (end func() error, err error)
	// Sample looks at all processes that no fault happens to; Supervise looks whether they run.
	Sample(ctx context.Context)
	Supervise(ctx context.Context) error
	// Speakers are the processes of those speakers that no fault happens to.
	Speakers() []int
}
