package soak

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

var (
	start   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	address = netip.MustParseAddr("192.0.2.1")
	alice   = wire.MAC{2, 0, 0, 0, 0, 1}
	bob     = wire.MAC{2, 0, 0, 0, 0, 2}
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// court is a Judge and what it has told.
type court struct {
	*Judge
	spans []Span
}

func newCourt() *court {
	c := &court{}
	c.Judge = NewJudge(namespaceRules(), func(s Span) { c.spans = append(c.spans, s) })
	c.Want(map[netip.Addr]bool{address: true}, at(0))
	return c
}

// play asks every 100 ms, and lets those that answer at a time answer 1 ms later.
func (c *court) play(from, to int, answer func(ms int) []wire.MAC) {
	for ms := from; ms < to; ms += 100 {
		c.Asked(address, at(ms))
		for _, m := range answer(ms) {
			c.Claimed(wire.Claim{Addr: address, MAC: m, At: at(ms + 1)})
		}
		c.Tick(at(ms + 2))
	}
}

// broken are the spans that are violations, in one word each.
func (c *court) broken(now int) string {
	c.Tick(at(now))
	c.Tick(at(now + 60_000))
	var words []string
	for _, s := range c.spans {
		if s.Broken() {
			words = append(words, string(s.Trait))
		}
	}
	return strings.Join(words, ",")
}

func only(m ...wire.MAC) func(int) []wire.MAC { return func(int) []wire.MAC { return m } }

func TestJudgeFinds(t *testing.T) {
	for _, test := range []struct {
		name, want string
		happen     func(*court)
	}{
		{"nothing wrong", "", func(c *court) { c.play(0, 5000, only(alice)); c.Want(nil, at(5000)) }},
		{"a darkness without a fault", "dark", func(c *court) {
			c.play(0, 5000, only(alice))
			c.play(5000, 8000, only())
			c.play(8000, 9000, only(alice))
			c.Want(nil, at(9000))
		}},
		{"a darkness that lasts", "dark", func(c *court) { c.play(0, 5000, only(alice)); c.play(5000, 20_000, only()) }},
		{"a darkness after a crash", "", func(c *court) {
			c.play(0, 5000, only(alice))
			end := c.Begin("crash", alice, at(5000))
			c.play(5000, 8000, only())
			end(at(8000))
			c.play(8000, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"a darkness while the judge was late", "", func(c *court) {
			c.play(0, 5000, only(alice))
			c.play(5000, 8000, only())
			c.Late(at(7000), at(7500))
			c.play(8000, 9000, only(alice))
			c.Want(nil, at(9000))
		}},
		{"two owners", "two owners", func(c *court) {
			c.play(0, 5000, only(alice))
			c.play(5000, 7000, only(alice, bob))
			c.play(7000, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"two owners of a handover", "", func(c *court) {
			c.play(0, 5000, only(alice))
			c.play(5000, 5200, only(alice, bob))
			c.play(5200, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"two owners after a heal", "", func(c *court) {
			end := c.Begin("lan", alice, at(2000))
			c.play(0, 5000, only(alice))
			end(at(5000))
			c.play(5000, 7000, only(alice, bob))
			c.play(7000, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"an address that is never answered for", "new", func(c *court) { c.play(0, 30_000, only()) }},
		{"an address that is answered for late", "new", func(c *court) {
			c.play(0, 3000, only())
			c.play(3000, 5000, only(alice))
			c.Want(nil, at(5000))
		}},
		{"an address that is answered for late, and a fault by which nobody misses it", "new", func(c *court) {
			end := c.Begin("keys", wire.MAC{}, at(0))
			c.play(0, 3000, only())
			end(at(3000))
			c.play(3000, 5000, only(alice))
			c.Want(nil, at(5000))
		}},
		{"an address that is answered for late, for a node heard late of it", "", func(c *court) {
			end := c.Begin("api-node", alice, at(0))
			c.play(0, 3000, only())
			end(at(3000))
			c.play(3000, 15_000, only())
			c.play(15_000, 17_000, only(alice))
			c.Want(nil, at(17_000))
		}},
		{"an address that is answered for long after a node could hear of it", "new", func(c *court) {
			end := c.Begin("api-node", alice, at(0))
			c.play(0, 3000, only())
			end(at(3000))
			c.play(3000, 21_000, only())
			c.play(21_000, 22_000, only(alice))
			c.Want(nil, at(22_000))
		}},
		{"an address of nobody", "ghost", func(c *court) {
			c.play(0, 1000, only(alice))
			c.Want(nil, at(1000))
			c.play(1000, 9000, only(alice))
		}},
		{"an address of nobody, of a node that could not know", "", func(c *court) {
			c.play(0, 1000, only(alice))
			c.Begin("api-node", alice, at(500))
			c.Want(nil, at(1000))
			c.play(1000, 9000, only(alice))
		}},
		{"an address of nobody, of a node that hears what another one does not", "ghost", func(c *court) {
			c.play(0, 1000, only(alice))
			c.Begin("api-node", bob, at(500))
			c.Want(nil, at(1000))
			c.play(1000, 9000, only(alice))
		}},
		{"an address of nobody, and a fault by which nobody misses that", "ghost", func(c *court) {
			c.play(0, 1000, only(alice))
			c.Begin("crash", bob, at(500))
			c.Want(nil, at(1000))
			c.play(1000, 9000, only(alice))
		}},
		{"a node without an endpoint", "stray", func(c *court) {
			c.Confine(address, []wire.MAC{bob}, at(0))
			c.play(0, 9000, only(alice))
			c.Want(nil, at(9000))
		}},
		{"endpoints that move", "", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			c.Confine(address, []wire.MAC{bob}, at(3000))
			c.play(3000, 4000, only(alice))
			c.play(4000, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"endpoints that move, and nobody takes over", "dark", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			c.Confine(address, []wire.MAC{bob}, at(3000))
			c.play(3000, 6000, only())
			c.play(6000, 9000, only(bob))
			c.Want(nil, at(9000))
		}},
		{"the only node with an endpoint is gone for long", "", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			end := c.Begin("crash", alice, at(3000))
			c.play(3000, 15_000, only())
			end(at(15_000))
			c.play(15_000, 17_000, only())
			c.play(17_000, 20_000, only(alice))
			c.Want(nil, at(20_000))
		}},
		{"one of two nodes with endpoints is gone for long", "dark", func(c *court) {
			c.Confine(address, []wire.MAC{alice, bob}, at(0))
			c.play(0, 3000, only(alice))
			end := c.Begin("crash", alice, at(3000))
			c.play(3000, 15_000, only())
			end(at(15_000))
			c.play(15_000, 20_000, only(alice))
			c.Want(nil, at(20_000))
		}},
		{"the only node with an endpoint does not hear that it has one", "", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			end := c.Begin("api-node", bob, at(2000))
			c.Confine(address, []wire.MAC{bob}, at(3000))
			c.play(3000, 10_000, only())
			end(at(10_000))
			c.play(10_000, 12_000, only())
			c.play(12_000, 15_000, only(bob))
			c.Want(nil, at(15_000))
		}},
		{"the only node with an endpoint no longer hears of any, but heard that it has one", "dark", func(c *court) {
			c.Confine(address, []wire.MAC{bob}, at(0))
			c.play(0, 3000, only(bob))
			c.Begin("api-node", bob, at(3000))
			c.play(4000, 10_000, only())
			c.Want(nil, at(15_000))
		}},
		{"no endpoints for a while", "", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			c.Confine(address, nil, at(3000))
			c.play(3000, 4000, only(alice))
			c.play(4000, 15_000, only())
			c.Confine(address, []wire.MAC{alice}, at(15_000))
			c.play(15_000, 16_000, only())
			c.play(16_000, 20_000, only(alice))
			c.Want(nil, at(20_000))
		}},
		{"no endpoints, and somebody answers", "stray", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			c.Confine(address, nil, at(3000))
			c.play(3000, 9000, only(alice))
			c.Want(nil, at(9000))
		}},
		{"a node that does not hear of its endpoints", "", func(c *court) {
			c.Confine(address, []wire.MAC{alice}, at(0))
			c.play(0, 3000, only(alice))
			end := c.Begin("api-node", alice, at(2000))
			c.Confine(address, []wire.MAC{bob}, at(3000))
			c.play(3000, 15_000, only(alice, bob))
			end(at(15_000))
			c.play(15_000, 16_000, only(alice, bob))
			c.play(16_000, 20_000, only(bob))
			c.Want(nil, at(20_000))
		}},
	} {
		c := newCourt()
		test.happen(c)
		if got := c.broken(40_000); got != test.want {
			t.Errorf("%s: found %q, want %q: %v", test.name, got, test.want, c.spans)
		}
	}
}

// TestJudgeNamesTheFault gives a darkness to what began or ended last.
func TestJudgeNamesTheFault(t *testing.T) {
	c := newCourt()
	c.play(0, 1000, only(alice))
	c.Begin("busy", wire.MAC{}, at(500))
	c.Begin("kill", alice, at(1000))
	c.play(1000, 1500, only())
	c.play(1500, 3000, only(bob))
	c.broken(3000)
	for _, s := range c.spans {
		if s.Trait == Dark && (s.Cause != "kill" || s.Length() != 501*time.Millisecond) {
			t.Errorf("%v", s)
		}
	}
	if len(c.spans) == 0 {
		t.Error("no darkness seen")
	}
}

// TestOverdue excuses who waits for an address while there is no controller, and no longer.
func TestOverdue(t *testing.T) {
	for _, test := range []struct {
		name        string
		kind        fault.Kind
		from, to    int
		since, want int
	}{
		{"no fault", "", 0, 0, 5000, 15_000},
		{"a node that crashes", "crash", 0, 10_000, 5000, 15_000},
		{"no controller", "controller-kill", 0, 4000, 5000, 34_000},
		{"no controller later", "controller-kill", 8000, 12_000, 5000, 42_000},
		{"no controller long before", "controller-kill", 0, 1000, 50_000, 60_000},
	} {
		j := NewJudge(namespaceRules(), nil)
		if test.kind != "" {
			j.Begin(test.kind, wire.MAC{}, at(test.from))(at(test.to))
		}
		if j.Overdue(at(test.since), at(test.want)) || !j.Overdue(at(test.since), at(test.want+1)) {
			t.Errorf("%s: not overdue at %d ms exactly", test.name, test.want)
		}
	}
	j := NewJudge(namespaceRules(), nil)
	j.Begin("api-restart", wire.MAC{}, at(0))
	if j.Overdue(at(1000), at(80_000)) {
		t.Error("overdue while the API server is away")
	}
}

// TestJudgeOfRequests takes requests for what clients notice: no answer for longer than an address may be without an owner.
func TestJudgeOfRequests(t *testing.T) {
	target := netip.AddrPortFrom(address, 80)
	rules := namespaceRules()
	rules.Reprogram = 5 * time.Second
	rules.Faults = append(rules.Faults, fault.Rule{Kind: "reboot", Scope: fault.Process, Dark: 5 * time.Second, Overlap: 3 * time.Second, Effects: fault.Gone | fault.Blind | fault.Unwired})
	for name, test := range map[string]struct {
		// Requests that begin after since and before until fail; since is 1000 ms if it is 0.
		since, until int
		// dark says that nobody answers for the address, deleted that requests end after the first, late that they begin with since.
		dark, deleted, late bool
		// fault happens until 6 s have passed, from is when it begins, and who whom it happens to.
		fault fault.Kind
		from  int
		who   wire.MAC
		want  string
	}{
		"answered":                         {until: 0},
		"not for a moment":                 {until: 2000},
		"not for too long":                 {until: 4000, want: "unserved"},
		"never":                            {until: 60_000, want: "unserved"},
		"nobody owns the address":          {until: 5000, dark: true},
		"deleted":                          {until: 60_000, deleted: true},
		"new, and nobody hears":            {until: 11_000, fault: "api-all"},
		"new, and nobody has heard":        {until: 14_000, fault: "api-all", want: "unserved"},
		"known before nobody hears":        {since: 13_000, until: 22_000, fault: "api-all", from: 12_000, want: "unserved"},
		"a new port when nobody has heard": {since: 13_000, until: 18_000, late: true, fault: "api-all", from: 6000},
		"a new port for too long":          {since: 13_000, until: 24_000, late: true, fault: "api-all", from: 6000, want: "unserved"},
		"its node is back without routes":  {since: 13_000, until: 22_000, fault: "reboot", from: 12_000, who: alice},
		"for too long":                     {since: 13_000, until: 29_000, fault: "reboot", from: 12_000, who: alice, want: "unserved"},
		"another node is back":             {since: 13_000, until: 22_000, fault: "reboot", from: 12_000, who: bob, want: "unserved"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCourt()
			c.rules = rules
			if test.fault != "" {
				c.Begin(test.fault, test.who, at(test.from))(at(test.from + 6000))
			}
			who := only(alice)
			if test.dark {
				who = only()
			}
			for ms := 0; ms < 30_000; ms += 500 {
				c.play(ms, ms+500, who)
				if ms == 1500 && test.deleted {
					c.Unrequested(target)
				}
				if ms >= 1000 && !(test.deleted && ms > 1000) && !(test.late && ms < test.since) {
					c.Requested(target, at(ms), ms < test.since || ms >= test.until)
				}
			}
			c.Tick(at(90_000))
			var words []string
			for _, s := range c.spans {
				if s.Trait == Unserved && s.Broken() {
					words = append(words, string(s.Trait))
				}
			}
			if got := strings.Join(words, ","); got != test.want {
				t.Errorf("%q, want %q: %v", got, test.want, c.spans)
			}
		})
	}
}
