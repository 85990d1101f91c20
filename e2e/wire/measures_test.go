package wire

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/ether"
)

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a1, a2 = netip.MustParseAddr("10.99.128.1"), netip.MustParseAddr("10.99.128.2")
	x, y   = MAC{2, 1}, MAC{2, 2}
)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// answers are claims of a station to a1 every 10 ms.
func answers(mac MAC, from, to int) (claims []Claim) {
	for ms := from; ms <= to; ms += 10 {
		claims = append(claims, Claim{At: at(ms), Addr: a1, MAC: mac})
	}
	return claims
}

func TestOwners(t *testing.T) {
	for _, c := range []struct {
		name    string
		claims  []Claim
		most    int
		overlap int // ms
	}{
		{"nobody", nil, 0, 0},
		{"one", answers(x, 0, 1000), 1, 0},
		{"a clean change", slices.Concat(answers(x, 0, 500), answers(y, 510, 1000)), 1, 0},
		{"make before break", slices.Concat(answers(x, 0, 510), answers(y, 500, 1000)), 1, 10},
		{"two for long", slices.Concat(answers(x, 0, 800), answers(y, 500, 1000)), 2, 300},
		{"two, and again", slices.Concat(answers(x, 0, 2000), answers(y, 500, 600), answers(y, 1000, 1200)), 2, 200},
		{"one that comes back later", slices.Concat(answers(x, 0, 500), answers(y, 510, 1000), answers(x, 1010, 1500)), 1, 0},
		{"three", slices.Concat(answers(x, 0, 800), answers(y, 500, 1000), answers(MAC{2, 3}, 600, 900)), 3, 400},
	} {
		most, overlap := owners(sorted(c.claims), a1)
		if most != c.most || overlap != time.Duration(c.overlap)*time.Millisecond {
			t.Errorf("%s: %d owners, overlap %v, want %d, %d ms", c.name, most, overlap, c.most, c.overlap)
		}
	}
	if most, _ := owners(answers(x, 0, 100), a2); most != 0 {
		t.Errorf("%d owners of an address that nobody claims", most)
	}
}

// sorted returns claims in the order of time.
func sorted(claims []Claim) []Claim {
	var log ether.Log
	for _, c := range claims {
		log.Add(c)
	}
	return log.Take()
}

func TestMovesAndTakeovers(t *testing.T) {
	before := map[netip.Addr]MAC{a1: x, a2: x}
	claims := []Claim{
		{At: at(1), Addr: a1, MAC: x, Announced: true},   // a refresh
		{At: at(2), Addr: a2, MAC: y},                    // an answer tells nothing of moves
		{At: at(30), Addr: a1, MAC: y, Announced: true},  // taken
		{At: at(31), Addr: a1, MAC: y, Announced: true},  // the other form of the same
		{At: at(70), Addr: a2, MAC: y, Announced: true},  // taken
		{At: at(230), Addr: a1, MAC: y, Announced: true}, // a repeat
		{At: at(400), Addr: a1, MAC: x, Announced: true}, // back
	}
	if n := moves(claims, before); n != 3 {
		t.Errorf("%d moves, want 3", n)
	}
	if got, want := takeovers(claims, x, before, at(20)), []time.Duration{10 * time.Millisecond, 50 * time.Millisecond}; !slices.Equal(got, want) {
		t.Errorf("takeovers %v, want %v", got, want)
	}
	if got := takeovers(claims, y, before, at(20)); len(got) != 0 {
		t.Errorf("takeovers %v of a station that had nothing", got)
	}
}

// pings makes a stream with a ping every millisecond, unless it was sent in a pause, and an answer to each at once, unless in
// an outage; both by milliseconds from the start, their ends not included.
func pings(length int, pause, outage [2]int) *stream {
	s := &stream{}
	for ms := range length {
		if ms >= pause[0] && ms < pause[1] {
			continue
		}
		s.sent = append(s.sent, at(ms))
		ok := ms < outage[0] || ms >= outage[1]
		s.answered = append(s.answered, ok)
		if ok {
			s.came = append(s.came, at(ms).Add(100*time.Microsecond))
		}
	}
	return s
}

func TestGap(t *testing.T) {
	const answer = 100 * time.Microsecond
	for _, c := range []struct {
		name          string
		pause, outage [2]int
		since         int
		want          time.Duration
		lost          int
	}{
		{"none", [2]int{}, [2]int{}, 100, answer, 0},
		{"outage", [2]int{}, [2]int{300, 700}, 100, 400*time.Millisecond + answer, 400},
		{"outage before the fault", [2]int{}, [2]int{300, 700}, 800, answer, 400},
		{"to the end", [2]int{}, [2]int{900, 1000}, 100, 99 * time.Millisecond, 100},
		{"the client was kept from sending", [2]int{300, 700}, [2]int{}, 100, answer, 0},
		{"both", [2]int{300, 500}, [2]int{400, 700}, 100, 200*time.Millisecond + answer, 200},
	} {
		s := pings(1000, c.pause, c.outage)
		if got := s.gap(at(c.since)); got != c.want {
			t.Errorf("%s: gap %v, want %v", c.name, got, c.want)
		}
		if got := s.lost(); got != c.lost {
			t.Errorf("%s: %d lost, want %d", c.name, got, c.lost)
		}
	}
	if got := new(stream).gap(start); got != 0 {
		t.Errorf("gap %v without pings", got)
	}
}

func TestReport(t *testing.T) {
	var r Report
	for i := range 100 {
		r.Add(Result{Fault: "crash", Nodes: 3, Gap: time.Duration(i+1) * time.Millisecond, Lost: i, Owners: 1}, false)
	}
	r.Add(Result{Fault: "crash", Nodes: 10, Gap: time.Second, Owners: 2, First: time.Second, Last: 2 * time.Second}, false)
	r.Add(Result{Fault: "crash", Nodes: 10}, true)
	r.Add(Result{Fault: "stop", Nodes: 3}, true)
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		"crash 3 100 0 50 99 100 49 99 0 0 0 1 0 0 0 0 0 0 0", "crash 10 1 1 1000 1000 1000 0 0 0 0 0 2 0 1000 1000 2000 1000 1000 0", "stop 3 0 1",
	} {
		if got := strings.Join(strings.Fields(lines[i+1]), " "); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
