package speaker

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Source returns the cluster as it is known now.
type Source interface{ Snapshot() cluster.Snapshot }

// Peers are the speakers of the other nodes, as gossip reaches them.
type Peers interface {
	// Members returns all known members sorted by name, this node among them.
	Members() []membership.Member
	// Settled is false until this node has heard from another one, or has tried for long enough. Before that it does not know which
	// addresses the others have.
	Settled() bool
	// Unreached returns the nodes that gossip has tried in vain.
	Unreached() []membership.Unreached
	// SetState tells the others what this node says of itself.
	SetState(membership.Report) error
	// Ping asks a member by gossip whether it lives.
	Ping(name string) error
	// Suspect tells the others that nothing was heard from a member for a time, or, when that is 0, that it is heard again.
	Suspect(name string, silent time.Duration)
	// Tell tells the named member how far this node has seen the cluster.
	Tell(name string, versions [8]uint64)
}

// Predecessor is what this process takes over from another process of the same node.
type Predecessor struct {
	// Succeeds is true when there is one, so that this process is ready from the start.
	Succeeds bool
	// Addrs are the addresses that the predecessor announced until now.
	Addrs []netip.Addr
	// Members are those that it knew.
	Members []membership.Member
	// Since is when the node became ready; zero when the predecessor did not say.
	Since time.Time
}

// Options are the collaborators and settings of a Speaker. Registerer and all fields below it are optional.
type Options struct {
	// Self is the name of this node.
	Self string
	// Wake receives a value when the source, the peers or the announcer have news.
	Wake       <-chan struct{}
	Source     Source
	Peers      Peers
	Announcer  *layer2.Announcer
	Event      func(cluster.Event)
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// AddressMetrics adds a series for each address that this node answers for.
	AddressMetrics bool
	Predecessor    Predecessor
	// Informed reports whether this node hears from the API server. Without it, the answer is always yes.
	Informed func() bool
	// Forwards reports whether this node passes packets for the addresses of Services on to the pods; a node that has booted takes nothing
	// before. Without it, the answer is always yes. A value in Wake announces a change.
	Forwards func() bool
	// Held and Foreign are called when the addresses that this node has, or the foreign hosts, in Status have changed. They must not block.
	Held    func([]netip.Addr)
	Foreign func()
}

func (o Options) withDefaults() Options {
	if o.Informed == nil {
		o.Informed = func() bool { return true }
	}
	if o.Forwards == nil {
		o.Forwards = func() bool { return true }
	}
	if o.Held == nil {
		o.Held = func([]netip.Addr) {}
	}
	if o.Foreign == nil {
		o.Foreign = func() {}
	}
	return o
}
