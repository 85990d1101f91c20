package kube

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func TestFormatNodes(t *testing.T) {
	many := make([]string, mostMACs+3)
	for i := range many {
		many[i] = fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&0xff)
	}
	for _, test := range []struct {
		name string
		macs map[string][]string
		size int
		want string
		left int
	}{
		{"nothing", nil, 1000, `{}`, 0},
		{"sorted, once each", map[string][]string{"b": {"02:00:00:00:00:02", "02:00:00:00:00:01", "02:00:00:00:00:02"}, "a": {"02:00:00:00:00:03"}}, 1000,
			`{"a":{"macs":["02:00:00:00:00:03"]},"b":{"macs":["02:00:00:00:00:01","02:00:00:00:00:02"]}}`, 0},
		{"no room for the second node", map[string][]string{"b": {"02:00:00:00:00:01", "02:00:00:00:00:02"}, "a": {"02:00:00:00:00:03"}}, 60,
			`{"a":{"macs":["02:00:00:00:00:03"]}}`, 2},
		{"no room at all", map[string][]string{"a": {"02:00:00:00:00:03"}}, 0, `{}`, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if text, left := formatNodes(test.macs, test.size); text != test.want || left != test.left {
				t.Errorf("%s and %d left, want %s and %d", text, left, test.want, test.left)
			}
		})
	}
	text, left := formatNodes(map[string][]string{"a": many}, mostState)
	parsed, err := parseNodes(text)
	if err != nil || len(parsed["a"]) != mostMACs || left != 3 {
		t.Errorf("%d MAC addresses of one node, %d left, %v", len(parsed["a"]), left, err)
	}
	crowd := map[string][]string{}
	for i := range 1000 {
		crowd[fmt.Sprintf("node-%d", i)] = many[:mostMACs]
	}
	if text, left := formatNodes(crowd, mostState); len(text) > mostState || len(text) < mostState*9/10 || left == 0 {
		t.Errorf("%d bytes, %d left", len(text), left)
	}
}

func TestParseNodes(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     "unexpected end",
		`[]`:                                   "cannot unmarshal",
		`{"a":{"macs":["02:00:00:00:00"]}}`:    `node "a": "02:00:00:00:00" is no MAC address`,
		`{"a":{"macs":["02-00-00-00-00-07"]}}`: "is no MAC address",
		`{"a":{"macs":"02:00:00:00:00:07"}}`:   "cannot unmarshal",
	} {
		if nodes, err := parseNodes(text); err == nil || !strings.Contains(err.Error(), want) || nodes != nil {
			t.Errorf("%s is read as %v, %v, want %q", text, nodes, err, want)
		}
	}
	nodes, err := parseNodes(`{"a":{"macs":["02:00:00:00:00:07","02:00:00:00:00:01"],"more":1},"b":{}}`)
	want := nodeMACs{"a": {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 7}}}
	if err != nil || !reflect.DeepEqual(nodes, want) {
		t.Errorf("%v, %v, want %v", nodes, err, want)
	}
}

// FuzzParseNodes reads any text, and checks that formatNodes and parseNodes restore the result.
func FuzzParseNodes(f *testing.F) {
	f.Add(`{"node-a":{"macs":["02:00:00:00:00:07"]}}`)
	// These entries repeat a name and an address.
	f.Add(`{"node-a":{"macs":[]},"node-a":{"macs":["02:00:00:00:00:07","02:00:00:00:00:07"]}}`)
	f.Add(`{"":{"macs":["02:00:00:00:00:07"],"unknown":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := parseNodes(text)
		if err != nil {
			return
		}
		macs := make(map[string][]string)
		for name, all := range nodes {
			if len(all) > mostMACs {
				return
			}
			for _, mac := range all {
				macs[name] = append(macs[name], fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]))
			}
		}
		written, left := formatNodes(macs, 10*len(text)+1000)
		again, err := parseNodes(written)
		if err != nil || left != 0 || !maps.EqualFunc(again, nodes, slices.Equal[[][6]byte]) {
			t.Errorf("%q is read as %v, written as %q and read as %v, %v; %d left", text, nodes, written, again, err, left)
		}
	})
}

// macsOf returns the MAC addresses of the Nodes in a snapshot as text.
func macsOf(s cluster.Snapshot) string {
	var b strings.Builder
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "%s:", n.Name)
		for _, mac := range n.MACs {
			fmt.Fprintf(&b, " %x", mac[5])
		}
		b.WriteString("; ")
	}
	return b.String()
}

// TestNodeMACs reads the MAC addresses from each state of lanlord-state, like a speaker.
func TestNodeMACs(t *testing.T) {
	const two = `{"n1":{"macs":["02:00:00:00:00:07"]},"n2":{"macs":["02:00:00:00:00:08"]}}`
	api := newFakeAPI(configMap(onePool), node("n1", "10.0.0.1"), node("n2", "10.0.0.2"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, log *lines) {
		expect := func(when, want string, woken bool) {
			t.Helper()
			if n := wakes.take(); n > 0 != woken {
				t.Errorf("%s: %d wake-ups", when, n)
			}
			if got := macsOf(s.Snapshot()); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("missing", "n1:; n2:; ", false)
		api.put(stateMap("nodes", two))
		expect("both", "n1: 7; n2: 8; ", true)
		before := s.Snapshot()
		api.put(stateMap("nodes", two, "config", onePool))
		expect("the same", "n1: 7; n2: 8; ", false)
		api.put(stateMap("nodes", `{"n1":{"macs":["nonsense"]}}`))
		api.put(stateMap("nodes", `{"n1":{"macs":["nonsense"]}}`, "config", onePool))
		expect("not valid", "n1: 7; n2: 8; ", false)
		if n := log.count("configmap=lanlord-system/lanlord-state entry=nodes"); n != 1 {
			t.Errorf("%d lines for one invalid text:\n%s", n, log.text.String())
		}
		api.put(stateMap("config", onePool))
		expect("without the entry", "n1: 7; n2: 8; ", false)
		api.remove(stateMap())
		expect("deleted", "n1: 7; n2: 8; ", false)
		api.put(stateMap("nodes", `{"n2":{"macs":["02:00:00:00:00:08","02:00:00:00:00:09"]},"gone":{"macs":["02:00:00:00:00:0a"]}}`))
		expect("partial", "n1:; n2: 8 9; ", true)
		if got := macsOf(before); got != "n1: 7; n2: 8; " {
			t.Errorf("a snapshot has changed to %q", got)
		}
	})
}

// TestKernelAddresses checks that the addresses of nodes count as taken, whichever speaker reports them, and for a
// while after the last report.
func TestKernelAddresses(t *testing.T) {
	api := newFakeAPI(node("n1", "10.0.0.1"), node("n2", "10.0.0.2"),
		pod("speaker-1", "n1", `{"addresses":["10.0.0.1","10.0.0.100","172.17.0.1"]}`),
		pod("speaker-2", "n2", `{"addresses":["10.0.0.2","172.17.0.1"],"gateways":["10.0.0.100"],"strangers":[{"addr":"172.17.0.1","mac":"02:00:00:00:00:09","quarantine":true}]}`))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		expect := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := facts(s.Snapshot()); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("first", "Node 10.0.0.100 n1; Node 172.17.0.1 n1;")
		api.put(pod("speaker-1", "n1", `{"addresses":["10.0.0.1"]}`))
		expect("a virtual address that moves", "Node 10.0.0.100 n1; Node 172.17.0.1 n1;")
		api.put(pod("speaker-2", "n2", `{"addresses":["10.0.0.2","10.0.0.100"]}`))
		time.Sleep(factsLinger)
		expect("it has moved", "Node 10.0.0.100 n2;")
		api.remove(pod("speaker-1", "n1", ""))
		api.put(pod("speaker-2", "n2", "nonsense"))
		expect("old and wrong", "Node 10.0.0.100 n2;")
	})
}
