package inspect

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// TestWhoTellsOfStandIn lets a node answer in place of an elected node that does not know of the address. The report
// must name both nodes.
func TestWhoTellsOfStandIn(t *testing.T) {
	c := answered("n1", "n2")
	c.Speakers[0].Says.Owned[0].Reason = standsIn
	c.Speakers[1].Says.Watched = nil
	var out strings.Builder
	if err := Who(c, addr).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the node n1 answers, in place of n2, because nobody answered.",
		"in place of n2, which is to answer and did not",
		"it does not know of the address",
	} {
		if !strings.Contains(strings.ToLower(out.String()), strings.ToLower(want)) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
}

// TestMovePromisesNoFailback lets the elected node wait because its watches lag. The message must not promise a
// failback.
func TestMovePromisesNoFailback(t *testing.T) {
	for _, why := range reason.Watches() {
		c := answered("n1", "n2")
		c.Config.Config.Layer2.Failback = time.Minute
		c.Speakers[1].Says.Watched[0].Reason = why.String()
		m := Moved(c, c, key, "")
		other := why == reason.Outdated || why == reason.Unconfigured || why == reason.NoRules
		if strings.Contains(m.Message, "failback") == other || other && !strings.Contains(m.Message, watchHint(why)) {
			t.Errorf("%s: %s", why, m.Message)
		}
	}
}

// TestNoRules lets the elected node refuse a planned move, and wait for the rules of a new address. Why and the plugin's
// move must say so.
func TestNoRules(t *testing.T) {
	const message = "node n2 has no rules for this Service"
	for _, owner := range []string{"n1", ""} {
		c := answered(owner, "n2")
		w := &c.Speakers[1].Says.Watched[0]
		w.Reason, w.Message = reason.NoRules.String(), message
		e := Why(c, key, nil)
		if e.Well != (owner != "") || e.Addresses[0].Detail != message {
			t.Errorf("owner %q: well: %t, %s", owner, e.Well, e.Addresses[0].Detail)
		}
		if m := Moved(c, c, key, "n2"); m.Done || !strings.Contains(m.Message, message) {
			t.Errorf("owner %q: %+v", owner, m)
		}
	}
}

// TestNodeAddress checks that the report names each Node once for an address, and does not call the kernel's copy of an
// InternalIP a second address.
func TestNodeAddress(t *testing.T) {
	parse := netip.MustParseAddr
	c := &Cluster{
		Nodes: []Node{
			{Node: cluster.Node{Name: "n1", Addresses: []netip.Addr{parse("10.0.0.1")}}},
			{Node: cluster.Node{Name: "n2", External: []netip.Addr{parse("10.0.0.2")}}},
		},
		Speakers: []Speaker{
			{Pod: Pod{Node: "n1"}, Networks: cluster.Networks{Addresses: []netip.Addr{parse("10.0.0.1"), parse("10.0.0.3")}}},
			{Pod: Pod{Node: "n2"}, Networks: cluster.Networks{Addresses: []netip.Addr{parse("10.0.0.3")}}},
		},
	}
	for text, want := range map[string]string{
		"10.0.0.1": "it is the address of the node n1",
		"10.0.0.2": "it is an ExternalIP of the node n2",
		"10.0.0.3": "it is an address that the kernel of the node n1 has, and an address that the kernel of the node n2 has",
	} {
		if a := Who(c, parse(text)); a.State != stateTakenByNode || a.Detail != want {
			t.Errorf("%s: %s, %s; want %s", text, a.State, a.Detail, want)
		}
	}
	if a := Who(c, parse("10.0.0.4")); a.State != stateNoService || a.NodeAddress != nil {
		t.Errorf("10.0.0.4: %+v", a)
	}
}
