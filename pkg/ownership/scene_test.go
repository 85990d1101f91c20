package ownership

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

// epoch is time zero of the tests. The nodes were ready an hour before.
var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// sceneNames lists the nodes of the tests.
const sceneNames = "abcde"

// alphabetic returns an address for which the election ranks the nodes of the tests in alphabetic order.
func alphabetic() netip.Addr {
	var candidates []election.Candidate
	for _, name := range strings.Split(sceneNames, "") {
		candidates = append(candidates, election.NewCandidate(name))
	}
	for addr := netip.MustParseAddr("10.0.0.1"); ; addr = addr.Next() {
		if slices.IsSortedFunc(election.Ranked(addr, candidates),
			func(x, y election.Candidate) int { return strings.Compare(x.Name(), y.Name()) }) {
			return addr
		}
	}
}

// place returns the placement of an address with the given eligible nodes and the node preferred by its Service, or
// none.
func place(addr netip.Addr, eligible []string, prefer string) *placement.Placement {
	return placeNear(addr, eligible, prefer, nil)
}

// placeNear is place for a Service that prefers nodes with endpoints, and has ready ones on the nodes near; nil for a
// Service without that preference.
func placeNear(addr netip.Addr, eligible []string, prefer string, near []string) *placement.Placement {
	snap := cluster.Snapshot{Services: []*cluster.Service{{
		Key: cluster.Key{Namespace: "default", Name: "s"}, Managed: true, AllocatedFrom: "pool",
		Ingress: []netip.Addr{addr}, HasServing: true,
		PreferNode: prefer,
	}}}
	if near != nil {
		snap.Services[0].AnnounceFrom, snap.Services[0].ReadyNodes = cluster.FromEndpoints, near
	}
	var ready []membership.Member
	for _, name := range eligible {
		snap.Nodes = append(snap.Nodes, cluster.Node{Name: name})
		ready = append(ready,
			membership.Member{Name: name, State: membership.Ready, Links: []membership.Link{{Name: "eth0"}}})
	}
	return placement.Decide(snap, ready)[0]
}

// macOf returns the MAC address of a node or a host with a name of one letter.
func macOf(name string) layer2.MAC { return layer2.MAC{2, 0, 0, 0, 0, name[0]} }

func nameOf(mac layer2.MAC) string {
	if mac == (layer2.MAC{}) {
		return "-"
	}
	return string(mac[5:])
}

// scene is an Address and its inputs. Tests change single inputs.
type scene struct {
	addr     netip.Addr
	a        *Address
	in       Input
	eligible []string
	prefer   string
	near     []string
	peers    map[string]peers.Peer
	losses   int
	asked    uint64 // the number of the last probe
	fired    []int  // the lines of the table that fired, over all steps
}

// newScene returns node a of three, a configured node that has been ready for an hour. The address is old.
func newScene() *scene {
	s := &scene{addr: alphabetic(), peers: map[string]peers.Peer{}}
	s.a = New(s.addr)
	s.in.Self = Self{Name: "a", Ready: epoch.Add(-time.Hour), Settled: true, Configured: true, Informed: true}
	s.in.Failback.Delay = time.Minute
	for _, name := range []string{"b", "c"} {
		s.peers[name] = member(name)
	}
	s.mayHave("a", "b", "c")
	s.in.PrevOwner = "a"
	return s
}

// member returns a peer in the role of a ready member.
func member(name string) peers.Peer {
	return peers.Peer{
		Name: name, Standing: peers.Member, State: membership.Ready, SeenReady: epoch.Add(-time.Hour),
	}
}

// mayHave sets the eligible nodes.
func (s *scene) mayHave(names ...string) {
	s.eligible = names
	s.in.Placement = placeNear(s.addr, names, s.prefer, s.near)
}

// stations maps the MAC addresses of the known nodes; a host with another MAC address is a foreign host.
func (s *scene) stations() map[layer2.MAC]string {
	stations := map[layer2.MAC]string{}
	for name, p := range s.peers {
		if p.Standing != peers.Foreign {
			stations[macOf(name)] = name
		}
	}
	return stations
}

// step applies an event, and afterwards stores the owner by placement, like the caller of Step.
func (s *scene) step(now time.Time, e Event) []Action {
	s.in.Event, s.in.Peers = e, peers.NewView(s.peers, s.stations(), s.losses)
	actions := s.a.step(now, s.in, func(line int) { s.fired = append(s.fired, line) })
	if p := s.in.Placement; p != nil {
		s.in.PrevOwner = p.Owner
	}
	for _, a := range actions {
		if a.Kind == Ask {
			s.asked = a.Probe.Number
		}
	}
	return actions
}

// found returns an event with a result of the last probe.
func (s *scene) found(f layer2.Finding) Event {
	return Event{Kind: Probed, Number: s.asked, Finding: f}
}

// replies returns a finding with answers of the given stations.
func replies(names ...string) layer2.Finding {
	f := layer2.Finding{Outcome: layer2.Taken}
	for _, name := range names {
		f.Heard = append(f.Heard, layer2.Sighting{MAC: macOf(name), Form: layer2.Reply})
	}
	return f
}

// rival returns a finding without answers, but with a probe of another station.
func rival(name string) layer2.Finding {
	return layer2.Finding{Outcome: layer2.Contested, Heard: []layer2.Sighting{{MAC: macOf(name), Form: layer2.Probing}}}
}

// String returns the action in the syntax of scenario files.
func (a Action) String() string {
	words := []string{a.Kind.String()}
	switch a.Kind {
	case Ask:
		if a.Probe.Backup {
			words = append(words, "as backup")
		}
		if a.Probe.To != (layer2.MAC{}) {
			words = append(words, nameOf(a.Probe.To)+" alone")
		}
		if a.Probe.Linger {
			words = append(words, "and linger")
		}
	case Report:
		words = append(words, a.Change.Kind.String(), a.Change.Cause.String())
		if a.Change.Peer != "" {
			words = append(words, a.Change.Peer)
		}
		if a.Change.After != 0 {
			words = append(words, "after", a.Change.After.String())
		}
	case ForeignHost, Sighted, Defend:
		words = append(words, nameOf(a.Host.MAC))
		if a.Host.Node != "" {
			words = append(words, "of", a.Host.Node)
		}
	default:
		if a.Node != "" {
			words = append(words, a.Node)
		}
	}
	return strings.Join(words, " ")
}

// outcome returns the state, the time of the next review, and the actions, in the syntax of scenario files.
func outcome(a *Address, actions []Action) string {
	text := a.State().String()
	switch next := a.Next(); {
	case next.IsZero():
	case !next.Before(Never):
		text += " until never"
	default:
		text += fmt.Sprintf(" until %v", next.Sub(epoch))
	}
	for i, x := range actions {
		text += []string{", ", ": "}[btoi(i == 0)] + x.String()
	}
	return text
}

func btoi(is bool) int {
	if is {
		return 1
	}
	return 0
}

// TestAlphabetic checks an assumption of the tests: the election ranks the nodes in alphabetic order, and the rank by
// name is the same.
func TestAlphabetic(t *testing.T) {
	addr := alphabetic()
	p := place(addr, strings.Split(sceneNames, ""), "")
	for i, name := range strings.Split(sceneNames, "") {
		if p.Rank(name) != i {
			t.Errorf("%s has rank %d, want %d", name, p.Rank(name), i)
		}
	}
	if p = place(addr, []string{"a", "b"}, "b"); p.Owner != "b" || !p.Preferred || p.Rank("a") != 1 {
		t.Errorf("with b preferred: %+v", p)
	}
	if !placement.OutranksByName(addr, "a", "e") {
		t.Error("e goes before a by name")
	}
}
