package speaker

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// TestExclusionsAreWords has nodes become ineligible one after the other: the status names the reason of each as a
// word.
func TestExclusionsAreWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {move-on-cordon: true}\n", []string{"a", "b", "c"}, addr4)
		v.change(func(s *cluster.Snapshot) { s.Nodes[0].Excluded, s.Nodes[1].Unschedulable = true, true })
		time.Sleep(10 * time.Second)
		if owner := v.only(addr4); owner.name != "c" {
			t.Fatalf("%s has the address, want c", owner.name)
		}
		for name, want := range map[string]reason.Exclusion{"a": reason.ExcludedByLabel, "b": reason.Cordoned} {
			w := v.speakers[name].loop.Describe().Watched[0]
			if w.Reason != reason.NotEligible.String() || w.Exclusion != want.String() || !strings.Contains(w.Message, want.Text()) ||
				w.Exclusions != nil || w.State != status.StateStandby {
				t.Errorf("%s tells %+v, want %s", name, w, want)
			}
		}
		v.change(func(s *cluster.Snapshot) {
			s.Services[0].TrafficPolicy, s.Services[0].ServingNodes = cluster.TrafficLocal, []string{"b"}
		})
		time.Sleep(10 * time.Second)
		want := map[string]int{"ExcludedByLabel": 1, "Cordoned": 1, "NoServingEndpoint": 1}
		for name, p := range v.speakers {
			w := p.loop.Describe().Watched[0]
			if w.Reason != reason.NoEligibleNode.String() || !maps.Equal(w.Exclusions, want) || w.Exclusion != "" {
				t.Errorf("%s tells %+v, want %v", name, w, want)
			}
		}
	})
}

// TestEndlessWaitIsExplained checks the cause for which an elected node waits without end. Failback is only one of the
// causes.
func TestEndlessWaitIsExplained(t *testing.T) {
	for want, test := range map[reason.Watch]struct {
		config *config.Config
		newer  bool
	}{
		reason.Waiting:      {&config.Config{}, false},
		reason.Outdated:     {&config.Config{}, true},
		reason.Unconfigured: {nil, true},
	} {
		st := &Status{
			snapshot: cluster.Snapshot{Config: test.config},
			view:     peers.NewView(map[string]peers.Peer{"b": {Standing: peers.Member, Newer: test.newer}}, nil, 0),
		}
		why, message := watcher{Status: st, self: "a"}.explainNever(&placement.Placement{}, "b")
		if why != want || strings.Contains(message, "failback") != (want == reason.Waiting) {
			t.Errorf("%s: %s; want %s", why, message, want)
		}
	}
}

// TestUnreachedAreShown lists the nodes that gossip does not reach. A former member may be off, unless the wire hears
// the node.
func TestUnreachedAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b"}, addr4)
		p := v.speakers["a"]
		v.mu.Lock()
		p.unreached = []membership.Unreached{
			{Name: "m", Addr: netip.MustParseAddrPort("10.0.0.9:7950"), Since: time.Now(), Err: errors.New("no answer")},
			{Name: "n", Addr: netip.MustParseAddrPort("10.0.0.8:7950"), Since: time.Now(), Met: true, Err: errors.New("no answer")},
		}
		v.mu.Unlock()
		want := []status.Unreached{
			{Node: "m", Address: "10.0.0.9:7950", Message: p.unreached[0].String(), Blocked: true, Port: 7950},
			{Node: "n", Address: "10.0.0.8:7950", Message: p.unreached[1].String(), Port: 7950},
		}
		if got := p.loop.Describe().Unreached; !slices.Equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := v.speakers["b"].loop.Describe().Unreached; got == nil || len(got) != 0 {
			t.Errorf("b shows %#v", got)
		}
	})
}

// TestStatesHaveOneName holds pkg/status, which explains the states to the plugin and the page, to the states of
// pkg/ownership.
func TestStatesHaveOneName(t *testing.T) {
	texts := map[string]bool{}
	for i := range ownership.StateCount {
		s := ownership.State(i)
		text := status.AddressState(s.String()).Text()
		if text == "" || texts[text] {
			t.Errorf("%s has the text %q, which is empty or belongs to another state too", s, text)
		}
		texts[text] = true
	}
	if text := status.AddressState("Later").Text(); text != "" {
		t.Errorf("a state of a later version has the text %q", text)
	}
}
