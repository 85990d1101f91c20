package routertest

import (
	"maps"
	"net/netip"
	"reflect"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// update checks an UPDATE, and takes its routes in.
func (r *Router) update(b []byte, m *bgp.BGPUpdate) {
	ok, err := bgp.ValidateUpdateMsg(m, map[bgp.Family]bgp.BGPAddPathMode{bgp.RF_IPv4_UC: 0, bgp.RF_IPv6_UC: 0},
		r.external(), false, false)
	if err != nil || !ok {
		r.violate("the UPDATE % x is not valid: %v", b, err)
		return
	}
	if end, family := m.IsEndOfRib(); end {
		r.endOfRIB(family)
		return
	}
	r.order(m)
	path, reach, unreach := r.path(m)
	announced := r.prefixes(m.NLRI)
	withdrawn := r.prefixes(m.WithdrawnRoutes)
	if len(announced) > 0 && !path.NextHop.Is4() {
		r.violate("the UPDATE % x has IPv4 routes without NEXT_HOP", b)
	}
	if reach != nil {
		r.nextHop(reach)
		path.NextHop = reach.Nexthop
		announced = append(announced, r.prefixes(reach.Value)...)
	}
	if unreach != nil {
		withdrawn = append(withdrawn, r.prefixes(unreach.Value)...)
	}
	if len(announced) == 0 && len(withdrawn) == 0 {
		r.violate("the UPDATE % x says nothing", b)
	}
	for _, p := range withdrawn {
		r.withdraw(p)
	}
	seen := map[netip.Prefix]bool{}
	for _, p := range announced {
		if seen[p] {
			r.violate("%v is twice in an UPDATE", p)
		}
		seen[p] = true
		r.announce(p, path)
	}
}

// external tells whether the session is eBGP.
func (r *Router) external() bool { return r.options.ASN != r.options.PeerASN }

// order checks the order of the attributes: MP_REACH_NLRI or MP_UNREACH_NLRI first (RFC 7606, section 5.1), then by
// type, each once.
func (r *Router) order(m *bgp.BGPUpdate) {
	last := bgp.BGPAttrType(0)
	for i, a := range m.PathAttributes {
		t := a.GetType()
		if i == 0 && (t == bgp.BGP_ATTR_TYPE_MP_REACH_NLRI || t == bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI) {
			continue
		}
		if t <= last {
			r.violate("the attribute %v comes after %v", t, last)
		}
		last = t
	}
}

// path collects the attributes.
func (r *Router) path(m *bgp.BGPUpdate) (
	p Path, reach *bgp.PathAttributeMpReachNLRI, unreach *bgp.PathAttributeMpUnreachNLRI,
) {
	var path4 []uint32
	for _, a := range m.PathAttributes {
		switch a := a.(type) {
		case *bgp.PathAttributeOrigin:
			if a.Value != bgp.BGP_ORIGIN_ATTR_TYPE_IGP {
				r.violate("ORIGIN is %d", a.Value)
			}
		case *bgp.PathAttributeAsPath:
			for _, segment := range a.Value {
				if segment.GetType() != bgp.BGP_ASPATH_ATTR_TYPE_SEQ {
					r.violate("AS_PATH has a segment of type %d", segment.GetType())
				}
				p.ASPath = append(p.ASPath, segment.GetAS()...)
			}
		case *bgp.PathAttributeAs4Path:
			if r.fourByte() {
				r.violate("AS4_PATH to a router with four-byte AS numbers")
			}
			for _, segment := range a.Value {
				path4 = append(path4, segment.AS...)
			}
		case *bgp.PathAttributeNextHop:
			p.NextHop = a.Value
		case *bgp.PathAttributeMultiExitDisc:
			p.MED = &a.Value
		case *bgp.PathAttributeLocalPref:
			p.LocalPref = &a.Value
		case *bgp.PathAttributeCommunities:
			p.Communities = a.Value
		case *bgp.PathAttributeLargeCommunities:
			for _, c := range a.Values {
				p.LargeCommunities = append(p.LargeCommunities, [3]uint32{c.ASN, c.LocalData1, c.LocalData2})
			}
		case *bgp.PathAttributeMpReachNLRI:
			reach = a
		case *bgp.PathAttributeMpUnreachNLRI:
			unreach = a
		default:
			r.violate("the attribute %v", a.GetType())
		}
	}
	r.checkPath(&p, path4, reach != nil || len(m.NLRI) > 0)
	return p, reach, unreach
}

// checkPath checks what the kind of session demands, and merges AS4_PATH (RFC 6793, section 4.2.3).
func (r *Router) checkPath(p *Path, path4 []uint32, announces bool) {
	if path4 != nil {
		if len(path4) != len(p.ASPath) {
			r.violate("AS4_PATH %v and AS_PATH %v differ in length", path4, p.ASPath)
		}
		p.ASPath = path4
	}
	if !announces {
		return
	}
	if r.external() {
		if p.LocalPref != nil {
			r.violate("LOCAL_PREF to an eBGP router (RFC 4271, section 5.1.5)")
		}
		if len(p.ASPath) == 0 || p.ASPath[0] != r.options.PeerASN {
			r.violate("AS_PATH is %v, and the speaker's AS %d", p.ASPath, r.options.PeerASN)
		}
		return
	}
	if p.LocalPref == nil {
		r.violate("no LOCAL_PREF to an iBGP router (RFC 4271, section 5.1.5)")
	}
	if len(p.ASPath) != 0 {
		r.violate("AS_PATH is %v to an iBGP router", p.ASPath)
	}
}

// nextHop checks the next hop of MP_REACH_NLRI (RFC 4760, RFC 8950).
func (r *Router) nextHop(m *bgp.PathAttributeMpReachNLRI) {
	if m.AFI == bgp.AFI_IP && !r.extended() {
		r.violate("IPv4 routes in MP_REACH_NLRI without RFC 8950")
	}
	if h := m.Nexthop; !h.Is6() || h.IsUnspecified() || h.IsMulticast() || h.Is4In6() {
		r.violate("the next hop of MP_REACH_NLRI is %v", h)
	}
}

// prefixes returns the prefixes of a list, and checks them.
func (r *Router) prefixes(list []bgp.PathNLRI) (prefixes []netip.Prefix) {
	for _, nlri := range list {
		n, ok := nlri.NLRI.(*bgp.IPAddrPrefix)
		if !ok {
			r.violate("a route of the type %T", nlri.NLRI)
			continue
		}
		p := n.Prefix
		if p != p.Masked() {
			r.violate("%v has bits behind its length", p)
		}
		if f := wire.FamilyOf(p.Addr()); !r.accepts(f) {
			r.violate("%v, and %v is not negotiated", p, f)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes
}

func (r *Router) announce(p netip.Prefix, path Path) {
	r.counts.Announced++
	f := wire.FamilyOf(p.Addr())
	if old, ok := r.rib[p]; ok && !old.Stale && reflect.DeepEqual(old, path) {
		r.counts.Unchanged++
		if !r.peer.refreshed[f] {
			r.violate("%v is announced again without a change", p)
		}
	}
	r.rib[p] = path
}

func (r *Router) withdraw(p netip.Prefix) {
	r.counts.Withdrawn++
	if _, ok := r.rib[p]; !ok {
		r.violate("%v is withdrawn, and was not announced", p)
	}
	delete(r.rib, p)
}

// endOfRIB removes the stale routes of a family.
func (r *Router) endOfRIB(family bgp.Family) {
	f := wire.IPv4
	if family == bgp.RF_IPv6_UC {
		f = wire.IPv6
	}
	r.counts.EndOfRIB[f]++
	if !r.accepts(f) || r.peer.ended[f] {
		r.violate("an End-of-RIB of %v too many", f)
	}
	r.peer.ended[f] = true
	maps.DeleteFunc(r.rib, func(p netip.Prefix, path Path) bool { return path.Stale && wire.FamilyOf(p.Addr()) == f })
}

// Differences compares the table with the routes of a speaker and the next hops of the families. The result is empty
// when they are equal.
func (r *Router) Differences(routes []wire.Route, hops [wire.FamilyCount]netip.Addr) (list []string) {
	rib := r.RIB()
	for i := range routes {
		route := &routes[i]
		got, ok := rib[route.Prefix]
		delete(rib, route.Prefix)
		want := r.expect(route, hops[wire.FamilyOf(route.Prefix.Addr())])
		switch {
		case !ok:
			list = append(list, route.Prefix.String()+" is missing")
		case got.String() != want.String():
			list = append(list, route.Prefix.String()+" is "+got.String()+", not "+want.String())
		}
	}
	for p := range rib {
		list = append(list, p.String()+" is too many")
	}
	return list
}

// expect returns the path that a route should have.
func (r *Router) expect(route *wire.Route, hop netip.Addr) Path {
	p := Path{NextHop: hop, Communities: route.Communities, LargeCommunities: route.LargeCommunities}
	if route.HasMED {
		p.MED = &route.MED
	}
	if !r.external() {
		p.LocalPref = &route.LocalPref
		return p
	}
	for range 1 + route.Prepend {
		p.ASPath = append(p.ASPath, r.options.PeerASN)
	}
	return p
}
