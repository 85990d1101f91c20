package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

// slowHold is the minimum hold time in seconds for a remark of the doctor about BFD.
const slowHold = 30

// grouped collects the nodes with the same finding, so that 100 nodes with one router make one line.
type grouped[K comparable] struct {
	order []K
	nodes map[K][]string
}

func (g *grouped[K]) add(key K, node string) {
	if g.nodes == nil {
		g.nodes = map[K][]string{}
	}
	if g.nodes[key] == nil {
		g.order = append(g.order, key)
	}
	g.nodes[key] = append(g.nodes[key], node)
}

// checkBGP checks the sessions, the peers of the configuration and the announced addresses.
func checkBGP(c *Cluster, f *findings) string {
	up, sessions := checkSessions(c, f)
	pools := checkBGPPeers(c, f)
	addrs := checkRoutes(c, f)
	if sessions+pools+addrs == 0 {
		return "no pool has protocol bgp, and no node has a session"
	}
	return fmt.Sprintf("%d of %s established; %s, each announced by at least one node", up, Count(sessions, "session"),
		addressCount(addrs))
}

// checkSessions looks for BGP sessions that are down, refuse routes or notice a failure late. checkSessions counts the
// established sessions and all sessions.
func checkSessions(c *Cluster, f *findings) (up, total int) {
	type down struct{ peer, reason, message string }
	type refused struct{ peer, family string }
	type slow struct {
		peer                 string
		interval, configured int
	}
	type waiting struct {
		peer string
		hold int
	}
	var downs grouped[down]
	var refusals grouped[refused]
	var slowed grouped[slow]
	var unwatched, late grouped[waiting]
	c.eachSession(func(node string, p *status.Peer) {
		total++
		if !p.Up {
			downs.add(down{routerText(p), p.Reason, p.Message}, node)
			return
		}
		up++
		for _, family := range p.Refused {
			refusals.add(refused{routerText(p), family}, node)
		}
		switch b := p.BFD; {
		case b == nil && p.HoldTime >= slowHold:
			late.add(waiting{p.Name, p.HoldTime}, node)
		case b == nil:
		case b.State != "Up":
			unwatched.add(waiting{routerText(p), p.HoldTime}, node)
		case b.Interval > b.Configured:
			slowed.add(slow{p.Name, b.Interval, b.Configured}, node)
		}
	})
	for _, d := range downs.order {
		f.wrong(sessionFix(d.reason), "%s with %s: %s%s", sessionsOf(downs.nodes[d]), d.peer, or(d.reason, "down"),
			colon(d.message))
	}
	for _, r := range refusals.order {
		f.wrong(familyFix(r.family), "%s does not accept %s routes from %s, so no %s address is announced there", r.peer,
			r.family,
			listed(refusals.nodes[r]), r.family)
	}
	for _, w := range unwatched.order {
		f.wrong("turn on BFD for these neighbors on the router, and let UDP port 3784 pass (4784 with ebgp-multihop)",
			"BFD does not come up between %s and %s, so only the hold time of %d s notices a failure",
			listed(unwatched.nodes[w]), w.peer, w.hold)
	}
	for _, s := range slowed.order {
		f.remark("give the node and the speaker more CPU, or see which interval the router asks for",
			"BFD of %s with %s sends every %d ms instead of every %d ms: the speaker is often late, or the router asks for that",
			listed(slowed.nodes[s]), s.peer, s.interval, s.configured)
	}
	for _, w := range late.order {
		f.remark("use a bfd-profile, or a hold-time of some seconds; docs/bgp.md has figures",
			"without BFD, %s loses traffic to a crashed node for up to the hold time of %d s (%s)", w.peer, w.hold,
			listed(late.nodes[w]))
	}
	return up, total
}

// eachSession calls do for each session that a speaker reports.
func (c *Cluster) eachSession(do func(node string, p *status.Peer)) {
	for _, s := range c.speakers() {
		for i := range s.Says.Peers {
			do(s.Node, &s.Says.Peers[i])
		}
	}
}

// routerText names a peer with the address of the router.
func routerText(p *status.Peer) string {
	if p.Router == "" || strings.HasPrefix(p.Router, p.Name) {
		return or(p.Router, p.Name)
	}
	return fmt.Sprintf("%s (%s)", p.Name, p.Router)
}

func sessionsOf(nodes []string) string {
	if len(nodes) == 1 {
		return "no session of " + nodes[0]
	}
	return fmt.Sprintf("no session of %d nodes (%s)", len(nodes), listed(nodes))
}

// checkBGPPeers compares the peers of the configuration with the pools and the nodes, and counts the pools with
// protocol bgp.
func checkBGPPeers(c *Cluster, f *findings) (pools int) {
	cfg := c.Config.Config
	if cfg == nil {
		return 0
	}
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		if !p.BGP {
			continue
		}
		pools++
		if !slices.ContainsFunc(cfg.Peers, func(peer config.Peer) bool { return announcedTo(p, &peer) }) {
			f.wrong("add a peer; its address-pools and the peers of the pool's bgp-advertisements must allow the pool",
				"the pool %q has protocol bgp and no peer, so no router learns its addresses", sentence(p.Name))
		}
	}
	for i := range cfg.Peers {
		c.checkPeer(&cfg.Peers[i], f)
	}
	if pools > 0 && len(cfg.Peers) > 0 {
		c.checkNodesWithoutPeer(f)
	}
	return pools
}

// announcedTo reports whether the configuration announces addresses of a pool to a peer from any node.
func announcedTo(pool *config.Pool, peer *config.Peer) bool {
	if len(peer.AddressPools) > 0 && !slices.Contains(peer.AddressPools, pool.Name) {
		return false
	}
	return len(pool.Advertisements) == 0 || slices.ContainsFunc(pool.Advertisements, func(a config.Advertisement) bool {
		return len(a.Peers) == 0 || slices.Contains(a.Peers, peer.Name)
	})
}

func (c *Cluster) checkPeer(p *config.Peer, f *findings) {
	fits := func(n Node) bool {
		return len(p.NodeSelectors) == 0 ||
			slices.ContainsFunc(p.NodeSelectors, func(s labels.Selector) bool { return s.Matches(labels.Set(n.Labels)) })
	}
	if len(c.Nodes) > 0 && !slices.ContainsFunc(c.Nodes, fits) {
		f.wrong("change the node-selectors of the peer, or the labels of a node",
			"the peer %q is for no node: its node-selectors fit none",
			sentence(p.Name))
	}
	if p.GracefulRestart > 0 && p.BFD == nil {
		f.remark("add a bfd-profile to the peer, or set graceful-restart: off",
			"the peer %q has graceful restart without BFD: after the crash of a node the router keeps the dead route for the "+
				"hold time and %v more", sentence(p.Name), p.GracefulRestart)
	}
}

// checkNodesWithoutPeer looks for nodes with a ready speaker and without a peer.
func (c *Cluster) checkNodesWithoutPeer(f *findings) {
	var without []string
	for _, s := range c.speakers() {
		n := c.node(s.Node)
		if s.Says.Ready && len(s.Says.Peers) == 0 && (n == nil || !n.Excluded || c.usesExcluded()) {
			without = append(without, s.Node)
		}
	}
	if len(without) > 0 {
		f.remark("nothing, if that is intended; else change the node-selectors of a peer",
			"no peer is for %s, so these announce no address by BGP: %s", Count(len(without), "node"), listed(without))
	}
}

// checkRoutes looks for addresses that BGP should announce and no node announces. total counts all addresses that BGP
// should announce.
func checkRoutes(c *Cluster, f *findings) (total int) {
	type cause struct{ state, detail, fix string }
	var causes grouped[cause]
	v := newView(c)
	addrs := make([]netip.Addr, 0, len(v.holders))
	for a := range v.holders {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range addrs {
		t := v.routing(a)
		if t == nil {
			continue
		}
		total++
		state, detail := v.routed(a)
		if state == stateAnnounced || len(c.allowedAddress(a)) > 0 {
			continue
		}
		causes.add(cause{state, detail, or(t.fix(state), mendHere(state))}, fmt.Sprintf("%s (%s)", a, v.holders[a][0]))
	}
	slices.SortFunc(causes.order, func(x, y cause) int {
		return cmp.Or(cmp.Compare(x.state, y.state), cmp.Compare(x.detail, y.detail))
	})
	for _, why := range causes.order {
		list := listed(causes.nodes[why])
		if why.state == stateUnknown {
			f.unchecked("%s: %s", list, why.detail)
			continue
		}
		f.wrong(why.fix, "no node announces %s by BGP: %s: %s", list, why.state, why.detail)
	}
	return total
}

func addressCount(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}
