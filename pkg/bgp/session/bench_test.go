package session

import (
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// established returns a session that is up and has announced routes.
func established(t testing.TB, routes []Route) *pair {
	t.Helper()
	p := newPair(t, Config{HoldTime: 90 * time.Second}, routertest.Options{})
	p.step(SetRoutes{routes, true})
	p.step(Start{})
	p.settle()
	if v := p.s.View(); v.State != Established {
		t.Fatalf("%v: %s", v.State, v.Message)
	}
	return p
}

// TestPacked holds how many messages and bytes 10,000 prefixes take, and one change among them.
func TestPacked(t *testing.T) {
	routes := hosts(10000)
	p := established(t, routes)
	first := p.r.Counts()
	t.Logf("10,000 prefixes: %d UPDATEs, %d bytes", first.Messages[wire.TypeUpdate], first.Bytes)
	if n := first.Messages[wire.TypeUpdate]; n > 32 {
		t.Errorf("10,000 prefixes took %d messages", n)
	}
	for name, change := range map[string]func([]Route) []Route{
		"withdrawal":   func(r []Route) []Route { return slices.Delete(r, 4711, 4712) },
		"announcement": func(r []Route) []Route { return hosts(10001) },
		"community":    func(r []Route) []Route { r[815].Communities = []uint32{wire.GracefulShutdown}; return r },
	} {
		p := established(t, routes)
		before := p.r.Counts()
		changed := change(slices.Clone(routes))
		p.step(SetRoutes{changed, true})
		p.settle()
		after := p.r.Counts()
		if n := after.Messages[wire.TypeUpdate] - before.Messages[wire.TypeUpdate]; n != 1 {
			t.Errorf("one %s took %d messages", name, n)
		}
		p.equal(changed)
	}
}

// TestBounded holds how many bytes a slow router costs.
func TestBounded(t *testing.T) {
	p := newPair(t, Config{HoldTime: 90 * time.Second}, routertest.Options{})
	largest := 0
	p.log = func(a Action) {
		if s, ok := a.(Send); ok {
			largest = max(largest, len(s.Data))
		}
	}
	p.step(Start{})
	p.settle()
	for round := range 20 {
		routes := hosts(10000)
		for i := range routes {
			routes[i].MED, routes[i].HasMED = uint32(round), true
		}
		p.step(SetRoutes{routes, true})
		p.write(100)
	}
	if largest > SendSize || len(p.unwritten) > SendSize {
		t.Errorf("a Send has %d bytes, and %d wait", largest, len(p.unwritten))
	}
	p.settle()
	if n := p.r.Counts().Messages[wire.TypeUpdate]; n > 60 {
		t.Errorf("20 changes during one full window took %d messages", n)
	}
	p.fair()
}

func BenchmarkSetRoutes10000(b *testing.B) {
	routes := hosts(10000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		p := established(b, nil)
		b.StartTimer()
		bytes, messages := 0, p.s.counters.Sent[wire.TypeUpdate]
		for actions := p.s.Step(p.now, SetRoutes{routes, true}); len(actions) > 0; actions = p.s.Step(p.now, Written{}) {
			bytes += len(actions[0].(Send).Data)
		}
		b.ReportMetric(float64(bytes), "bytes")
		b.ReportMetric(float64(p.s.counters.Sent[wire.TypeUpdate]-messages), "messages")
	}
}

func BenchmarkOneChangeOf10000(b *testing.B) {
	routes, other := hosts(10000), hosts(10000)
	other[4711].MED, other[4711].HasMED = 1, true
	p := established(b, routes)
	b.ReportAllocs()
	for b.Loop() {
		routes, other = other, routes
		if n := len(p.s.Step(p.now, SetRoutes{routes, true})); n != 1 {
			b.Fatalf("%d actions", n)
		}
		p.s.Step(p.now, Written{})
	}
}

func BenchmarkResyncOf10000(b *testing.B) {
	routes, same := hosts(10000), hosts(10000)
	p := established(b, routes)
	b.ReportAllocs()
	for b.Loop() {
		routes, same = same, routes
		if n := len(p.s.Step(p.now, SetRoutes{routes, true})); n != 0 {
			b.Fatalf("%d actions", n)
		}
	}
}

func BenchmarkSaveRestore10000(b *testing.B) {
	p := established(b, hosts(10000))
	b.ReportAllocs()
	for b.Loop() {
		state, err := p.s.Save()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Restore(p.config, state, p.now, p.random.Float64); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(state)), "bytes")
	}
}
