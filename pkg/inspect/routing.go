package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// Routing combines the reports of all speakers about the announcement of one address by BGP.
type Routing struct {
	// Nodes counts the nodes that announce the address to at least one router with an established session, and
	// OfNodes the nodes with a speaker.
	Nodes   int `json:"nodes"`
	OfNodes int `json:"ofNodes"`
	// Prefixes are all prefixes that nodes announce for the address, sorted.
	Prefixes []string `json:"prefixes"`
	// Routers are the peers that received the announcement, sorted by name.
	Routers []RouterNodes `json:"routers"`
	// Missing lists the nodes that announce the address to no peer, or not to all of their peers. The largest group of
	// nodes comes first.
	Missing []RouteGap `json:"missing,omitempty"`

	// words holds the reasons of the nodes that announce nothing, by node.
	words map[string]string
}

// RouterNodes lists the nodes that announce an address to a peer.
type RouterNodes struct {
	Peer  string   `json:"peer"`
	Nodes []string `json:"nodes"`
}

// RouteGap is a reason why nodes do not announce an address.
type RouteGap struct {
	// Peer is the peer that does not receive the announcement; empty for all peers.
	Peer string `json:"peer,omitempty"`
	// Reason is the word of a reason.Route, SessionDown, FamilyRefused, Pending or Unknown.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// Exclusion is the word of the reason.Exclusion of nodes that are not eligible.
	Exclusion string   `json:"exclusion,omitempty"`
	Fix       string   `json:"fix,omitempty"`
	Nodes     []string `json:"nodes"`
}

// States of an address that nodes are about to announce by BGP.
const (
	// stateSessionDown: no session of the nodes that announce the address is established.
	stateSessionDown = "SessionDown"
	// stateFamilyRefused: the router does not accept routes of the address's family.
	stateFamilyRefused = "FamilyRefused"
)

// protocols returns the protocols that announce an address. For an address without a pool, the reports of the speakers
// count.
func (v *view) protocols(a netip.Addr) (layer2, bgp bool) {
	if cfg := v.cluster.Config.Config; cfg != nil {
		if p := cfg.PoolOf(a); p != nil && (p.Layer2 || p.BGP) {
			return p.Layer2, p.BGP
		}
	}
	_, known := v.byAddr[a]
	_, bgp = v.routes[a]
	return known || !bgp, bgp
}

// onLayer2 reports whether one node answers ARP or NDP for an address.
func (v *view) onLayer2(a netip.Addr) bool {
	layer2, _ := v.protocols(a)
	return layer2
}

// addRoutes adds the routes of a speaker to the routings.
func (v *view) addRoutes(s *Speaker) {
	for _, r := range s.Says.Routes {
		a, err := netip.ParseAddr(r.Address)
		if err != nil {
			continue // a later version may list more than addresses
		}
		if v.routes[a] == nil {
			v.routes[a] = &Routing{Prefixes: []string{}, Routers: []RouterNodes{}, words: map[string]string{}}
		}
		v.routes[a].add(s, a, &r)
	}
}

// add adds the decision of one node.
func (t *Routing) add(s *Speaker, a netip.Addr, r *status.Route) {
	t.OfNodes++
	t.Prefixes = append(t.Prefixes, r.Prefixes...)
	if len(r.Told) > 0 {
		t.Nodes++
	}
	for _, peer := range r.Told {
		t.tell(peer, s.Node)
	}
	if r.Reason != reason.Routed.String() {
		t.miss(RouteGap{Reason: r.Reason, Message: r.Message, Exclusion: r.Exclusion, Fix: routeFixOf(r)}, s.Node)
		t.words[s.Node] = r.Reason
		return
	}
	for _, peer := range r.Peers {
		if slices.Contains(r.Told, peer) {
			continue
		}
		gap := untold(s.Says.Peers, peer, cluster.FamilyOf(a).String())
		t.miss(gap, s.Node)
		if len(r.Told) == 0 {
			t.words[s.Node] = gap.Reason
		}
	}
}

// untold explains why a peer has not received an announcement yet.
func untold(sessions []status.Peer, peer, family string) RouteGap {
	i := slices.IndexFunc(sessions, func(p status.Peer) bool { return p.Name == peer })
	switch {
	case i < 0:
		return RouteGap{Peer: peer, Reason: statePending, Message: "the session has not been started yet"}
	case !sessions[i].Up:
		p := &sessions[i]
		return RouteGap{Peer: peer, Reason: stateSessionDown, Message: p.Reason + colon(p.Message), Fix: sessionFix(p.Reason)}
	case slices.Contains(sessions[i].Refused, family):
		return RouteGap{
			Peer: peer, Reason: stateFamilyRefused, Message: "the router does not accept " + family + " routes on this session",
			Fix: familyFix(family),
		}
	}
	return RouteGap{Peer: peer, Reason: statePending, Message: "the router has not been sent all prefixes of the " +
		"address yet"}
}

func familyFix(family string) string {
	return fmt.Sprintf("activate the address family %s for this neighbor on the router", family)
}

func (t *Routing) tell(peer, node string) {
	i, found := slices.BinarySearchFunc(t.Routers, peer, func(r RouterNodes,
		peer string) int {
		return strings.Compare(r.Peer, peer)
	})
	if !found {
		t.Routers = slices.Insert(t.Routers, i, RouterNodes{Peer: peer})
	}
	if !slices.Contains(t.Routers[i].Nodes, node) {
		t.Routers[i].Nodes = append(t.Routers[i].Nodes, node)
	}
}

// miss adds a node to the gap with the same reason and message.
func (t *Routing) miss(g RouteGap, node string) {
	for i := range t.Missing {
		if m := &t.Missing[i]; m.Peer == g.Peer && m.Reason == g.Reason && m.Message == g.Message {
			if !slices.Contains(m.Nodes, node) {
				m.Nodes = append(m.Nodes, node)
			}
			return
		}
	}
	g.Nodes = []string{node}
	t.Missing = append(t.Missing, g)
}

// routing returns the routing of an address that BGP announces, nil for any other address. Nodes with a silent
// speaker are missing for the reason Unknown.
func (v *view) routing(a netip.Addr) *Routing {
	t := v.routes[a]
	if t == nil {
		if _, bgp := v.protocols(a); !bgp {
			return nil
		}
		t = &Routing{Prefixes: []string{}, Routers: []RouterNodes{}}
	}
	whole := *t
	slices.Sort(whole.Prefixes)
	whole.Prefixes = slices.Compact(whole.Prefixes)
	whole.Missing = slices.Clone(t.Missing)
	for _, node := range slices.Sorted(keysOf(v.silent)) {
		whole.OfNodes++
		whole.miss(RouteGap{Reason: stateUnknown, Message: "the speaker could not be asked"}, node)
	}
	slices.SortStableFunc(whole.Missing, func(x, y RouteGap) int {
		return cmp.Or(cmp.Compare(len(y.Nodes), len(x.Nodes)), strings.Compare(x.Peer, y.Peer), strings.Compare(x.Reason,
			y.Reason))
	})
	return &whole
}

// routed returns the state of an address that BGP announces. detail explains why no node announces the address.
func (v *view) routed(a netip.Addr) (state, detail string) {
	t := v.routes[a]
	switch {
	case t != nil && t.Nodes > 0:
		return stateAnnounced, ""
	case !v.asked:
		return stateUnknown, "no speaker could be asked"
	case t == nil:
		return statePending, "no speaker has decided on the address yet"
	}
	// The reasons have an order: a node with a later reason has passed the checks for all earlier reasons. The latest
	// reason of all nodes therefore keeps the cluster from announcing the address.
	rank := func(word string) int {
		if r, ok := reason.ParseRoute(word); ok {
			return int(r)
		}
		return reason.RouteCount // a session's reason
	}
	for _, node := range slices.Sorted(keysOf(t.words)) {
		if word := t.words[node]; state == "" || rank(word) > rank(state) {
			state = word
		}
	}
	i := slices.IndexFunc(t.Missing, func(g RouteGap) bool { return g.Reason == state })
	if i < 0 {
		return statePending, "no router has been told of the address yet"
	}
	g := &t.Missing[i]
	return state, fmt.Sprintf("%s%s (%s)", toPeer(g.Peer), or(g.Message, g.Reason), listed(g.Nodes))
}

func toPeer(peer string) string {
	if peer == "" {
		return ""
	}
	return "to " + peer + ": "
}

// fix joins the fixes for the gaps with this reason, each fix once.
func (t *Routing) fix(state string) string {
	var texts []string
	for _, g := range t.Missing {
		if g.Reason == state && g.Fix != "" && !slices.Contains(texts, g.Fix) {
			texts = append(texts, g.Fix)
		}
	}
	return strings.Join(texts, "; ")
}

// Summary counts nodes and routers, like "routed by 3 of 4 nodes to 2 routers".
func (t *Routing) Summary() string {
	if t.Nodes == 0 {
		return "routed by no node"
	}
	return fmt.Sprintf("routed by %d of %s to %s", t.Nodes, Count(t.OfNodes, "node"), Count(len(t.Routers), "router"))
}

// routeFixOf returns the fix for the decision of a node, empty without one.
func routeFixOf(r *status.Route) string {
	if e, ok := reason.ParseExclusion(r.Exclusion); ok && e != reason.Eligible {
		return exclusionFix(e)
	}
	if why, ok := reason.ParseRoute(r.Reason); ok {
		return routeFix(why)
	}
	return ""
}

// routeFix returns the fix for a node that does not announce an address by BGP. The fix is empty for Routed only.
func routeFix(r reason.Route) string {
	switch r {
	case reason.Routed:
	case reason.RouteNotInPool:
		return "nothing, if another address follows; else put the address back into a pool with protocol bgp"
	case reason.RouteNoEndpoints:
		return "see why no pod of the Service is ready: kubectl get pods, kubectl describe service"
	case reason.NoLocalEndpoint:
		return "nothing, unless the node should have a pod of the Service; or use externalTrafficPolicy Cluster"
	case reason.NodeNotEligible:
		return "the message says what excludes the node"
	case reason.RulesNotReady:
		return "wait; if that does not end, see whether kube-proxy runs on the node"
	case reason.DrainingNode:
		return "nothing; other nodes announce the address"
	case reason.NoPeer:
		return "add a peer whose node-selectors fit the node and whose address-pools contain the pool"
	case reason.RouteNodeAddress:
		return "nothing; the node alone serves the address, and no route is announced"
	}
	return ""
}
