package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/routes"
	"github.com/lanlord/lanlord/pkg/status"
)

// bgpPort is the port of BGP, which texts leave out (RFC 4271, section 8).
const bgpPort = 179

// routingStatus holds the decision of the last round for the routers.
type routingStatus struct {
	table    routes.Table
	sessions []routerSession
}

// describe returns the sessions and the routes for the status page. now are the states of the sessions.
func (r *routingStatus) describe(now []bgp.Status) (peers []status.Peer, list []status.Route) {
	states := statuses(r.sessions, now)
	peers = make([]status.Peer, len(states))
	for i := range states {
		peers[i] = describePeer(&r.sessions[i], &states[i])
	}
	prefixes := r.prefixes()
	list = make([]status.Route, len(r.table.Addresses))
	for i := range r.table.Addresses {
		a := &r.table.Addresses[i]
		list[i] = status.Route{
			Address: a.Addr.String(), Services: names(a.Services), Prefixes: []string{}, Peers: []string{}, Told: []string{},
			Reason: a.Reason.String(), Message: a.Detail, Rank: a.Rank,
		}
		if a.Reason == reason.Routed {
			list[i].Message = a.Reason.Text()
		}
		if a.Exclusion != reason.Eligible {
			list[i].Exclusion = a.Exclusion.String()
		}
		for _, p := range prefixes[a.Addr] {
			list[i].Prefixes = append(list[i].Prefixes, p.String())
		}
		list[i].Peers = append(list[i].Peers, a.Peers...)
		list[i].Told = append(list[i].Told, r.toldPeers(a, states)...)
	}
	return peers, list
}

func names(services []cluster.Key) []string {
	list := make([]string, len(services))
	for i, key := range services {
		list[i] = key.String()
	}
	return list
}

// prefixes returns the prefixes announced for each address, sorted.
func (r *routingStatus) prefixes() map[netip.Addr][]netip.Prefix {
	prefixes := map[netip.Addr][]netip.Prefix{}
	for i, p := range r.table.Peers {
		if i > 0 && cluster.SameList(p.Routes, r.table.Peers[i-1].Routes) {
			continue
		}
		for _, route := range p.Routes {
			for _, a := range route.Addrs {
				prefixes[a] = append(prefixes[a], route.Prefix)
			}
		}
	}
	for a, list := range prefixes {
		slices.SortFunc(list, netip.Prefix.Compare)
		prefixes[a] = slices.Compact(list)
	}
	return prefixes
}

// toldPeers returns the names of the peers of a whose routers were sent all routes of the family.
func (r *routingStatus) toldPeers(a *routes.Address, states []bgp.Status) (names []string) {
	for _, name := range a.Peers {
		if r.told(name, cluster.FamilyOf(a.Addr), states) {
			names = append(names, name)
		}
	}
	return names
}

// told reports whether a router of the named peer was sent all routes of the family.
func (r *routingStatus) told(name string, family cluster.Family, states []bgp.Status) bool {
	for i := range states {
		s := &states[i]
		if r.sessions[i].config.Name != name || s.State != bgp.Established {
			continue
		}
		if family == cluster.IPv4 && !s.NotOffered4 && s.Announced4 == s.Wanted4 ||
			family == cluster.IPv6 && !s.NotOffered6 && s.Announced6 == s.Wanted6 {
			return true
		}
	}
	return false
}

// statuses returns the state of each session. A session that does not exist is idle.
func statuses(sessions []routerSession, now []bgp.Status) []bgp.Status {
	byName := make(map[string]*bgp.Status, len(now))
	for i := range now {
		byName[now[i].Name] = &now[i]
	}
	list := make([]bgp.Status, len(sessions))
	for i := range sessions {
		s := &sessions[i]
		list[i] = bgp.Status{Name: s.name()}
		switch state := byName[s.peer.Name]; {
		case s.problem != "":
			list[i].Reason, list[i].Message = bgp.NoRoute, s.problem
		case state != nil:
			list[i] = *state
		}
	}
	return list
}

func describePeer(s *routerSession, now *bgp.Status) status.Peer {
	p := status.Peer{
		Name: s.config.Name, Router: routerText(s, now), LocalASN: s.config.LocalASN, RemoteASN: s.peer.RemoteASN,
		State: now.State.String(), Up: now.State == bgp.Established, Since: now.Since.UTC(),
		HoldTime:  int(now.HoldTime / time.Second),
		Announced: now.Announced4 + now.Announced6, Wanted: now.Wanted4 + now.Wanted6, Resets: now.Resets,
	}
	if now.Local.IsValid() {
		p.Local = now.Local.Addr().String()
	}
	if now.RemoteASN != 0 {
		p.RemoteASN = now.RemoteASN
	}
	if !p.Up {
		p.Reason, p.Message = now.Reason.String(), now.Message
	}
	if now.NotOffered4 && now.Wanted4 > 0 {
		p.Refused = append(p.Refused, cluster.IPv4.String())
	}
	if now.NotOffered6 && now.Wanted6 > 0 {
		p.Refused = append(p.Refused, cluster.IPv6.String())
	}
	if now.BFD != nil {
		p.BFD = describeBFD(now.BFD, s.peer.BFD)
	}
	return p
}

// routerText returns the address of the router, with the port if it is not 179; empty while it is not known.
func routerText(s *routerSession, now *bgp.Status) string {
	router := now.Remote
	if !router.IsValid() && s.peer.Address.IsValid() {
		router = netip.AddrPortFrom(s.peer.Address, s.peer.Port)
	}
	switch {
	case !router.IsValid():
		return ""
	case router.Port() == bgpPort:
		return router.Addr().String()
	}
	return router.String()
}

func describeBFD(now *bfd.Status, profile *bfd.Profile) *status.BFD {
	b := &status.BFD{
		State: now.State.String(), Since: now.Since.UTC(), Interval: int(now.TransmitInterval.Milliseconds()),
		Detection: int(now.DetectionTime.Milliseconds()),
	}
	if profile != nil {
		b.Configured = int(profile.TransmitInterval.Milliseconds())
	}
	return b
}
