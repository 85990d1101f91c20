package membership

import (
	"bytes"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// TestNewsAreCarried turns off the intervals of memberlist, so that only pings of this package carry news.
func TestNewsAreCarried(t *testing.T) {
	c := newCluster(t)
	c.adjust = func(config *memberlist.Config) {
		config.GossipInterval, config.ProbeInterval, config.PushPullInterval = 0, time.Hour, time.Hour
	}
	nodes := c.startAll(6)
	for i, teller := range nodes {
		if err := teller.SetState(Report{State: Leaving}); err != nil {
			t.Fatal(err)
		}
		c.eventually("all know the news of one member", func() bool {
			return all(nodes, func(n *node) bool { return n.count(Leaving) == i+1 })
		})
	}
}

// lines passes the lines of memberlist on, and keeps what newsIn finds in them.
type lines struct {
	to    io.Writer
	mu    sync.Mutex
	names []string
	texts []string
}

func (l *lines) Write(line []byte) (int, error) {
	_, text := parseLine(string(bytes.Clone(line)))
	if name, is := newsIn(text); is {
		l.mu.Lock()
		l.names, l.texts = append(l.names, name), append(l.texts, text)
		l.mu.Unlock()
	}
	return l.to.Write(line)
}

// told reports whether a line with this beginning has told of news that concern the named member.
func (l *lines) told(beginning, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.texts, func(text string) bool { return strings.HasPrefix(text, beginning) }) &&
		(name == "" || slices.Contains(l.names, name))
}

// TestNewsInLines cuts a member off and connects it again, so that memberlist writes its lines about suspicions and
// contradictions.
func TestNewsInLines(t *testing.T) {
	c := newCluster(t)
	all := &lines{to: io.Discard}
	c.adjust = func(config *memberlist.Config) { config.Logger = log.New(all, "", 0) }
	nodes := c.startAll(3)
	lost := nodes[0]
	address := lost.address()
	c.network.put(1, address.String())
	c.eventually("the others suspect it", func() bool { return all.told("Suspect ", lost.options.Name) })
	c.eventually("a suspicion becomes a death", func() bool { return all.told("Marking ", "") })
	c.network.put(0, address.String())
	c.eventually("the member contradicts", func() bool {
		return slices.ContainsFunc(nodes[1:], func(n *node) bool {
			return all.told("Refuting a suspect message", n.options.Name) || all.told("Refuting a dead message", n.options.Name)
		})
	})
}

func TestNewsIn(t *testing.T) {
	for _, test := range []struct {
		text, name string
		is         bool
	}{
		{"Suspect node-1 has failed, no acks received", "node-1", true},
		{"Refuting a suspect message (from: node-2)", "node-2", true},
		{"Refuting a dead message (from: node-3)", "node-3", true},
		{"Refuting an alive message for 'node-1' (10.0.0.1:7946) meta:([] VS []), vsn:([] VS [])", "", true},
		{"Marking node-4 as failed, suspect timeout reached (0 peer confirmations)", "", true},
		{"Suspect", "", false},
		{"Failed UDP ping: node-1 (timeout reached)", "", false},
		{"", "", false},
	} {
		if name, is := newsIn(test.text); name != test.name || is != test.is {
			t.Errorf("%q: %q, %v", test.text, name, is)
		}
	}
}

func TestCarryRounds(t *testing.T) {
	for others, want := range map[int]int{0: 1, 1: 4, 2: 2, 8: 2, 9: 3, 98: 3, 99: 4, 999: 6} {
		if got := carryRounds(others); got != want {
			t.Errorf("%d rounds to tell %d others, want %d", got, others, want)
		}
	}
}

// TestChosen checks that the named members come first, and that chance decides on the others.
func TestChosen(t *testing.T) {
	var others []Member
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		others = append(others, Member{Name: name})
	}
	counts := map[string]int{}
	for range 1000 {
		got := chosen(slices.Clone(others), []string{"d", "gone"})
		if len(got) != carryFanout || got[0].Name != "d" {
			t.Fatalf("chosen %v", got)
		}
		for _, m := range got {
			counts[m.Name]++
		}
	}
	for _, m := range others {
		if counts[m.Name] == 0 {
			t.Errorf("%s is never chosen", m.Name)
		}
	}
	if got := chosen(slices.Clone(others[:2]), nil); len(got) != 2 {
		t.Errorf("of two members, chosen %v", got)
	}
}
