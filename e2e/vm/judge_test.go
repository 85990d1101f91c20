package vm_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/vm"
)

const (
	// answerBound limits the time without an answer after a change, and announceBound the time until the announcement,
	// for a busy machine that translates instructions.
	answerBound   = 60 * time.Second
	announceBound = 60 * time.Second
	// questions is the number of answered questions for a verdict. A question without an answer after unanswered is
	// asked again as another host; a host on a LAN repeats its questions too.
	questions  = 3
	unanswered = 3 * time.Second
	// grace is the time for a second answer to a question.
	grace = 300 * time.Millisecond
)

// where says which hosts hear from an address, and from whom.
type where struct {
	// bridge and vlans are the network.
	bridge string
	vlans  []uint16
	// macs are the hardware addresses that may answer.
	macs []string
	// repeats is true where the driver of a bond repeats answers by itself (balance-alb).
	repeats bool
}

// good reports whether the answers to one question are allowed: one, or several where the driver repeats answers.
func (p where) good(all map[string][]vm.Claim) bool {
	claims := all[p.bridge]
	return len(all) == 1 && (len(claims) == 1 || p.repeats && len(claims) > 1) &&
		!slices.ContainsFunc(claims, func(c vm.Claim) bool { return !p.has(p.bridge, c) })
}

func (p where) has(bridge string, c vm.Claim) bool {
	return bridge == p.bridge && slices.Equal(p.vlans, c.VLANs) && slices.Contains(p.macs, c.MAC.String())
}

// judge asks for addresses, each question as another host.
type judge struct {
	w     *world
	asked int
}

// asker returns an address that no question had for a long time.
func (j *judge) asker(a netip.Addr) netip.Addr {
	j.asked++
	if a.Is4() {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(150 + j.asked%100)})
	}
	b := netip.MustParseAddr("2001:db8::f:0").As16()
	b[14], b[15] = byte(j.asked>>8), byte(j.asked)
	return netip.AddrFrom16(b)
}

// question is a question for an address. answers has the answers by the bridge on which the answers came.
type question struct {
	addr, asker netip.Addr
	answers     map[string][]vm.Claim
}

// ask asks n times for each address, all at once and each time as another host. ask waits for an answer to each question,
// at most for the given time, and then a grace for further answers. The answers may have come in all networks.
func (j *judge) ask(t *testing.T, n int, p where, limit time.Duration, addresses ...netip.Addr) []question {
	t.Helper()
	var all []question
	begin := time.Now()
	for _, a := range addresses {
		for range n {
			q := question{addr: a, asker: j.asker(a)}
			if err := j.w.stations[p.bridge].Ask(a, q.asker, p.vlans); err != nil {
				t.Fatal(err)
			}
			all = append(all, q)
		}
	}
	open := func() bool {
		return slices.ContainsFunc(all, func(q question) bool { return len(j.found(q, begin)) == 0 })
	}
	for end := begin.Add(limit); open() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(grace)
	for i := range all {
		all[i].answers = j.found(all[i], begin)
	}
	return all
}

// found returns the answers to a question since a time, by bridge.
func (j *judge) found(q question, since time.Time) map[string][]vm.Claim {
	all := map[string][]vm.Claim{}
	for bridge, s := range j.w.stations {
		claims, _ := s.Since(since)
		for _, c := range claims {
			if c.Addr == q.addr && !c.Announced && c.To == q.asker {
				all[bridge] = append(all[bridge], c)
			}
		}
	}
	return all
}

// answers asks once for an address.
func (j *judge) answers(t *testing.T, a netip.Addr, p where, limit time.Duration) map[string][]vm.Claim {
	t.Helper()
	return j.ask(t, 1, p, limit, a)[0].answers
}

// one has some questions for each address answered: each by one answer, in the network where the question was asked, from
// an allowed hardware address. A question without an answer is asked again.
func (j *judge) one(t *testing.T, p where, addresses ...netip.Addr) {
	t.Helper()
	for begin, n := time.Now(), questions; len(addresses) > 0; n = 1 {
		var open []netip.Addr
		for _, q := range j.ask(t, n, p, unanswered, addresses...) {
			switch {
			case p.good(q.answers):
			case len(q.answers) > 0:
				t.Fatalf("a question for %s on %s %v has the answers %v; allowed is one from %v", q.addr, p.bridge, p.vlans, q.answers, p.macs)
			case time.Since(begin) > answerBound:
				t.Fatalf("%s is not answered for on %s %v within %v", q.addr, p.bridge, p.vlans, answerBound)
			default:
				open = append(open, q.addr)
			}
		}
		addresses = open
	}
}

// settled waits until a question for each address has one good answer: just after a change, an answer may still be from
// before.
func (j *judge) settled(t *testing.T, p where, addresses ...netip.Addr) {
	t.Helper()
	for end := time.Now().Add(answerBound); len(addresses) > 0; {
		var open []netip.Addr
		for _, q := range j.ask(t, 1, p, time.Second, addresses...) {
			if p.good(q.answers) {
				continue
			}
			open = append(open, q.addr)
			if time.Now().After(end) {
				t.Fatalf("%s: after %v a question on %s %v has the answers %v; allowed is one from %v", q.addr, answerBound, p.bridge, p.vlans,
					q.answers, p.macs)
			}
		}
		addresses = open
	}
}

// silent asks for addresses in some networks at once, and fails the test if anybody answers.
func (j *judge) silent(t *testing.T, addresses []netip.Addr, networks ...where) {
	t.Helper()
	begin, asked := time.Now(), []netip.Addr{}
	for _, a := range addresses {
		for _, n := range networks {
			asker := j.asker(a)
			asked = append(asked, asker)
			if err := j.w.stations[n.bridge].Ask(a, asker, n.vlans); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(2 * grace)
	for bridge, s := range j.w.stations {
		claims, _ := s.Since(begin)
		for _, c := range claims {
			if !c.Announced && slices.Contains(addresses, c.Addr) && slices.Contains(asked, c.To) {
				t.Errorf("a question that nobody may answer has on %s the %s; asked was in %v", bridge, c, networks)
			}
		}
	}
}

// announced waits for an announcement in a network since a time, and returns how long after it came.
func (j *judge) announced(t *testing.T, a netip.Addr, p where, since time.Time) time.Duration {
	t.Helper()
	for late := time.After(announceBound); ; {
		claims, changed := j.w.stations[p.bridge].Since(since)
		for _, c := range claims {
			if c.Addr == a && c.Announced && p.has(p.bridge, c) {
				return c.At.Sub(since)
			}
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%s is not announced on %s %v within %v", a, p.bridge, p.vlans, announceBound)
		}
	}
}

// calm waits until the last announcement of each address is older than the longest pause between the announcements of
// one change, so that the next one belongs to another change.
func (j *judge) calm(addresses []netip.Addr, p where) {
	const longest = 3 * time.Second
	for last := time.Now().Add(-longest); ; time.Sleep(poll) {
		claims, _ := j.w.stations[p.bridge].Since(last)
		for _, c := range claims {
			if c.Announced && slices.Contains(addresses, c.Addr) {
				last = c.At.Add(1)
			}
		}
		if time.Since(last) >= longest {
			return
		}
	}
}

// strays returns the claims to an address since a time that are elsewhere than allowed.
func (j *judge) strays(a netip.Addr, p where, since time.Time) (strays []string) {
	for bridge, s := range j.w.stations {
		claims, _ := s.Since(since)
		for _, c := range claims {
			if c.Addr == a && !p.has(bridge, c) {
				strays = append(strays, fmt.Sprintf("%s: %s", bridge, c))
			}
		}
	}
	return strays
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// results is the table of the results.
type results struct{ rows [][4]string }

func (r *results) add(setup, kernel, result string, took time.Duration) {
	r.rows = append(r.rows, [4]string{setup, kernel, result, took.Round(100 * time.Millisecond).String()})
}

// print logs the table.
func (r *results) print(t *testing.T) {
	t.Helper()
	var text strings.Builder
	for _, row := range append([][4]string{{"set-up", "kernel", "result", "time"}}, r.rows...) {
		fmt.Fprintf(&text, "%-62s %-6s %-46s %s\n", row[0], row[1], row[2], row[3])
	}
	t.Logf("\n%s", &text)
}
