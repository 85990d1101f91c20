package ownership

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
)

var update = flag.Bool("update", false, "write the outcomes into the scenario files")

// TestScenarios reads testdata/*.txt. Each file tells one story of the address on one node, line by line:
//
//	# a comment
//	eligible a b                    an input changes; see scenario.set
//	1.2s review -> Probing: Ask     an event at a time after the start, and the outcome: the state, the time of
//	                                the next review, and the actions
//
// A line without a time happens at the time of the line before. In the files the election ranks the nodes in alphabetic
// order, and x, y and z are foreign hosts. The story begins with node a of three, ready for an hour, and an old address
// without an announcement so far. The test fails for a line of the transition table that no file reaches.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario files: %v", err)
	}
	reached := make([]int, len(table))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &scenario{scene: newScene(), now: epoch}
			got := s.play(t, string(text))
			for _, line := range s.fired {
				reached[line]++
			}
			switch {
			case *update:
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			case !bytes.Equal(got, text):
				t.Errorf("went:\n%s", difference(string(text), string(got)))
			}
		})
	}
	for i, n := range reached {
		if n == 0 {
			t.Errorf("no scenario reaches line %d of the table: %s on %s", i+1, table[i].from, table[i].on)
		}
	}
}

// difference returns the lines that differ.
func difference(want, got string) string {
	var b strings.Builder
	was := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(was) || was[i] != line {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

func (s states) String() string {
	var names []string
	for i := range StateCount {
		if s.has(State(i)) {
			names = append(names, State(i).String())
		}
	}
	return strings.Join(names, ", ")
}

func (t trigger) String() string {
	var names []string
	for i, name := range []string{"review", "silent", "contested", "unprobed", "byMute", "bySuspected", "byMember",
		"byUnreached", "byForeign", "claimedByNode", "claimedByForeign", "stalled", "throttled"} {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// scenario plays one file.
type scenario struct {
	*scene
	now time.Time
}

// play returns the text with the outcomes of this run.
func (s *scenario) play(t *testing.T, text string) []byte {
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		told, _, _ := strings.Cut(line, " ->")
		plain, _, _ := strings.Cut(told, "#")
		words := strings.Fields(plain)
		if len(words) == 0 {
			fmt.Fprintln(&out, line)
			continue
		}
		if at, err := time.ParseDuration(words[0]); err == nil {
			s.now, words = epoch.Add(at), words[1:]
		}
		actions, is := s.event(t, words)
		if !is {
			s.set(t, words)
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintf(&out, "%s -> %s\n", told, outcome(s.a, actions))
	}
	return out.Bytes()
}

// event applies an event:
//
//	review
//	claim b                 station b announces the address
//	silent, unasked         the result of the last probe
//	contested b             nobody answered, and b probes too
//	answer b c              stations b and c answered
//	silent 200ms late       the result came 200 ms after the last question
//	silent again            an earlier result, or the result of an earlier probe
//	stalled, throttled
func (s *scenario) event(t *testing.T, words []string) (actions []Action, is bool) {
	e := s.found(layer2.Finding{})
	switch verb, rest := words[0], words[1:]; verb {
	case "review":
		e = Event{Kind: Review}
	case "stalled":
		e = Event{Kind: Stalled}
	case "throttled":
		e = Event{Kind: Throttled}
	case "claim":
		e = Event{Kind: Claimed, MAC: macOf(rest[0])}
		s.in.Heard = Sighting{MAC: e.MAC, At: s.now, Unasked: true}
	case "silent":
		e.Finding = layer2.Finding{Outcome: layer2.Silent, Last: s.now}
		if len(rest) == 2 {
			e.Finding.Last = s.now.Add(-duration(t, rest[0]))
		} else if len(rest) == 1 {
			e.Number--
		}
	case "contested":
		e.Finding = rival(rest[0])
		e.Finding.Last = s.now
	case "answer":
		e.Finding = replies(rest...)
		e.Finding.Last = s.now
	case "unasked":
	default:
		return nil, false
	}
	actions = s.step(s.now, e)
	for _, a := range actions {
		switch a.Kind {
		case Sighted:
			s.in.Heard = Sighting{MAC: a.Host.MAC, At: s.now,
				Unasked: s.in.Heard.Unasked && s.in.Heard.MAC == a.Host.MAC}
		case Defend:
			s.in.LastDefense = s.now
		}
	}
	return actions, true
}

// set changes an input:
//
//	self b                  this node is b, from the start
//	inherit                 the previous process announced the address
//	eligible a b, eligible  the nodes that may have the address
//	prefer b, prefer        the node that a Service prefers
//	near a b                the nodes with a ready endpoint, of a Service that prefers such nodes
//	gone                    no Service has the address any longer
//	peer b ...              what is known of a peer; see scenario.peer
//	heard b                 b announces the address, before any event; heard-answering: it answers a question
//	new                     the address has just come to its Service; serving: it has got its endpoints
//	ready                   this node has just become ready
//	failback 1m, failback never
//	path missing            another member tells about the path: unknown, unasked, there, missing
//	kernel, settled, configured, informed, leaving, each alone or with no
func (s *scenario) set(t *testing.T, words []string) {
	self, yes := &s.in.Self, len(words) == 1
	switch words[0] {
	case "self":
		self.Name = words[1]
		delete(s.peers, self.Name)
		s.peers["a"] = member("a")
	case "inherit":
		s.a = Inherit(s.addr)
	case "eligible":
		s.mayHave(words[1:]...)
	case "prefer":
		s.prefer = strings.Join(words[1:], "")
		s.mayHave(s.eligible...)
	case "near":
		s.near = words[1:]
		s.mayHave(s.eligible...)
	case "gone":
		s.in.Placement = nil
	case "peer":
		s.peer(t, words[1], words[2:])
	case "heard-answering":
		s.in.Heard = Sighting{MAC: macOf(words[1]), At: s.now}
	case "heard":
		s.in.Heard = Sighting{MAC: macOf(words[1]), At: s.now, Unasked: true}
	case "new":
		s.in.Arrival, s.in.PrevOwner = Arrival{Since: s.now, Came: s.now}, ""
	case "late":
		s.in.Arrival = Arrival{Since: s.now, Came: s.now, Late: true}
	case "serving":
		s.in.Arrival.Since = s.now
	case "ready":
		self.Ready = s.now
	case "failback":
		s.in.Failback = Failback{Never: words[1] == "never"}
		if words[1] != "never" {
			s.in.Failback.Delay = duration(t, words[1])
		}
	case "path":
		s.in.Path = Path(slices.Index([]string{"unknown", "unasked", "there", "missing"}, words[1]))
	case "kernel":
		s.in.Kernel = yes
	case "settled":
		self.Settled = yes
	case "configured":
		self.Configured = yes
	case "informed":
		self.Informed = yes
	case "leaving":
		self.Leaving = yes
	default:
		t.Fatalf("unknown line %q", words)
	}
}

// peer sets what is known of a peer: unknown, or unreached, gone (lost without a word), left, or a member that is ready, leaving, suspected,
// suspected-by-others, newer, unconfigured, started (ready now), each added to what was known.
func (s *scenario) peer(t *testing.T, name string, words []string) {
	p := s.peers[name]
	was := p
	for _, w := range words {
		switch w {
		case "unknown":
			p = peers.Peer{}
		case "unreached":
			p = peers.Peer{Name: name, Standing: peers.Unreached}
		case "gone":
			p = peers.Peer{Name: name, Standing: peers.Unreached, State: p.State, Lost: true,
				LastSign: s.now.Add(-300 * time.Millisecond)}
		case "left":
			p.Standing, p.State = peers.Unreached, membership.Leaving
		case "ready":
			p = member(name)
		case "started":
			p = member(name)
			p.Ready, p.SeenReady = s.now, s.now
		case "leaving":
			p.State = membership.Leaving
		case "suspected":
			p.Suspected, p.Lost, p.LastSign = true, true, s.now.Add(-300*time.Millisecond)
		case "suspected-by-others":
			p.Suspected, p.SuspectedByOthers, p.Lost, p.LastSign = true, true, true, s.now.Add(-300*time.Millisecond)
		case "newer":
			p.Newer = true
		case "unconfigured":
			p.Unconfigured = true
		default:
			t.Fatalf("unknown word %q about peer %s", w, name)
		}
	}
	if p.Lost && !was.Lost || was.IsReady() && !p.IsReady() && !was.Suspected {
		s.losses++
	}
	s.peers[name] = p
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
