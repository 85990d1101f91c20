package membership

import (
	"bytes"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// refusals returns the number of refusals of n for this reason.
func (n *node) refusals(r refusal) float64 {
	return testutil.ToFloat64(n.refused.WithLabelValues(r.String()))
}

func TestPing(t *testing.T) {
	c := newCluster(t)
	nodes := c.startAll(2)
	if err := nodes[0].Ping("node-2"); err != nil {
		t.Errorf("a living member: %v", err)
	}
	if err := nodes[0].Ping("nobody"); err == nil || err.Error() != "ping member nobody: it is not a member" {
		t.Errorf("an unknown member: %v", err)
	}
	c.network.put(1, nodes[1].address().String())
	if err := nodes[0].Ping("node-2"); err == nil {
		t.Error("a member that is cut off answers")
	}
	nodes[0].end()
	if err := nodes[0].Ping("node-2"); err == nil || err.Error() != "ping member node-2: gossip is not running" {
		t.Errorf("after Run: %v", err)
	}
	m, _ := lone(t)
	if err := m.Ping("self"); err == nil {
		t.Error("before Run there is an answer")
	}
	m.Suspect("self", time.Second)
}

func TestSuspect(t *testing.T) {
	type word struct {
		by, name string
		silent   time.Duration
	}
	heard := make(chan word, 100)
	c := newCluster(t)
	var nodes []*node
	for _, name := range []string{"a", "b", "d", "e"} {
		nodes = append(nodes, c.run(Options{
			Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Keys: [][]byte{testKey},
			Suspected: func(of string, silent time.Duration) { heard <- word{name, of, silent} },
		}, func(*Membership) {}))
	}
	c.eventually("all know all", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 4 }) })
	nodes[0].Suspect("a", time.Second)
	nodes[0].Suspect("", time.Second)
	nodes[0].Suspect("gone", 0) // not a member
	for range 3 {
		if w := <-heard; w.name != "gone" || w.silent != 0 {
			t.Errorf("heard %v", w)
		}
	}
	nodes[0].Suspect("b", 1234*time.Millisecond+time.Microsecond)
	got := []string{}
	for range 2 {
		w := <-heard
		if w.name != "b" || w.silent != 1234*time.Millisecond {
			t.Errorf("heard %v", w)
		}
		got = append(got, w.by)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"d", "e"}) {
		t.Errorf("told were %v, want d and e", got)
	}
	for _, message := range [][]byte{nil, {messageSuspicion}, {messageVersions, 1}, encodeSuspicion("", 0)} {
		before := nodes[1].refusals(refusedMalformed)
		delegate{nodes[1].Membership}.NotifyMsg(message)
		if nodes[1].refusals(refusedMalformed) != before+1 {
			t.Errorf("malformed message %x is not counted", message)
		}
	}
	delegate{nodes[1].Membership}.NotifyMsg(encodeSuspicion("b", 0))
	if len(heard) != 0 {
		t.Errorf("heard %v too", <-heard)
	}
}

func TestTell(t *testing.T) {
	type word struct {
		by, from string
		known    [8]uint64
	}
	heard := make(chan word, 100)
	c := newCluster(t)
	var nodes []*node
	for _, name := range []string{"a", "b", "d"} {
		nodes = append(nodes, c.run(Options{
			Name: name, Bind: netip.MustParseAddrPort("127.0.0.1:0"), Keys: [][]byte{testKey},
			Told: func(from string, known [8]uint64) { heard <- word{name, from, known} },
		}, func(*Membership) {}))
	}
	c.eventually("all know all", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 3 }) })
	known := [8]uint64{1, math.MaxUint64, 0, 7, 5, 6, 7, 8}
	nodes[0].Tell("a", known)
	nodes[0].Tell("nobody", known)
	nodes[0].Tell("d", known)
	if w := <-heard; w != (word{"d", "a", known}) {
		t.Errorf("heard %v", w)
	}
	before := nodes[1].refusals(refusedMalformed)
	delegate{nodes[1].Membership}.NotifyMsg(encodeVersions("", known))
	if nodes[1].refusals(refusedMalformed) != before+1 {
		t.Error("a word of nobody is not counted")
	}
	delegate{nodes[1].Membership}.NotifyMsg(encodeVersions("b", known)) // with the name of the receiver
	if len(heard) != 0 {
		t.Errorf("heard %v too", <-heard)
	}
}

// TestOtherKindsAreIgnored sends messages of other versions, which must be neither counted nor logged.
func TestOtherKindsAreIgnored(t *testing.T) {
	m, _ := lone(t)
	var logged bytes.Buffer
	m.options.Log = logTo(&logged, slog.LevelDebug)
	m.options.Told = func(string, [8]uint64) { t.Error("a message of another version is passed on") }
	m.options.Suspected = func(string, time.Duration) { t.Error("a message of another version is passed on") }
	before := append([]byte{2}, make([]byte, 4*8)...) // Tell with four words
	for range 1000 {
		for _, message := range [][]byte{append(before, "node-1"...), before, {2}, {0}, {4, 1, 2}, {255}} {
			delegate{m}.NotifyMsg(message)
		}
	}
	if n := testutil.ToFloat64(m.refused.WithLabelValues(refusedMalformed.String())); n != 0 || logged.Len() > 0 {
		t.Errorf("%v are counted, and the log says %s", n, logged.String())
	}
}

func FuzzParseVersions(f *testing.F) {
	f.Add(encodeVersions("node-1", [8]uint64{1, 2, 3, 4, 5, 6, 7, 8}))
	f.Add(encodeVersions("", [8]uint64{})) // no name
	f.Add(encodeSuspicion("node-1", 0))    // another kind
	f.Fuzz(func(t *testing.T, message []byte) {
		name, known, err := parseVersions(message)
		if err == nil && !bytes.Equal(encodeVersions(name, known), message) {
			t.Fatalf("%x is read as %q %v", message, name, known)
		}
	})
}

func FuzzParseSuspicion(f *testing.F) {
	f.Add(encodeSuspicion("node-1", time.Second))
	f.Add(encodeSuspicion("n", math.MaxInt64)) // capped
	f.Add(encodeSuspicion("", -time.Second))   // no name
	f.Add([]byte{2, 0, 0, 0, 0, 'a'})          // another kind
	f.Fuzz(func(t *testing.T, message []byte) {
		name, silent, err := parseSuspicion(message)
		if err == nil && !bytes.Equal(encodeSuspicion(name, silent), message) {
			t.Fatalf("%x is read as %q %v", message, name, silent)
		}
	})
}

// TestRefusalsAreCounted checks that the log lines of the real memberlist contain the texts that refusalIn looks for.
func TestRefusalsAreCounted(t *testing.T) {
	c := newCluster(t)
	a := c.start("a")
	for _, packet := range [][]byte{{1}, bytes.Repeat([]byte{1}, 100), []byte("hello")} {
		before := a.refusals(refusedMalformed) + a.refusals(refusedKey)
		conn, err := net.Dial("udp", a.address().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(packet); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		c.eventually("it is counted", func() bool { return a.refusals(refusedMalformed)+a.refusals(refusedKey) > before })
	}
	if a.refusals(refusedMalformed) != 2 || a.refusals(refusedKey) != 1 {
		t.Errorf("counted %v malformed and %v with a wrong key, want 2 and 1", a.refusals(refusedMalformed), a.refusals(refusedKey))
	}
}
