package session

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)

// TestReasons has a word of its own for each reason and state.
func TestReasons(t *testing.T) {
	words := map[string]bool{}
	for _, r := range Reasons() {
		word := r.String()
		if word == "" || word == "Unknown" || words[word] || !camelCase.MatchString(word) {
			t.Errorf("reason %d: %q", r, word)
		}
		words[word] = true
	}
	if len(words) != ReasonCount || Reason(200).String() != "Unknown" {
		t.Errorf("%d words for %d reasons", len(words), ReasonCount)
	}
	states := map[string]bool{}
	for i := range StateCount {
		states[State(i).String()] = true
	}
	if len(states) != StateCount || states[""] {
		t.Errorf("states: %v", states)
	}
}

// TestSaveFails saves in each state but Established.
func TestSaveFails(t *testing.T) {
	p := newPair(t, Config{HoldTime: 90 * time.Second}, routertest.Options{Silent: true})
	fails := func() {
		t.Helper()
		if _, err := p.s.Save(); !errors.Is(err, ErrNotSavable) {
			t.Errorf("saved in the state %v: %v", p.s.View().State, err)
		}
	}
	fails()
	p.step(Start{})
	fails()
	p.settle()
	fails()
	p.lose()
	fails()
}

// TestRestoreRefuses restores with parameters of another session, and from damaged states.
func TestRestoreRefuses(t *testing.T) {
	p := established(t, hosts(4))
	state, err := p.s.Save()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"local AS":  func(c *Config) { c.LocalASN = 1 },
		"remote AS": func(c *Config) { c.RemoteASN = 1 },
		"router ID": func(c *Config) { c.RouterID = hop4.Next() },
	} {
		c := p.config
		change(&c)
		if _, err := Restore(c, state, epoch, p.random.Float64); err == nil {
			t.Errorf("another %s was restored", name)
		}
	}
	for name, damaged := range map[string][]byte{
		"no JSON":         []byte("x"),
		"another version": bytes.Replace(state, []byte(`"Version":1`), []byte(`"Version":9`), 1),
		"prefix twice":    bytes.Replace(state, []byte(`"Prefixes":"`), []byte(`"Prefixes":"IAoJAAAgCgkAAC`), 1),
		"no next hop":     bytes.Replace(state, []byte(`"NextHop4":"10.0.0.7"`), []byte(`"NextHop4":""`), 1),
	} {
		if bytes.Equal(damaged, state) {
			t.Fatalf("%s: nothing is damaged", name)
		}
		if _, err := Restore(p.config, damaged, epoch, p.random.Float64); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
}

// TestCounters counts messages, losses and resets.
func TestCounters(t *testing.T) {
	p := established(t, hosts(4))
	p.unread = append(p.unread, p.r.Notify(wire.Notification{Code: 6, Subcode: 4})...)
	p.settle()
	c := p.s.View().Counters
	if c.Sent[wire.TypeOpen] != 1 || c.Received[wire.TypeOpen] != 1 || c.Received[wire.TypeKeepalive] != 1 ||
		c.Received[wire.TypeNotification] != 1 || c.Resets != 1 || c.Lost[Notified] != 1 ||
		!c.NotificationReceived || c.Notification.Subcode != 4 {
		t.Errorf("%+v", c)
	}
	if got, sent := p.r.Counts().Messages, c.Sent; uint64(got[wire.TypeUpdate]) != sent[wire.TypeUpdate] ||
		uint64(got[wire.TypeKeepalive]) != sent[wire.TypeKeepalive] {
		t.Errorf("the router counts %v, the session %v", got, sent)
	}
}

// TestUnsorted takes routes that are not sorted, and some twice.
func TestUnsorted(t *testing.T) {
	routes := hosts(6)
	p := established(t, append([]Route{routes[5], routes[5], routes[0]}, routes...))
	p.equal(routes)
}

// TestTooLarge leaves out a route whose attributes fill a message.
func TestTooLarge(t *testing.T) {
	routes := hosts(4)
	p := established(t, routes)
	large := hosts(4)
	large[1].Communities = make([]uint32, 2000)
	p.step(SetRoutes{large, true})
	p.settle()
	if v := p.s.View(); v.TooLarge != 1 || v.Announced[0]+v.Announced[1] != 3 {
		t.Errorf("%d too large, announced %v", v.TooLarge, v.Announced)
	}
	p.equal([]Route{large[0], large[2], large[3]})
}

// TestManyAttributes forgets attributes that no route has any longer.
func TestManyAttributes(t *testing.T) {
	p := established(t, nil)
	for round := range 50 {
		routes := hosts(40)
		for i := range routes {
			routes[i].MED, routes[i].HasMED = uint32(round*100+i), true
		}
		p.step(SetRoutes{routes, true})
		p.settle()
		if round == 49 {
			p.equal(routes)
		}
	}
	if n := len(p.s.table.known); n > 200 {
		t.Errorf("%d attributes are kept for 40 routes", n)
	}
}

// TestForeignConnection closes a connection that nobody asked for.
func TestForeignConnection(t *testing.T) {
	s := New(Config{LocalASN: 1, RemoteASN: 2}, func() float64 { return 0 })
	if a := s.Step(epoch, Connected{}); len(a) != 1 || a[0] != (Close{}) {
		t.Errorf("%v", a)
	}
	for _, e := range []Event{
		Received{[]byte{1}}, Closed{}, DialFailed{}, Written{}, Timer{}, BFDDown{}, Stop{}, Reconnect{},
	} {
		if a := s.Step(epoch, e); len(a) != 0 || s.View().State != Idle || !s.Next().IsZero() {
			t.Errorf("%T in Idle: %v", e, a)
		}
	}
}
