package membership

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// walled is a cluster of nodes a, b, c behind a firewall, for a bubble of testing/synctest.
type walled struct {
	t       *testing.T
	wall    *firewall
	nodes   []*Membership
	logs    []*syncBuffer
	stop    context.CancelFunc
	running sync.WaitGroup
}

// syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startWalled starts n nodes behind a firewall with rules.
func startWalled(t *testing.T, n int, rules ...rule) *walled {
	w := &walled{t: t, wall: newFirewall()}
	w.wall.set(rules...)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	var peers []Peer
	for i := range n {
		peers = append(peers, parsePeers(fmt.Sprintf("%c 192.0.2.%d:7950", 'a'+i, 1+i))...)
	}
	for _, p := range peers {
		logged := &syncBuffer{}
		m, err := New(Options{
			Name: p.Name, Bind: p.Addrs[0], Keys: [][]byte{testKey}, Peers: func() []Peer { return peers },
			Transport: w.wall.port(p.Name, p.Addrs[0]), Log: slog.New(slog.NewTextHandler(logged, nil)),
			Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SetState(Report{State: Ready, Since: time.Now(), Links: []Link{plain("eth0", MAC{2, p.Name[0]})}}); err != nil {
			t.Fatal(err)
		}
		w.nodes, w.logs = append(w.nodes, m), append(w.logs, logged)
		w.running.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

// end stops all nodes, and waits until the goroutines of memberlist have ended.
func (w *walled) end() {
	w.stop()
	w.running.Wait()
	time.Sleep(time.Minute)
}

// sees returns the names of the members in the view of node i, with the unreached nodes in brackets.
func (w *walled) sees(i int) string {
	var names []string
	for _, m := range w.nodes[i].Members() {
		names = append(names, m.Name)
	}
	for _, u := range w.nodes[i].Unreached() {
		names = append(names, "("+u.Name+": "+u.Err.Error()+")")
	}
	return strings.Join(names, " ")
}

// changes returns the number of joins and losses of other nodes in the log of node i.
func (w *walled) changes(i int) int {
	log := w.logs[i].String()
	return strings.Count(log, `msg="member joined"`) + strings.Count(log, `msg="member gone"`)
}

// blocked parses rules like "TCP a-b".
func blocked(texts ...string) (rules []rule) {
	for _, text := range texts {
		protocol, nodes, _ := strings.Cut(text, " ")
		from, to, _ := strings.Cut(nodes, "-")
		rules = append(rules, rule{from, to, protocol})
	}
	return rules
}

// sentence returns the advice about the named node in the logs of the other nodes.
func sentence(name string) string {
	const text = "gossip with node %s (192.0.2.%d) does not pass: open TCP and UDP port 7950 in both directions"
	return fmt.Sprintf(text, name, name[0]-'a'+1)
}

// TestBlockedGossip blocks gossip between a and b in all ways. The lists of members on a and b must stop changing, and
// the log of a or b must name the other node. docs/troubleshooting.md shows the results.
func TestBlockedGossip(t *testing.T) {
	const unstable = "the node joins and is lost again and again"
	for _, test := range []struct {
		name  string
		rules []rule
		// a and b are the views of the two nodes without a third node.
		a, b string
		// named lists the nodes that log the name of the other node, without a third node.
		named string
	}{
		{"TCP a-b", blocked("TCP a-b"), "a b", "a b", "a"},
		{"TCP b-a", blocked("TCP b-a"), "a b", "a b", "b"},
		{"TCP", blocked("TCP a-b", "TCP b-a"), "a (b: no answer)", "b (a: no answer)", "ab"},
		{"UDP a-b", blocked("UDP a-b"), "a b", "a b", "ab"},
		{"UDP b-a", blocked("UDP b-a"), "a b", "a b", "ab"},
		{"UDP", blocked("UDP a-b", "UDP b-a"), "a b", "a b", "ab"},
		{"connections and datagrams a-b", blocked("TCP a-b", "UDP a-b"), "a (b: " + unstable, "a b", "ab"},
		{"all packets a-b", blocked("TCP a-b", "TCP b-a", "UDP a-b"), "a (b: no answer)", "b (a: no answer)", "ab"},
		{"connections a-b and datagrams b-a", blocked("TCP a-b", "UDP b-a"), "a (b: " + unstable, "a b", "ab"},
		{"everything", blocked("TCP a-b", "TCP b-a", "UDP a-b", "UDP b-a"), "a (b: no answer)", "b (a: no answer)", "ab"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWalled(t, 2, test.rules...)
				defer w.end()
				w.watch()
				for i, want := range []string{test.a, test.b} {
					if got := w.sees(i); !strings.HasPrefix(got, want) {
						t.Errorf("node %d sees %s, want %s", i, got, want)
					}
					self, other := string(rune('a'+i)), string(rune('b'-i))
					if got := strings.Contains(w.logs[i].String(), sentence(other)); got != strings.Contains(test.named, self) {
						t.Errorf("%s names %s: %v, want %v\n%s", self, other, got, !got, w.logs[i])
					}
				}
				w.heal()
			})
		})
		t.Run(test.name+" later", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWalled(t, 2)
				defer w.end()
				time.Sleep(time.Minute)
				w.wall.set(test.rules...)
				w.watch()
				w.heal()
			})
		})
		t.Run(test.name+" beside a third node", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWalled(t, 3, test.rules...)
				defer w.end()
				w.watch()
				for i := range w.nodes {
					if got := w.sees(i); got != "a b c" {
						t.Errorf("node %d sees %s, want all, since c passes gossip on", i, got)
					}
				}
				if !strings.Contains(w.logs[0].String(), sentence("b")) && !strings.Contains(w.logs[1].String(), sentence("a")) {
					t.Error("neither a nor b names the other")
				}
				w.heal()
			})
		})
	}
}

// watch checks that the members change only a few times in the first half minute, and not at all afterwards.
func (w *walled) watch() {
	w.t.Helper()
	before := make([]int, len(w.nodes))
	for i := range before {
		before[i] = w.changes(i)
	}
	time.Sleep(30 * time.Second)
	early := make([]int, len(w.nodes))
	for i := range early {
		early[i] = w.changes(i)
		if early[i]-before[i] > 2*maxShortLives+1 {
			w.t.Errorf("the members of node %d have changed %d times in 30 s:\n%s", i, early[i]-before[i], w.logs[i])
		}
	}
	time.Sleep(3 * time.Minute)
	for i := range early {
		if now := w.changes(i); now > early[i] {
			w.t.Errorf("the members of node %d go on changing, %d times in 3 minutes:\n%s", i, now-early[i], w.logs[i])
		}
	}
}

// heal opens the firewall, and checks that all nodes see all nodes after 30 seconds, and still do so one minute later.
func (w *walled) heal() {
	w.t.Helper()
	w.wall.set()
	want := strings.Join(strings.Split("abc"[:len(w.nodes)], ""), " ")
	for _, wait := range []time.Duration{30 * time.Second, time.Minute} {
		time.Sleep(wait)
		for i := range w.nodes {
			if got := w.sees(i); got != want {
				w.t.Errorf("%v after the firewall was opened node %d sees %s, want %s\n%s", wait, i, got, want, w.logs[i])
			}
		}
	}
}
