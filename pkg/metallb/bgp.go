package metallb

import (
	"reflect"
	"slices"
	"strings"
)

// routeSpec holds the keys about routes of a BGPAdvertisement, and of an entry under bgpAdvertisements of an
// AddressPool.
type routeSpec struct {
	AggregationLength   *int   `yaml:"aggregationLength"`
	AggregationLengthV6 *int   `yaml:"aggregationLengthV6"`
	LocalPref           uint32 `yaml:"localPref"`
	Communities         []string
	Peers               []string
}

type peer struct {
	object
	spec peerSpec
}

type peerSpec struct {
	MyASN          uint32          `yaml:"myASN"`
	PeerASN        uint32          `yaml:"peerASN"`
	DynamicASN     string          `yaml:"dynamicASN"`
	PeerAddress    string          `yaml:"peerAddress"`
	Interface      string          `yaml:"interface"`
	SourceAddress  string          `yaml:"sourceAddress"`
	PeerPort       uint16          `yaml:"peerPort"`
	HoldTime       string          `yaml:"holdTime"`
	KeepaliveTime  string          `yaml:"keepaliveTime"`
	ConnectTime    string          `yaml:"connectTime"`
	RouterID       string          `yaml:"routerID"`
	NodeSelectors  []labelSelector `yaml:"nodeSelectors"`
	Password       string          `yaml:"password"`
	PasswordSecret struct {
		Name      string
		Namespace string
	} `yaml:"passwordSecret"`
	BFDProfile             string `yaml:"bfdProfile"`
	EnableGracefulRestart  bool   `yaml:"enableGracefulRestart"`
	EBGPMultiHop           bool   `yaml:"ebgpMultiHop"`
	VRF                    string `yaml:"vrf"`
	DisableMP              bool   `yaml:"disableMP"`
	DualStackAddressFamily bool   `yaml:"dualStackAddressFamily"`
}

type profile struct {
	object
	spec struct {
		ReceiveInterval  *int `yaml:"receiveInterval"`
		TransmitInterval *int `yaml:"transmitInterval"`
		DetectMultiplier *int `yaml:"detectMultiplier"`
		EchoInterval     *int `yaml:"echoInterval"`
		EchoMode         bool `yaml:"echoMode"`
		PassiveMode      bool `yaml:"passiveMode"`
		MinimumTTL       *int `yaml:"minimumTtl"`
	}
}

type community struct {
	object
	spec struct {
		Communities []struct{ Name, Value string }
	}
}

// restartTime is the restart time that MetalLB announces to routers with enableGracefulRestart.
const restartTime = "120s"

func (r *resources) peerEntries() []peerEntry {
	var all []peerEntry
	for i := range r.peers {
		p, s := &r.peers[i], &r.peers[i].spec
		e := peerEntry{
			Name: p.Metadata.Name, MyASN: s.MyASN, PeerASN: s.PeerASN, Address: s.PeerAddress, Interface: s.Interface,
			Port: s.PeerPort, NodeSelectors: entries(s.NodeSelectors), SourceAddress: s.SourceAddress, RouterID: s.RouterID,
			HoldTime: s.HoldTime, KeepaliveTime: s.KeepaliveTime, BFDProfile: s.BFDProfile, Password: s.Password,
			Multihop: s.EBGPMultiHop,
		}
		if s.PeerPort == 179 {
			e.Port = 0
		}
		if s.DynamicASN != "" {
			e.PeerASN = s.DynamicASN
		}
		if s.EnableGracefulRestart {
			e.GracefulRestart = restartTime
		}
		if name := s.PasswordSecret.Name; name != "" {
			e.PasswordSecret = name + "/password"
			r.tellOfSecret(p, name)
		}
		if s.ConnectTime != "" {
			r.note("%s: connectTime has no counterpart: Lanlord connects again at once, and then after 1 to 30 seconds", p)
		}
		if s.VRF != "" {
			r.note("%s: vrf has no counterpart: the session uses the routes of the main table", p)
		}
		if s.DisableMP {
			r.note("%s: disableMP has no counterpart: one session offers routes of both families, and the router chooses", p)
		}
		all = append(all, e)
	}
	return all
}

// tellOfSecret adds a note about the Secret with the password, if the user must act or the namespace is ignored. Live
// resources have the Secret in their own namespace.
func (r *resources) tellOfSecret(p *peer, name string) {
	other := p.spec.PasswordSecret.Namespace
	switch {
	case !r.live:
		r.note("%s: copy the Secret %s into the namespace of Lanlord, and let the speakers read it", p, name)
	case other != "" && other != p.Metadata.Namespace:
		r.note("%s: passwordSecret.namespace is not heeded: the Secret %s is read in the namespace of the BGPPeer", p, name)
	}
}

func (r *resources) profileEntries() []profileEntry {
	var all []profileEntry
	for i := range r.profiles {
		s := &r.profiles[i].spec
		all = append(all, profileEntry{
			Name: r.profiles[i].Metadata.Name, Receive: s.ReceiveInterval, Transmit: s.TransmitInterval,
			Multiplier: s.DetectMultiplier, MinimumTTL: s.MinimumTTL, EchoMode: s.EchoMode, Passive: s.PassiveMode,
		})
	}
	return all
}

// aliases returns the names and values of all Communities.
func (r *resources) aliases() map[string]string {
	all := map[string]string{}
	for i := range r.communities {
		for _, c := range r.communities[i].spec.Communities {
			value := plain(c.Value)
			if first, twice := all[c.Name]; twice && first != value {
				r.note("%s: %s is %s here and %s in another Community; the first one counts",
					&r.communities[i], c.Name, value, first)
				continue
			}
			all[c.Name] = value
		}
	}
	return all
}

// plain returns a community in Lanlord's spelling. Lanlord recognizes a large community by its three numbers.
func plain(value string) string { return strings.TrimPrefix(value, "large:") }

// route adds the advertisements to routers.
func (r *resources) route(p *pool, e *poolEntry, ads []*advertisement) {
	for _, a := range ads {
		b := a.route.entry()
		b.from = a.Metadata.Name
		b.NodeSelectors, b.ServiceSelectors = entries(a.spec.NodeSelectors), entries(a.spec.ServiceSelectors)
		known := r.known(b.Peers)
		if len(known) == 0 && len(b.Peers) > 0 {
			continue // no router gets this advertisement
		}
		b.Peers = known
		e.add(b)
	}
	if len(e.Advertisements) == 0 {
		e.add(bgpEntry{NodeSelectors: noNode()})
		r.note("%s: none of the peers of its BGPAdvertisements (%s) is there, so no router is told of the pool; "+
			"node-selectors ask for the label %s, which no node has, to the same effect", p, list(names(ads)), nowhere)
	}
}

// known returns the names that belong to a BGPPeer.
func (r *resources) known(peers []string) []string {
	var all []string
	for _, name := range peers {
		if slices.ContainsFunc(r.peers, func(p peer) bool { return p.Metadata.Name == name }) {
			all = append(all, name)
		}
	}
	return all
}

// add adds an advertisement, unless the pool already has an equal advertisement.
func (e *poolEntry) add(b bgpEntry) {
	if !slices.ContainsFunc(e.Advertisements, b.same) {
		e.Advertisements = append(e.Advertisements, b)
	}
}

// same reports whether two entries are equal apart from their BGPAdvertisements.
func (b bgpEntry) same(other bgpEntry) bool {
	b.from, other.from = "", ""
	return reflect.DeepEqual(b, other)
}

func (s *routeSpec) entry() bgpEntry {
	b := bgpEntry{LocalPref: s.LocalPref, Peers: s.Peers}
	// Default values are left out, because the API server fills them in.
	if n := s.AggregationLength; n != nil && *n != 32 {
		b.AggregationLength = n
	}
	if n := s.AggregationLengthV6; n != nil && *n != 128 {
		b.AggregationLengthV6 = n
	}
	for _, c := range s.Communities {
		if !slices.Contains(b.Communities, plain(c)) {
			b.Communities = append(b.Communities, plain(c))
		}
	}
	return b
}
