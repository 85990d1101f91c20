package kube

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	says1 = `{"subnets":["192.0.2.0/24"],"gateways":["192.0.2.1"]}`
	says2 = `{"subnets":["192.0.2.0/24"],"gateways":["192.0.2.2"]}`
)

// facts returns the fact lists of a snapshot as text.
func facts(s cluster.Snapshot) string {
	var b strings.Builder
	for _, taken := range s.Taken {
		fmt.Fprintf(&b, "%s %s %s; ", taken.By, taken.Addr, taken.Name)
	}
	for _, c := range s.Conflicts {
		fmt.Fprintf(&b, "Conflict %s %s %t; ", c.Addr, c.MAC, c.Quarantine)
	}
	for _, p := range s.Subnets {
		fmt.Fprint(&b, p, " ")
	}
	return strings.TrimSpace(b.String())
}

func TestFacts(t *testing.T) {
	api := newFakeAPI(pod("speaker-2", "n2", says1), pod("speaker-1", "n1", says1), pod("speaker-3", "n3", ""))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		expect := func(when, want string) {
			t.Helper()
			if got := facts(s.Snapshot()); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		expect("first", "Gateway 192.0.2.1 n1; 192.0.2.0/24")

		heartbeat := pod("speaker-1", "n1", says1)
		heartbeat.Status.PodIP = "192.0.2.7"
		api.put(heartbeat)
		stranger := pod("other", "n1", says2)
		stranger.Labels["component"] = "web"
		api.put(stranger)
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups for nothing", n)
		}
		api.put(pod("speaker-3", "n3", says2))
		if n := wakes.take(); n == 0 {
			t.Error("no wake-up for a new gateway")
		}
		expect("another gateway", "Gateway 192.0.2.1 n1; Gateway 192.0.2.2 n3; 192.0.2.0/24")

		// One gateway is no longer reported. Another gateway loses the node that named it, and a second node still
		// reports the gateway.
		api.put(pod("speaker-3", "n3", says1))
		wakes.take()
		api.remove(pod("speaker-1", "n1", ""))
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups, while nothing has come free", n)
		}
		time.Sleep(factsLinger - time.Second)
		expect("still", "Gateway 192.0.2.1 n1; Gateway 192.0.2.2 n3; 192.0.2.0/24")
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups, while nothing has come free", n)
		}
		time.Sleep(time.Second)
		if n := wakes.take(); n == 0 {
			t.Error("no wake-up for an address that came free")
		}
		expect("in the end", "Gateway 192.0.2.1 n2; 192.0.2.0/24")
	})
}

// strangers returns the annotation of a speaker that has seen foreign hosts. Each argument is an address, a space, and
// the last byte of a MAC address; a final exclamation mark adds a quarantine.
func strangers(met ...string) string {
	var n cluster.Networks
	for _, one := range met {
		addr, mac, _ := strings.Cut(one, " ")
		plain, loud := strings.CutSuffix(mac, "!")
		n.Strangers = append(n.Strangers, stranger(addr, "02:00:00:00:00:"+plain, loud))
	}
	text, _ := formatNetworks(n)
	return text
}

// TestStrangers checks the end of reports of foreign hosts: a report that a running speaker withdraws ends at once, and
// a report that no speaker can withdraw ends after a while.
func TestStrangers(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", strangers("192.0.2.9 09")), pod("speaker-2", "n2", says1))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		expect := func(when, want string, woken bool) {
			t.Helper()
			n := wakes.take()
			if got := facts(s.Snapshot()); got != want || woken != (n > 0) {
				t.Errorf("%s: %q after %d wake-ups, want %q", when, got, n, want)
			}
		}
		const quiet = "Gateway 192.0.2.1 n2; 192.0.2.0/24"
		wakes.take()
		expect("first", "Gateway 192.0.2.1 n2; Conflict 192.0.2.9 02:00:00:00:00:09 false; 192.0.2.0/24", false)

		api.put(pod("speaker-1", "n1", strangers("192.0.2.9 09!", "192.0.2.1 09!", "192.0.2.7 0b", "192.0.2.7 0a")))
		const four = "Gateway 192.0.2.1 n2; Stranger 192.0.2.9 02:00:00:00:00:09; Conflict 192.0.2.7 02:00:00:00:00:0a false; " +
			"Conflict 192.0.2.7 02:00:00:00:00:0b false; 192.0.2.0/24"
		expect("a quarantine in its place, a gateway, and two at one address", four, true)

		api.put(pod("speaker-3", "n3", strangers("192.0.2.9 09!")))
		wakes.take()
		api.put(pod("speaker-1", "n1", "{}"))
		expect("another node has met it too", "Gateway 192.0.2.1 n2; Stranger 192.0.2.9 02:00:00:00:00:09; 192.0.2.0/24", true)
		api.put(pod("speaker-3", "n3", "{}"))
		expect("taken back by all", quiet, true)

		// The reports of a speaker that has fallen silent count for a while, regardless of the reports of its
		// successor.
		for i, silence := range []func(){
			func() { api.remove(pod("speaker-1", "n1", "")) },
			func() { api.put(pod("speaker-1", "n1", "what?")) },
			func() { api.put(pod("speaker-1", "n1", "")) },
			func() { api.remove(pod("speaker-1", "n1", "")); api.put(pod("speaker-4", "n1", "{}")) },
		} {
			api.put(pod("speaker-1", "n1", strangers("192.0.2.9 09!")))
			wakes.take()
			silence()
			time.Sleep(factsLinger - time.Second)
			expect(fmt.Sprint("silent ", i), "Gateway 192.0.2.1 n2; Stranger 192.0.2.9 02:00:00:00:00:09; 192.0.2.0/24", false)
			time.Sleep(time.Second)
			expect(fmt.Sprint("forgotten ", i), quiet, true)
		}

		// The successor sees the host too, and then withdraws the report.
		api.put(pod("speaker-1", "n1", strangers("192.0.2.9 09")))
		api.remove(pod("speaker-1", "n1", ""))
		api.put(pod("speaker-5", "n1", strangers("192.0.2.9 09")))
		wakes.take()
		api.put(pod("speaker-5", "n1", "{}"))
		expect("taken back by the successor", quiet, true)
	})
}

// TestNodesAreNoStrangers has a new speaker see another host and a node that is cut off from gossip. The node never
// counts as a foreign host, no matter which report comes first, and even while the node's Pod is being replaced.
func TestNodesAreNoStrangers(t *testing.T) {
	const node, host = "192.0.2.9 09!", "192.0.2.8 08!"
	own, _ := formatNetworks(cluster.Networks{MACs: []string{"02:00:00:00:00:09"}})
	api := newFakeAPI(pod("speaker-1", "n1", own), pod("speaker-2", "n2", "{}"))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		expect := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := facts(s.Snapshot()); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		const only = "Stranger 192.0.2.8 02:00:00:00:00:08;"
		api.put(pod("speaker-2", "n2", strangers(node, host, "192.0.2.7 09")))
		expect("met", only)
		api.remove(pod("speaker-1", "n1", ""))
		api.put(pod("speaker-3", "n1", ""))
		expect("in a rollout", only)
		api.remove(pod("speaker-3", "n1", ""))
		time.Sleep(factsLinger)
		expect("no node's any more", only+" Stranger 192.0.2.9 02:00:00:00:00:09; Conflict 192.0.2.7 02:00:00:00:00:09 false;")
		wakes.take()
		api.put(pod("speaker-4", "n1", own))
		if n := wakes.take(); n == 0 {
			t.Error("no wake-up for a stranger that is a node")
		}
		expect("a node's after all", only)
	})
}

// TestFactsInRollout replaces every Pod, one by one, a few minutes apart. No address becomes free at any time, and no
// reader wakes.
func TestFactsInRollout(t *testing.T) {
	api := newFakeAPI(pod("a-1", "n1", says1), pod("a-2", "n2", says1))
	inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
		want := facts(s.Snapshot())
		for round := range 4 {
			for node := 1; node <= 2; node++ {
				api.remove(pod(fmt.Sprintf("%c-%d", 'a'+round, node), "", ""))
				name, on := fmt.Sprintf("%c-%d", 'b'+round, node), fmt.Sprintf("n%d", node)
				api.put(pod(name, on, ""))
				time.Sleep(4 * time.Minute)
				api.put(pod(name, on, says1))
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			if got := facts(s.Snapshot()); got != want {
				t.Errorf("round %d: %q, want %q", round, got, want)
			}
		}
		if n := wakes.take(); n != 0 {
			t.Errorf("%d wake-ups in rollouts", n)
		}
	})
}

// TestFactsNotUnderstood checks that an unreadable report is ignored and logged once for each Pod, and that the earlier
// report stays.
func TestFactsNotUnderstood(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", says1), pod("speaker-2", "n2", "what?"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		for _, text := range []string{"what?", "{", says1, `{"gateways":["fe80::1"]}`} {
			api.put(pod("speaker-1", "n1", text))
		}
		synctest.Wait()
		if n := log.count("not valid and is ignored"); n != 2 {
			t.Errorf("%d lines, want one for each Pod:\n%s", n, log.text.String())
		}
		if got, want := facts(s.Snapshot()), "Gateway 192.0.2.1 n1; 192.0.2.0/24"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		time.Sleep(factsLinger)
		synctest.Wait()
		if got := facts(s.Snapshot()); got != "" {
			t.Errorf("%q, want nothing after %s", got, factsLinger)
		}
	})
}

// TestWaitNetworks covers a first installation: the controller runs before the speakers.
func TestWaitNetworks(t *testing.T) {
	inBubble(t, newFakeAPI(), func(t *testing.T, s *Store, _ *counter, _ *lines) {
		start := time.Now()
		if s.WaitNetworks(t.Context(), 5*time.Second) || time.Since(start) != 5*time.Second {
			t.Errorf("without speakers: waited %v", time.Since(start))
		}
	})
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, _ *lines) {
		start := time.Now()
		time.AfterFunc(2*time.Second, func() { api.put(pod("speaker-1", "n1", says1)) })
		if !s.WaitNetworks(t.Context(), 5*time.Second) || time.Since(start) > 3*time.Second {
			t.Errorf("told after 2 s: waited %v", time.Since(start))
		}
	})
	assigned := service("web")
	assigned.Annotations = map[string]string{AllocatedFromAnnotation: "pool"}
	inBubble(t, newFakeAPI(assigned), func(t *testing.T, s *Store, _ *counter, _ *lines) {
		start := time.Now()
		if s.WaitNetworks(t.Context(), 5*time.Second) || time.Since(start) != 0 {
			t.Errorf("with a Service that has an address: waited %v", time.Since(start))
		}
	})
}
