package peers

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

var update = flag.Bool("update", false, "write the results into the scenario files")

// story plays one scenario file: lines with a command, each followed by its indented result. Node "a" has the table.
// Every other node has a link with a MAC address derived from the name: b has 02:00:00:00:00:02, c has
// 02:00:00:00:00:03.
//
//	at 3s                          sets the time since the start
//	gossip b=ready c=leaving       sets the other members; b=ready@7 is ready since second 7, and b=ready+44 also has
//	                               the MAC address 44
//	nodes a b c+44                 sets the Nodes; the controller has published the MAC address 44 for c
//	versions config=1 services=9   sets the versions of a; services=9/12 has a Complete of 12
//	restore b=ready                calls Restore, before any other command
//	update                         calls Update
//	suspect b 300ms                calls Suspect for this node, and suspect b 300ms other for another node; 0s is a
//	                               sign of life
//	refute b, tell b               call Refute and Tell
//	heard b services=9             calls Heard
//	next, ready, view, entries     show the result of the method
type story struct {
	table *Table
	now   time.Time
	in    Input
}

// start is the zero of the times in scenarios.
var start = time.Unix(1_000_000, 0).UTC()

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &story{table: NewTable("a"), now: start, in: Input{Self: membership.Member{State: membership.Ready}}}
			var got strings.Builder
			for line := range strings.Lines(string(text)) {
				line = strings.TrimRight(line, "\n")
				if strings.HasPrefix(line, "\t") {
					continue
				}
				fmt.Fprintln(&got, line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				for _, result := range s.do(t, strings.Fields(line)) {
					fmt.Fprintln(&got, "\t"+result)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got.String() != string(text) {
				t.Errorf("got\n%s", got.String())
			}
		})
	}
}

// do carries out one command and returns its result.
func (s *story) do(t *testing.T, words []string) []string {
	t.Helper()
	args := words[1:]
	switch words[0] {
	case "at":
		s.now = start.Add(duration(t, args[0]))
	case "gossip":
		s.in.Members = []membership.Member{{Name: "a", State: membership.Joining}}
		for _, arg := range args {
			s.in.Members = append(s.in.Members, member(t, arg))
		}
	case "nodes":
		s.in.Nodes = nil
		for _, arg := range args {
			name, mac, has := strings.Cut(arg, "+")
			n := cluster.Node{Name: name}
			if has {
				n.MACs = [][6]byte{{2, 0, 0, 0, 0, byte(number(t, mac, 16))}}
			}
			s.in.Nodes = append(s.in.Nodes, n)
		}
	case "versions":
		s.in.Versions = versions(t, args)
	case "restore":
		var members []membership.Member
		for _, arg := range args {
			members = append(members, member(t, arg))
		}
		s.table.Restore(members, s.now)
	case "update":
		return s.changes(s.table.Update(s.now, s.in))
	case "suspect":
		since, changed := s.table.Suspect(NewSuspicion(args[0], duration(t, args[1]), len(args) > 2, s.now), s.now)
		return []string{fmt.Sprintf("changed %t%s", changed, s.at(" announce since", since))}
	case "refute":
		return []string{fmt.Sprint(s.table.Refute(args[0]))}
	case "tell":
		return []string{fmt.Sprint(s.table.Tell(args[0], s.now))}
	case "heard":
		changed, reply := s.table.Heard(args[0], versions(t, args[1:]), s.now)
		return []string{fmt.Sprintf("changed %t, reply %t", changed, reply)}
	case "next", "ready", "view", "entries":
		return s.show(words[0])
	default:
		t.Fatalf("unknown command %q", words)
	}
	return nil
}

func (s *story) changes(c Changes) (lines []string) {
	for _, name := range c.Lost {
		lines = append(lines, "lost "+name)
	}
	for _, name := range c.Returned {
		lines = append(lines, "returned "+name)
	}
	for _, at := range c.Recovered {
		lines = append(lines, s.at("announce since", at))
	}
	return lines
}

func (s *story) show(what string) (lines []string) {
	switch what {
	case "next":
		if s.table.Next().IsZero() {
			return []string{"never"}
		}
		return []string{s.at("at", s.table.Next())}
	case "ready":
		for _, m := range s.table.Ready() {
			lines = append(lines, m.Name)
		}
	case "entries":
		for _, e := range s.table.Entries() {
			lines = append(lines, fmt.Sprint(e.Name, " ", e.State, word(" gone", e.Gone),
				word(" suspected", e.Suspected), s.at(" last heard", e.LastSign)))
		}
	case "view":
		v := s.table.View()
		for name, p := range v.peers {
			lines = append(lines, fmt.Sprint(name, ": ", p.Standing, ", ", p.State, word(", suspected", p.Suspected),
				word(" by others", p.SuspectedByOthers), word(", lost", p.Lost), s.at(", last sign", p.LastSign),
				word(", newer", p.Newer), s.at(", seen ready", p.SeenReady)))
			if !p.Ready.IsZero() {
				lines[len(lines)-1] += fmt.Sprint(", ready in second ", p.Ready.Unix())
			}
		}
		for mac, name := range v.stations {
			lines = append(lines, mac.String()+" is of "+name)
		}
		slices.Sort(lines)
		lines = append(lines, fmt.Sprint("losses: ", v.Losses()))
	}
	return lines
}

// at returns the text and the time since the start, and nothing for no time.
func (s *story) at(text string, at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fmt.Sprint(text, " ", at.Sub(start))
}

func word(text string, is bool) string {
	if !is {
		return ""
	}
	return text
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, text string, base int) uint64 {
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// member reads "b=ready@7+44".
func member(t *testing.T, text string) membership.Member {
	text, mac, hasMAC := strings.Cut(text, "+")
	text, since, hasSince := strings.Cut(text, "@")
	name, state, _ := strings.Cut(text, "=")
	m := membership.Member{Name: name}
	m.Links = []membership.Link{{Name: "eth0", MAC: membership.MAC{2, 0, 0, 0, 0, name[0] - 'a' + 1}}}
	for x := membership.Unknown; x <= membership.Leaving; x++ {
		if x.String() == state {
			m.State = x
		}
	}
	if hasMAC {
		m.MACs = []membership.MAC{{2, 0, 0, 0, 0, byte(number(t, mac, 16))}}
	}
	if hasSince {
		m.Since = time.Unix(int64(number(t, since, 10)), 0)
	}
	return m
}

// versions reads "config=1 services=9/12".
func versions(t *testing.T, args []string) (v cluster.Versions) {
	for _, arg := range args {
		kind, value, _ := strings.Cut(arg, "=")
		changed, complete, has := strings.Cut(value, "/")
		n := number(t, changed, 10)
		seen := cluster.Seen{Changed: n, Complete: n}
		if has {
			seen.Complete = number(t, complete, 10)
		}
		switch kind {
		case "config":
			v.Config = cluster.ConfigVersion{Hash: n, Version: n}
		case "endpointslices":
			v.EndpointSlices = seen
		case "services":
			v.Services = seen
		default:
			t.Fatalf("unknown kind %q", kind)
		}
	}
	return v
}
