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

// facts shows a snapshot's as text.
func facts(s cluster.Snapshot) string {
	var b strings.Builder
	for _, taken := range s.Taken {
		fmt.Fprintf(&b, "%s %s %s; ", taken.By, taken.Addr, taken.Name)
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

		// A gateway that is no longer one, and one whose name changes hands.
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

// TestFactsInRollout replaces every Pod, one by one, at a distance of a few minutes: nothing comes free at any time, and
// nobody is woken.
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

// TestFactsNotUnderstood leaves out what is not understood, says so once for each Pod, and keeps what was said before.
func TestFactsNotUnderstood(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", says1), pod("speaker-2", "n2", "what?"))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		for _, text := range []string{"what?", "{", says1, `{"gateways":["fe80::1"]}`} {
			api.put(pod("speaker-1", "n1", text))
		}
		synctest.Wait()
		if n := log.count("not understood"); n != 2 {
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
