package peers

import (
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Standing classifies the host behind a MAC address.
type Standing uint8

const (
	// Foreign is a host that is no node of the cluster.
	Foreign Standing = iota
	// Unreached is a node of the cluster that is not a member of the gossip: it is gone, or gossip never reached it.
	Unreached
	// Member is a node that is a member of the gossip.
	Member
)

// String returns the standing in lower case.
func (s Standing) String() string { return [...]string{"foreign host", "unreached node", "member"}[s] }

// Peer is what this node knows of another one.
type Peer struct {
	Name     string
	Standing Standing
	// State is what the member said of itself last, also after it is gone.
	State membership.State
	// Suspected is true while a node hears nothing from the member. SuspectedByOthers is true when another node than this one said so.
	Suspected, SuspectedByOthers bool
	// Lost is true for a member that is suspected, and for one that is gone without having announced that it leaves. LastSign is when
	// something was heard from it last.
	Lost     bool
	LastSign time.Time
	// Newer is true when the peer has seen a change of the cluster that this node has not seen.
	Newer bool
	// Unconfigured is true when the member says that it has no valid configuration.
	Unconfigured bool
	// Ready is when the peer became ready, by its own clock, to the second; zero when it is not known. SeenReady is when this node
	// saw that.
	Ready, SeenReady time.Time
}

// Leaving reports whether the peer has announced that it leaves and has not come back.
func (p Peer) Leaving() bool { return p.State == membership.Leaving }

// IsReady reports whether the peer is a member of the gossip that says it is ready.
func (p Peer) IsReady() bool { return p.Standing == Member && p.State == membership.Ready }

// View is what this node knows of the others at one moment.
type View struct {
	peers    map[string]Peer
	stations map[layer2.MAC]string
	losses   int
}

// NewView returns a view of these peers. stations names the node of each MAC address; losses counts how often a member was suspected,
// lost or stopped being ready. The caller must not change the maps any more.
func NewView(peers map[string]Peer, stations map[layer2.MAC]string, losses int) *View {
	return &View{peers: peers, stations: stations, losses: losses}
}

// Peer returns what is known of the named node. Its Standing is Foreign when nothing is known.
func (v *View) Peer(name string) Peer {
	p := v.peers[name]
	p.Name = name
	return p
}

// Station returns the node that uses the MAC address. Its Standing is Foreign, and its name empty, when no node is known to use it.
func (v *View) Station(mac layer2.MAC) Peer { return v.Peer(v.stations[mac]) }

// Losses counts how often a member was suspected, lost or stopped being ready.
func (v *View) Losses() int { return v.losses }
