package peers

import (
	"maps"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
)

// Standing classifies the host behind a MAC address.
type Standing uint8

const (
	// Foreign is a host outside the cluster.
	Foreign Standing = iota
	// Unreached is a node of the cluster outside the gossip: the node is gone, or gossip never reached the node.
	Unreached
	// Member is a node of the cluster and a member of the gossip.
	Member
)

// String returns the standing in lower case.
func (s Standing) String() string { return [...]string{"foreign host", "unreached node", "member"}[s] }

// Peer describes another node in the view of this node.
type Peer struct {
	Name     string
	Standing Standing
	// State is the last state announced by the member, kept after its departure.
	State membership.State
	// Suspected is true while a node hears nothing from the member. SuspectedByOthers is true when another node
	// reported the suspicion.
	Suspected, SuspectedByOthers bool
	// Lost is true for a suspected member, and for a member that departed without announcing its leaving. LastSign is
	// the time of the last sign of a lost member.
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

// IsReady reports whether the peer is a ready member of the gossip.
func (p Peer) IsReady() bool { return p.Standing == Member && p.State == membership.Ready }

// View is an immutable snapshot of the peers in the view of this node.
type View struct {
	peers    map[string]Peer
	stations map[layer2.MAC]string
	losses   int
}

// NewView returns a view of the given peers. stations names the node of each MAC address; losses counts how often a
// member was suspected, lost or stopped being ready. The caller must not change the maps afterwards.
func NewView(peers map[string]Peer, stations map[layer2.MAC]string, losses int) *View {
	return &View{peers: peers, stations: stations, losses: losses}
}

// Peer returns the named node. The Standing of an unknown node is Foreign.
func (v *View) Peer(name string) Peer {
	p := v.peers[name]
	p.Name = name
	return p
}

// MACs returns the hardware addresses of all other nodes, with the names of the nodes. The map must not be changed.
func (v *View) MACs() map[layer2.MAC]string { return v.stations }

// Station returns the node that uses the MAC address. For an unknown MAC address, the Standing is Foreign and the name
// empty.
func (v *View) Station(mac layer2.MAC) Peer { return v.Peer(v.stations[mac]) }

// Equal reports whether both views say the same of every peer.
func (v *View) Equal(o *View) bool {
	return v == o || v != nil && o != nil && v.losses == o.losses && maps.Equal(v.peers, o.peers) &&
		maps.Equal(v.stations, o.stations)
}

// Losses counts how often a member was suspected, lost or stopped being ready.
func (v *View) Losses() int { return v.losses }
