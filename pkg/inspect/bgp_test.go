package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// routedCluster returns a cluster of two nodes that announce the address of default/web to one router.
func routedCluster() *Cluster {
	c := answered("", "")
	c.Config.Config.Pools = []config.Pool{{Name: "lan", BGP: true, Ranges: []config.Range{{From: addr, To: addr}}}}
	c.Config.Config.Peers = []config.Peer{{Name: "tor-a"}}
	for i := range c.Speakers {
		s := c.Speakers[i].Says
		c.Nodes = append(c.Nodes, Node{Node: cluster.Node{Name: s.Node, Labels: map[string]string{"rack": s.Node}},
			Linux: true, Ready: true})
		s.Watched = nil
		s.Peers = []status.Peer{{
			Name: "tor-a", Router: "10.0.0.254", State: "Established", Up: true, HoldTime: 9, Announced: 1, Wanted: 1,
			BFD: &status.BFD{State: "Up", Interval: 100, Configured: 100, Detection: 300},
		}}
		s.Routes = []status.Route{{
			Address: addr.String(), Services: []string{key.String()}, Prefixes: []string{addr.String() + "/32"},
			Peers: []string{"tor-a"},
			Told:  []string{"tor-a"}, Reason: "Routed", Message: "announced",
		}}
	}
	return c
}

// down ends the session of a node.
func down(s *status.Speaker, why, message string) {
	s.Peers[0].Up, s.Peers[0].State, s.Peers[0].Reason, s.Peers[0].Message, s.Peers[0].BFD = false, "Active", why,
		message, nil
	s.Routes[0].Told = nil
}

// bgpCheck returns the verdict of the check bgp and its lines.
func bgpCheck(c *Cluster) (Verdict, []string) {
	for _, check := range Examine(c).Checks {
		if check.Name != "bgp" {
			continue
		}
		if len(check.Findings) == 0 {
			return check.Verdict, []string{check.Summary}
		}
		var lines []string
		for _, f := range check.Findings {
			lines = append(lines, fmt.Sprintf("%s: %s -> %s", f.Verdict, f.Message, f.Mend))
		}
		return check.Verdict, lines
	}
	return "", nil
}

// TestDoctorOfBGP changes one thing at a time in a healthy cluster.
func TestDoctorOfBGP(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(c *Cluster, n1, n2 *status.Speaker)
		verdict Verdict
		want    []string
	}{
		{"nothing", func(*Cluster, *status.Speaker, *status.Speaker) {}, OK,
			[]string{"2 of 2 sessions established; 1 address, each announced by at least one node"}},
		{"no BGP", func(c *Cluster, n1, n2 *status.Speaker) {
			c.Config.Config.Pools, c.Config.Config.Peers = nil, nil
			n1.Peers, n2.Peers, n1.Routes, n2.Routes = nil, nil, nil, nil
		}, OK, []string{"no pool has protocol bgp, and no node has a session"}},
		{"one session is down", func(_ *Cluster, n1, _ *status.Speaker) { down(n1, "Timeout", "no answer") }, Wrong,
			[]string{"problem: no session of n1 with tor-a (10.0.0.254): Timeout: no answer -> " + sessionFix("Timeout")}},
		{"another speaker", func(_ *Cluster, n1, _ *status.Speaker) { down(n1, "OtherSpeaker", "") }, Wrong,
			[]string{"problem: no session of n1 with tor-a (10.0.0.254): OtherSpeaker -> " + sessionFix("OtherSpeaker")}},
		{"all sessions are down", func(_ *Cluster, n1, n2 *status.Speaker) {
			down(n1, "PasswordWrong", "another password")
			down(n2, "PasswordWrong", "another password")
		}, Wrong, []string{
			"problem: no session of 2 nodes (n1, n2) with tor-a (10.0.0.254): PasswordWrong: another password -> " +
				sessionFix("PasswordWrong"),
			"problem: no node announces 10.0.0.100 (default/web) by BGP: SessionDown: to tor-a: PasswordWrong: another " +
				"password (n1, n2) -> " +
				sessionFix("PasswordWrong")}},
		{"family", func(_ *Cluster, n1, _ *status.Speaker) { n1.Peers[0].Refused = []string{"IPv6"} }, Wrong, []string{
			"problem: tor-a (10.0.0.254) does not accept IPv6 routes from n1, so no IPv6 address is announced there -> " +
				familyFix("IPv6")}},
		{"hold time", func(_ *Cluster, n1, n2 *status.Speaker) {
			for _, s := range []*status.Speaker{n1, n2} {
				s.Peers[0].BFD, s.Peers[0].HoldTime = nil, 90
			}
		}, Remark, []string{"remark: without BFD, tor-a loses traffic to a crashed node for up to the hold time of 90 s " +
			"(n1, n2) -> " +
			"use a bfd-profile, or a hold-time of some seconds; docs/bgp.md has figures"}},
		{"short hold time", func(_ *Cluster, n1, _ *status.Speaker) { n1.Peers[0].BFD = nil }, OK,
			[]string{"2 of 2 sessions established; 1 address, each announced by at least one node"}},
		{"BFD is slow", func(_ *Cluster, _, n2 *status.Speaker) { n2.Peers[0].BFD.Interval = 400 }, Remark, []string{
			"remark: BFD of n2 with tor-a sends every 400 ms instead of every 100 ms: the speaker is often late, or the " +
				"router asks for that -> " +
				"give the node and the speaker more CPU, or see which interval the router asks for"}},
		{"BFD is down", func(_ *Cluster, _, n2 *status.Speaker) { n2.Peers[0].BFD.State = "Down" }, Wrong, []string{
			"problem: BFD does not come up between n2 and tor-a (10.0.0.254), so only the hold time of 9 s notices a failure " +
				"-> turn on BFD for these neighbors on the router, and let UDP port 3784 pass (4784 with ebgp-multihop)"}},
		{"graceful restart", func(c *Cluster, _, _ *status.Speaker) {
			c.Config.Config.Peers[0].GracefulRestart = 15 * time.Second
		}, Remark,
			[]string{`remark: the peer "tor-a" has graceful restart without BFD: after the crash of a node the router keeps ` +
				"the dead route for the hold time and 15s more -> add a bfd-profile to the peer, or set graceful-restart: off"}},
		{"a node without a peer", func(_ *Cluster, _, n2 *status.Speaker) { n2.Ready, n2.Peers, n2.Routes = true, nil, nil },
			Remark,
			[]string{"remark: no peer is for 1 node, so these announce no address by BGP: n2 -> " +
				"nothing, if that is intended; else change the node-selectors of a peer"}},
		{"a peer for no node", func(c *Cluster, _, _ *status.Speaker) {
			s, err := labels.Parse("rack=n9")
			if err != nil {
				t.Fatal(err)
			}
			c.Config.Config.Peers = append(c.Config.Config.Peers, config.Peer{Name: "tor-b",
				NodeSelectors: []labels.Selector{s}})
		}, Wrong, []string{`problem: the peer "tor-b" is for no node: its node-selectors fit none -> ` +
			"change the node-selectors of the peer, or the labels of a node"}},
		{"a pool without " +
			"peers", func(c *Cluster, _, _ *status.Speaker) { c.Config.Config.Peers[0].AddressPools = []string{"other"} }, Wrong,
			[]string{`problem: the pool "lan" has protocol bgp and no peer, so no router learns its addresses -> ` +
				"add a peer; its address-pools and the peers of the pool's bgp-advertisements must allow the pool"}},
		{"advertisements for other peers", func(c *Cluster, _, _ *status.Speaker) {
			c.Config.Config.Pools[0].Advertisements = []config.Advertisement{{Peers: []string{"tor-b"}}}
		}, Wrong, []string{`problem: the pool "lan" has protocol bgp and no peer, so no router learns its addresses -> ` +
			"add a peer; its address-pools and the peers of the pool's bgp-advertisements must allow the pool"}},
		{"no speaker can be asked", func(c *Cluster, _, _ *status.Speaker) { silenced(c) }, Unchecked,
			[]string{"unchecked: 10.0.0.100 (default/web): no speaker could be asked -> "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := routedCluster()
			test.change(c, c.Speakers[0].Says, c.Speakers[1].Says)
			verdict, lines := bgpCheck(c)
			if verdict != test.verdict || !slices.Equal(lines, test.want) {
				t.Errorf("%s\n\t%s\nwant %s\n\t%s", verdict, strings.Join(lines, "\n\t"), test.verdict, strings.Join(test.want,
					"\n\t"))
			}
		})
	}
}

// TestRoutersNeedNoInterface examines nodes without an interface for layer 2. The missing interface is a problem only
// if a pool has protocol layer2.
func TestRoutersNeedNoInterface(t *testing.T) {
	for _, layer2 := range []bool{false, true} {
		c := routedCluster()
		c.Config.Config.Pools[0].Layer2 = layer2
		for _, check := range Examine(c).Checks {
			if check.Name == "interfaces" && (check.Verdict == Wrong) != layer2 {
				t.Errorf("layer2 %t: %+v", layer2, check)
			}
		}
	}
}

// TestRoutedState lets both nodes withhold the address for different reasons. The state must be the reason of the node
// that passed more checks.
func TestRoutedState(t *testing.T) {
	for _, test := range []struct{ one, other, want string }{
		{"RouteNoEndpoints", "RouteNoEndpoints", "RouteNoEndpoints"},
		{"NoLocalEndpoint", "NodeNotEligible", "NodeNotEligible"},
		{"NoPeer", "NodeNotEligible", "NoPeer"},
		{"NoPeer", "", stateSessionDown},
	} {
		c := routedCluster()
		for i, word := range []string{test.one, test.other} {
			if s := c.Speakers[i].Says; word == "" {
				down(s, "Refused", "refused")
			} else {
				s.Routes[0].Reason, s.Routes[0].Told, s.Routes[0].Prefixes = word, nil, nil
			}
		}
		row := Services(c, "").Services[0].Addresses[0]
		if row.State != test.want || row.Routing.Nodes != 0 || row.Detail == "" {
			t.Errorf("%s and %s: %+v; want %s", test.one, test.other, row, test.want)
		}
		if e := Why(c, key, nil); e.Well || e.Reason != test.want || e.Mend == "" {
			t.Errorf("%s and %s: %+v", test.one, test.other, e)
		}
	}
}

// TestBothProtocols checks that an address with both protocols counts as announced only with both announcements.
func TestBothProtocols(t *testing.T) {
	c := routedCluster()
	c.Config.Config.Pools[0].Layer2 = true
	c.Speakers[1].Says.Watched = []status.Watched{{Address: addr.String(), Reason: "NoEndpoints", Message: "none"}}
	if a := Who(c, addr); a.State != reason.NoEndpoints.String() || a.Routing.Nodes != 2 {
		t.Errorf("no node answers: %+v", a)
	}
	c.Speakers[0].Says.Owned = []status.Owned{{Address: addr.String(), Reason: "new", Elected: "n1"}}
	if a := Who(c, addr); !a.Well() {
		t.Errorf("both protocols announce: %+v", a)
	}
	down(c.Speakers[0].Says, "Refused", "refused")
	down(c.Speakers[1].Says, "Refused", "refused")
	if a := Who(c, addr); a.State != stateSessionDown || len(a.Nodes) != 1 {
		t.Errorf("BGP does not announce: %+v", a)
	}
}

// TestSilentSpeakersAreCounted examines a cluster with one speaker that could not be asked.
func TestSilentSpeakersAreCounted(t *testing.T) {
	c := routedCluster()
	c.Speakers[1].Says, c.Speakers[1].Silence = nil, "no answer in time"
	l := RoutesOfService(c, key)
	if got := l.Addresses[0].Routing; got.Summary() != "routed by 1 of 2 nodes to 1 router" || len(got.Missing) != 1 ||
		got.Missing[0].Reason != stateUnknown {
		t.Errorf("%s: %+v", got.Summary(), got.Missing)
	}
	if p := Peers(c); len(p.Sessions) != 1 || !slices.Equal(p.Silent, []string{"n2"}) {
		t.Errorf("%+v", p)
	}
}

// TestUntold checks each reason why an eligible node does not reach a router.
func TestUntold(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*status.Speaker)
		want   string
	}{
		{"no session yet", func(s *status.Speaker) { s.Peers = nil }, statePending},
		{"down", func(s *status.Speaker) { down(s, "NoRoute", "") }, stateSessionDown},
		{"family", func(s *status.Speaker) { s.Peers[0].Refused = []string{"IPv4"} }, stateFamilyRefused},
		{"another family", func(s *status.Speaker) { s.Peers[0].Refused = []string{"IPv6"} }, statePending},
	} {
		c := routedCluster()
		c.Speakers[0].Says.Routes[0].Told = nil
		test.change(c.Speakers[0].Says)
		got := RoutesOfAddress(c, addr).Addresses[0].Routing.Missing
		if len(got) != 1 || got[0].Reason != test.want || got[0].Peer != "tor-a" || !slices.Equal(got[0].Nodes,
			[]string{"n1"}) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// TestChangesOfRoutes checks that Changes reports the loss of a session, and reports nothing between equal Clusters.
func TestChangesOfRoutes(t *testing.T) {
	after := routedCluster()
	down(after.Speakers[0].Says, "Refused", "refused")
	for _, test := range []struct {
		before, after *Cluster
		want          string
	}{
		{routedCluster(), routedCluster(), ""},
		{routedCluster(), after, "Announced 10.0.0.100 is routed by 1 of 2 nodes to 1 router"},
	} {
		var got []string
		for _, x := range Changes(test.before, test.after) {
			got = append(got, x.Reason+" "+x.Message)
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestMoveNeedsLayer2 checks that an address with protocol bgp alone, which every node announces, cannot move.
func TestMoveNeedsLayer2(t *testing.T) {
	c := routedCluster()
	if err := MayMove(c, key, "n1"); err == nil || !strings.Contains(err.Error(), "by BGP") {
		t.Errorf("%v", err)
	}
	if m := Moved(c, c, key, "n1"); len(m.Addresses) != 0 || !m.Done {
		t.Errorf("%+v", m)
	}
}

// TestEverySessionReasonIsExplained checks that each reason of a session has a fix here and a row in docs/status.md.
func TestEverySessionReasonIsExplained(t *testing.T) {
	docs := readDocs(t, "status.md")
	if len(sessionWords) < bgp.ReasonCount {
		t.Fatalf("%d words for %d reasons", len(sessionWords), bgp.ReasonCount)
	}
	for i, word := range sessionWords {
		if named, ok := any(bgp.Reason(i)).(fmt.Stringer); ok && i < bgp.ReasonCount && named.String() != word {
			t.Errorf("the reason %s is called %s here", named, word)
		}
		if sessionFix(word) == "" {
			t.Errorf("%s has no fix", word)
		}
		if word != "None" && !strings.Contains(docs, "\n| `"+word+"` | ") {
			t.Errorf("no table of docs/status.md has a row for `%s`", word)
		}
	}
	if sessionFix("Later") != "" {
		t.Error("a word of a later version has a fix")
	}
}

// sessionWords holds the words of bgp.Reason in their order.
var sessionWords = [...]string{
	"None", "Refused", "NoRoute", "Timeout", "PasswordMissing", "PasswordWrong", "PasswordUnexpected", "WrongASN",
	"HoldTimeExpired", "BFDDown",
	"OtherSpeaker", "Notified", "ConnectionLost", "BadMessage", "NoRouterAdvertisement", "Changed", "Stopped", "SendHoldExpired",
}
