package speaker

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
)

// bootTime is the time after a boot of the node during which a router must not keep the routes of a speaker that was
// lost: the node has lost the rules of its service proxy with the boot (RFC 4724, the F bit).
const bootTime = 5 * time.Minute

// routerSession is a session that the configuration asks for on this node.
type routerSession struct {
	config *config.Peer
	// peer is zero when the node has no session. problem says why.
	peer    bgp.Peer
	problem string
}

// name returns the name of the session, or the name of the peer when the node has no session.
func (s *routerSession) name() string {
	if s.peer.Name == "" {
		return s.config.Name
	}
	return s.peer.Name
}

// local holds the facts about this node that its sessions depend on.
type local struct {
	self       string
	node       *cluster.Node // nil when the cluster has no such Node
	interfaces []layer2.Interface
	ready      bool
	uptime     time.Duration
	password   func(config.SecretKey) (string, error)
}

// sessionsOf returns the sessions of one peer with these routes: one for each interface or default gateway.
func (l *local) sessionsOf(p *config.Peer, announced []bgp.Route, last gateways) []routerSession {
	base := l.base(p, announced)
	switch {
	case p.Gateway:
		return l.gatewaySessions(p, base, last)
	case p.Interface != "":
		return l.interfaceSessions(p, base)
	}
	base.Address = p.Address
	return []routerSession{{config: p, peer: base}}
}

// base returns a session without a router.
func (l *local) base(p *config.Peer, announced []bgp.Route) bgp.Peer {
	b := bgp.Peer{
		Name: p.Name, LocalASN: p.LocalASN, RemoteASN: p.RemoteASN, Port: p.Port,
		SourceAddress: p.SourceAddress, SourceInterface: p.SourceInterface, RouterID: l.routerID(p),
		HoldTime: p.HoldTime, KeepaliveTime: p.KeepaliveTime, Password: p.Password,
		Multihop: p.Multihop, TTLSecurity: p.TTLSecurity,
		GracefulRestart: p.GracefulRestart, ForwardingKept: l.uptime >= bootTime,
		Routes: announced, Ready: l.ready,
	}
	switch p.RemoteAS {
	case config.RemoteExternal:
		b.RemoteASN, b.AnyExternal = 0, true
	case config.RemoteInternal:
		b.RemoteASN = p.LocalASN
	}
	if p.BFD != nil {
		b.BFD = &bfd.Profile{
			ReceiveInterval: p.BFD.ReceiveInterval, TransmitInterval: p.BFD.TransmitInterval,
			DetectMultiplier: uint8(p.BFD.DetectMultiplier), Passive: p.BFD.Passive, MinimumTTL: uint8(p.BFD.MinimumTTL),
		}
	}
	if p.PasswordSecret != (config.SecretKey{}) {
		password, err := l.password(p.PasswordSecret)
		if b.Password = password; err != nil {
			b.PasswordProblem = err.Error()
		}
	}
	return b
}

// routerID returns the BGP identifier: the configured one, else the first IPv4 InternalIP of the Node, else the lowest
// IPv4 address of the node, else a hash of the node's name.
func (l *local) routerID(p *config.Peer) netip.Addr {
	if p.RouterID.IsValid() {
		return p.RouterID
	}
	if l.node != nil {
		if i := slices.IndexFunc(l.node.Addresses, netip.Addr.Is4); i >= 0 {
			return l.node.Addresses[i]
		}
	}
	for _, i := range l.interfaces {
		if at := slices.IndexFunc(i.Local, netip.Addr.Is4); at >= 0 {
			return i.Local[at] // sorted, and the same on every interface
		}
	}
	h := fnv.New32a()
	h.Write([]byte(l.self))
	sum := h.Sum32() | 1 // an identifier of 0 is not valid (RFC 6286, section 2.1)
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// gateways are the default gateways in use: of IPv4 and of IPv6.
type gateways [2]netip.Addr

// index returns the place of the family of a.
func (g *gateways) index(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// gatewaySessions returns a session for each family in which the node has a default gateway.
func (l *local) gatewaySessions(p *config.Peer, base bgp.Peer, last gateways) (sessions []routerSession) {
	for _, gateway := range l.gateways(last) {
		if !gateway.IsValid() {
			continue
		}
		s := base
		s.Address = gateway
		if gateway.Is6() {
			s.Name += "/" + cluster.IPv6.String()
		}
		sessions = append(sessions, routerSession{config: p, peer: s})
	}
	if sessions == nil {
		return []routerSession{{config: p, problem: "the node has no default gateway"}}
	}
	return sessions
}

// gateways returns the default gateways. The gateways of the last call stay as long as the node has them, and also
// while the node has no other, because a lost route is no reason to end a session.
func (l *local) gateways(last gateways) (now gateways) {
	for _, i := range l.interfaces {
		for _, a := range i.Gateways {
			if a.IsLinkLocalUnicast() && a.Is6() {
				a = a.WithZone(i.Name)
			}
			if f := now.index(a); !now[f].IsValid() || a == last[f] {
				now[f] = a
			}
		}
	}
	for f := range now {
		if !now[f].IsValid() {
			now[f] = last[f]
		}
	}
	return now
}

// interfaceSessions returns a session for each interface that the peer names.
func (l *local) interfaceSessions(p *config.Peer, base bgp.Peer) (sessions []routerSession) {
	for _, i := range l.interfaces {
		if fits, err := path.Match(p.Interface, i.Name); err != nil || !fits {
			continue
		}
		s := base
		s.Interface = i.Name
		if i.Name != p.Interface {
			s.Name += "/" + i.Name
		}
		sessions = append(sessions, routerSession{config: p, peer: s})
	}
	if sessions == nil {
		return []routerSession{{config: p, problem: fmt.Sprintf("the node has no interface %q", p.Interface)}}
	}
	return sessions
}
