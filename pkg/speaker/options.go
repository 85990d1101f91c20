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

// Source returns the current snapshot of the cluster.
type Source interface{ Snapshot() cluster.Snapshot }

// Peers gives access to the speakers of the other nodes through gossip.
type Peers interface {
	// Members returns all known members, this node included, sorted by name.
	Members() []membership.Member
	// Settled is false until this node has heard from another node, or has tried for long enough. Before that, this
	// node does not know the addresses of the other nodes.
	Settled() bool
	// Unreached returns the nodes with no answer to gossip.
	Unreached() []membership.Unreached
	// SetState publishes the report of this node to the other members.
	SetState(membership.Report) error
	// Ping asks a member by gossip for a sign of life.
	Ping(name string) error
	// Suspect tells the other members for how long this node has heard nothing from a member. The duration 0 ends the
	// suspicion.
	Suspect(name string, silent time.Duration)
	// Tell sends the versions of this node to the named member.
	Tell(name string, versions [8]uint64)
}

// PathPeers is an optional part of Peers: other members probe the path through this node before this node announces a
// new address. Without the part, this node waits until kube-proxy must have its rules.
type PathPeers interface {
	// AskPath asks the named member to probe, and AnswerPath answers a question of the named member. Both messages may
	// be lost.
	AskPath(name string, q membership.PathQuestion)
	AnswerPath(name string, number uint32, there bool)
}

// Predecessor describes the previous process of the same node.
type Predecessor struct {
	// Succeeds is true when a predecessor exists, so that this process is ready from the start.
	Succeeds bool
	// Addrs lists the addresses that the predecessor announced until now.
	Addrs []netip.Addr
	// Members lists the members known to the predecessor.
	Members []membership.Member
	// Since is the time at which the node became ready; zero when the predecessor did not say.
	Since time.Time
}

// Options holds the collaborators and settings of a Speaker. Registerer and all fields below it are optional.
type Options struct {
	// Self is the name of this node.
	Self string
	// Wake receives a value after each change of the source, the peers or the announcer.
	Wake       <-chan struct{}
	Source     Source
	Peers      Peers
	Announcer  *layer2.Announcer
	Event      func(cluster.Event)
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// AddressMetrics adds a series for each address of this node.
	AddressMetrics bool
	Predecessor    Predecessor
	// Informed reports whether this node has contact with the API server. A nil function means yes.
	Informed func() bool
	// Forwards reports whether this node forwards packets for the addresses of Services to the pods; after a boot, the
	// node takes no address before. A nil function means yes. A value in Wake announces a change.
	Forwards func() bool
	Hooks    Hooks
	Routing  Routing
}

// Hooks are called after changes of Status. The functions must not block. Each of them may be nil.
type Hooks struct {
	// Held is called after a change of the owned addresses, and Foreign after a change of the foreign hosts.
	Held    func([]netip.Addr)
	Foreign func()
	// Deciding is called before each round with the number of addresses on which the round may decide.
	Deciding func(addresses int)
}

func (o Options) withDefaults() Options {
	if o.Informed == nil {
		o.Informed = func() bool { return true }
	}
	if o.Forwards == nil {
		o.Forwards = func() bool { return true }
	}
	if o.Hooks.Held == nil {
		o.Hooks.Held = func([]netip.Addr) {}
	}
	if o.Hooks.Foreign == nil {
		o.Hooks.Foreign = func() {}
	}
	if o.Hooks.Deciding == nil {
		o.Hooks.Deciding = func(int) {}
	}
	return o
}
