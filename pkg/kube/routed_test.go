package kube

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

const saysRoutes = `{"sets":[{"peers":["tor-a","tor-b"],"ranges":["192.0.2.1-192.0.2.9","2001:db8::1"]},{"peers":["tor-a"],"ranges":["192.0.2.10"]}]}`

func ipRange(from, to string) config.Range {
	return config.Range{From: netip.MustParseAddr(from), To: netip.MustParseAddr(to)}
}

func routedSets() []cluster.RoutedSet {
	return []cluster.RoutedSet{
		{Peers: []string{"tor-a", "tor-b"}, Ranges: []config.Range{ipRange("192.0.2.1", "192.0.2.9"), ipRange("2001:db8::1", "2001:db8::1")}},
		{Peers: []string{"tor-a"}, Ranges: []config.Range{ipRange("192.0.2.10", "192.0.2.10")}},
	}
}

// TestRoutedText checks that parseRouted restores a formatted report.
func TestRoutedText(t *testing.T) {
	text := formatRouted(routedSets())
	if text != saysRoutes {
		t.Errorf("written as %s", text)
	}
	r, err := parseRouted(text)
	if err != nil || !r.Equal(&cluster.Routed{Sets: routedSets()}) {
		t.Errorf("read as %+v, %v", r, err)
	}
	for _, c := range []struct {
		addr, want string
	}{
		{"192.0.2.1", "[tor-a tor-b]"}, {"192.0.2.5", "[tor-a tor-b]"}, {"192.0.2.9", "[tor-a tor-b]"}, {"192.0.2.10", "[tor-a]"},
		{"192.0.2.0", "[]"}, {"192.0.2.11", "[]"}, {"2001:db8::1", "[tor-a tor-b]"}, {"2001:db8::", "[]"}, {"2001:db8::2", "[]"},
	} {
		if got := fmt.Sprint(r.PeersOf(netip.MustParseAddr(c.addr))); got != c.want {
			t.Errorf("%s goes to %s, want %s", c.addr, got, c.want)
		}
	}
}

// TestRoutedTextBounded formats more ranges than the annotation holds. The annotation is marked as partial.
func TestRoutedTextBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		from string
	}{
		{"as many as fit", mostRanges, "192.0.2.1"}, {"one more", mostRanges + 1, "192.0.2.1"},
		{"long ones", mostRanges, "2001:db8:1111:2222:3333:4444:5555:1111"},
	} {
		set := cluster.RoutedSet{Peers: []string{"a"}}
		a := netip.MustParseAddr(c.from)
		for range c.n {
			set.Ranges = append(set.Ranges, config.Range{From: a, To: a})
			a = a.Next().Next()
		}
		text := formatRouted([]cluster.RoutedSet{set})
		r, err := parseRouted(text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		kept := len(r.Sets[0].Ranges)
		if r.Partial != (kept < c.n) || kept > mostRanges || kept < mostRanges/2 {
			t.Errorf("%s: %d of %d ranges kept, partial %t", c.name, kept, c.n, r.Partial)
		}
	}
}

func TestParseRoutedRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"sets":[{"peers":["a"],"ranges":["192.0.2.9-192.0.2.1"]}]}`:             "from a lower to a higher",
		`{"sets":[{"peers":["a"],"ranges":["192.0.2.1-2001:db8::1"]}]}`:           "from a lower to a higher",
		`{"sets":[{"peers":["a"],"ranges":["192.0.2.1-192.0.2.5","192.0.2.5"]}]}`: "does not come after",
		`{"sets":[{"peers":["a"],"ranges":["224.0.0.1"]}]}`:                       "no address that a pool can hold",
		`{"sets":[{"ranges":["192.0.2.1"]}]}`:                                     "without a peer",
		`[]`:                                                                      "unmarshal",
		strings.Repeat(" ", mostRoutesText+1):                                     "bytes long",
	} {
		if r, err := parseRouted(text); err == nil || !strings.Contains(err.Error(), want) || len(r.Sets) > 0 {
			t.Errorf("%.60s: %+v, %v, want an error with %q", text, r, err, want)
		}
	}
}

// FuzzParseRouted reads any text: formatRouted and parseRouted restore every parsed report.
func FuzzParseRouted(f *testing.F) {
	for _, text := range []string{saysRoutes, `{"partial":true}`, `{"sets":[{"peers":["<"],"ranges":[]}]}`, `null`, `"`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRouted(text)
		if err != nil {
			return
		}
		for _, s := range r.Sets {
			for _, x := range s.Ranges {
				if got := r.PeersOf(x.To); len(got) == 0 {
					t.Fatalf("%s is in %s and goes to nobody", x.To, text)
				}
			}
		}
		var some []cluster.RoutedSet // sets without a range are left out
		for _, s := range r.Sets {
			if len(s.Ranges) > 0 {
				some = append(some, s)
			}
		}
		again, err := parseRouted(formatRouted(some))
		if err != nil {
			t.Fatalf("%s is written as %s: %v", text, formatRouted(some), err)
		}
		if !again.Partial && !reflect.DeepEqual(again.Sets, some) {
			t.Fatalf("%v is read again as %v", some, again.Sets)
		}
	})
}

// TestPublisherRoutes writes the routes together with the networks, at most one change in ten seconds in the long run,
// and removes the annotation when BGP ends.
func TestPublisherRoutes(t *testing.T) {
	api := newFakeAPI(pod("speaker-1", "n1", ""))
	synctest.Test(t, func(t *testing.T) {
		var sets atomic.Pointer[[]cluster.RoutedSet]
		p := NewPublisher(PublisherOptions{
			Client: api, Namespace: "lanlord-system", Pod: "speaker-1", Component: "lanlord-test", Log: textLog(&lines{}),
			Networks: func() cluster.Networks { return *networksWith("192.0.2.1") },
			Routed: func() ([]cluster.RoutedSet, bool) {
				if s := sets.Load(); s != nil {
					return *s, true
				}
				return nil, false
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		annotation := func() (text string, says bool, times int) {
			_, times = api.written()
			api.mu.Lock()
			defer api.mu.Unlock()
			text, says = api.objects["pods"]["lanlord-system/speaker-1"].(*corev1.Pod).Annotations[RoutesAnnotation]
			return text, says, times
		}
		if _, says, n := annotation(); says || n != 1 {
			t.Errorf("without BGP the annotation is there (%t) after %d writes", says, n)
		}
		sets.Store(new(routedSets()))
		time.Sleep(2 * routesPoll)
		if text, _, n := annotation(); text != saysRoutes || n != 2 {
			t.Errorf("%s after %d writes", text, n)
		}
		for i := range 600 {
			sets.Store(new(routedSets()[i%2:]))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * publishPause)
		text, _, n := annotation()
		if want := formatRouted(routedSets()[1:]); text != want || n > 2+routesAtOnce+61 {
			t.Errorf("%s after %d writes, want %s after about one in %v", text, n, want, publishPause)
		}
		sets.Store(nil)
		time.Sleep(2 * publishPause)
		if text, says, _ := annotation(); says {
			t.Errorf("without BGP the annotation says %s", text)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestRoutedOfReadyPods checks that the snapshot has the reports of the ready speakers, each node once.
func TestRoutedOfReadyPods(t *testing.T) {
	speaker := func(name, node, text string, ready bool) *corev1.Pod {
		p := pod(name, node, says1)
		p.Annotations[RoutesAnnotation] = text
		if ready {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		return p
	}
	api := newFakeAPI(speaker("s1", "n1", saysRoutes, true), speaker("s2", "n2", saysRoutes, false), speaker("s3", "n3", `{"sets":1}`, true),
		speaker("s4", "n4", `{}`, true), speaker("s4b", "n4", `{}`, true))
	inBubble(t, api, func(t *testing.T, s *Store, _ *counter, log *lines) {
		nodes := func() (list []string) {
			synctest.Wait()
			for _, r := range s.Snapshot().Routed {
				list = append(list, fmt.Sprint(r.Node, len(r.Sets)))
			}
			return list
		}
		if got := fmt.Sprint(nodes()); got != "[n12 n40]" {
			t.Errorf("the reports of %s count", got)
		}
		if log.count(RoutesAnnotation) == 0 {
			t.Error("nothing is logged about the text that is not valid")
		}
		before := s.Snapshot().Routed
		api.put(speaker("s1", "n1", saysRoutes, true))
		synctest.Wait()
		if after := s.Snapshot().Routed; &before[0] != &after[0] {
			t.Error("the same report is a new list")
		}
		api.put(speaker("s2", "n2", saysRoutes, true))
		api.put(speaker("s1", "n1", saysRoutes, false))
		if got := fmt.Sprint(nodes()); got != "[n22 n40]" {
			t.Errorf("the reports of %s count", got)
		}
	})
}
