package membership

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// lone returns a Membership that does not run, with peers like "b 192.0.2.2:7950", and the log of the Membership.
func lone(t *testing.T, peers ...string) (*Membership, *bytes.Buffer) {
	var b bytes.Buffer
	m, err := New(Options{
		Name: "self", Bind: netip.MustParseAddrPort("192.0.2.1:7950"), Keys: [][]byte{testKey},
		Peers: func() []Peer { return parsePeers(peers...) },
		Log:   logTo(&b, slog.LevelInfo), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, &b
}

// parsePeers parses peers. Each text is the name, followed by the addresses.
func parsePeers(texts ...string) (peers []Peer) {
	for _, text := range texts {
		words := strings.Fields(text)
		peer := Peer{Name: words[0]}
		for _, word := range words[1:] {
			peer.Addrs = append(peer.Addrs, netip.MustParseAddrPort(word))
		}
		peers = append(peers, peer)
	}
	return peers
}

// peerNode returns a node in the form in which memberlist reports nodes.
func peerNode(name, ip string, meta ...byte) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: net.ParseIP(ip), Port: 7950, Meta: meta}
}

func TestJoinerTriesWhoIsMissing(t *testing.T) {
	m, _ := lone(t, "self 192.0.2.1:7950", "b 192.0.2.2:7950", "c 192.0.2.3:7950 [fd00::3]:7950", "d [fd00::4]:7950", "e [::ffff:192.0.2.5]:7950")
	delegate{m}.NotifyJoin(peerNode("b", "192.0.2.2", 2, 2))
	var tried []string
	j := newJoiner(m, func(name string, addr netip.AddrPort) error {
		tried = append(tried, name+" "+addr.String())
		if name == "d" || name == "e" {
			// A join with one of these two peers brings the other peer too.
			delegate{m}.NotifyJoin(peerNode("d", "fd00::4", 2, 2))
			delegate{m}.NotifyJoin(peerNode("e", "192.0.2.5", 2, 2))
			return nil
		}
		return errors.New("connection refused")
	})
	j.joined = true
	j.round(t.Context())
	i := slices.Index(tried, "c 192.0.2.3:7950")
	if len(tried) != 3 || i < 0 || i > 1 || tried[i+1] != "c [fd00::3]:7950" {
		t.Errorf("tried %v, want both addresses of c, and one of the two that bring each other", tried)
	}
	tried = nil
	delegate{m}.NotifyLeave(peerNode("b", "192.0.2.2"))
	j.round(t.Context())
	slices.Sort(tried)
	if want := []string{"b 192.0.2.2:7950", "c 192.0.2.3:7950", "c [fd00::3]:7950"}; !slices.Equal(tried, want) {
		t.Errorf("tried %v, want %v", tried, want)
	}
}

// rounds runs rounds of j for the duration d.
func (j *joiner) rounds(t *testing.T, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(joinInterval) {
		j.round(t.Context())
	}
}

func TestJoinerWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, logged := lone(t, "b 192.0.2.2:7950")
		j := newJoiner(m, func(string, netip.AddrPort) error {
			return fmt.Errorf("some lines:\n%w", errors.New("EOF"))
		})
		want := `level=WARN msg="gossip with node b (192.0.2.2) does not pass: open TCP and UDP port 7950 in both directions" ` +
			`node=b err="` + errClosed.Error() + `"` + "\n"
		j.rounds(t, joinPatience)
		if logged.Len() > 0 {
			t.Errorf("logged too early: %s", logged)
		}
		j.rounds(t, time.Hour)
		if logged.String() != want {
			t.Errorf("logged\n%s\nwant\n%s", logged, want)
		}
		// The peer comes and goes, which begins a new absence.
		delegate{m}.NotifyJoin(peerNode("b", "192.0.2.2", 2, 2))
		j.rounds(t, joinInterval)
		j.checkPaths(0)
		time.Sleep(time.Hour)
		delegate{m}.NotifyLeave(peerNode("b", "192.0.2.2"))
		j.rounds(t, time.Hour)
		want += `level=WARN msg="node b (192.0.2.2) has left the gossip and does not come back: if it is up, open TCP and UDP port 7950 ` +
			`in both directions" node=b err="` + errClosed.Error() + `"` + "\n"
		if logged.String() != want {
			t.Errorf("logged\n%s\nwant\n%s", logged, want)
		}
	})
}

// TestUnreached follows peers that do not become members.
func TestUnreached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers, woken := parsePeers("d", "c 192.0.2.3:7950 [fd00::3]:7950", "b 192.0.2.2:7950"), 0
		m, _ := lone(t)
		m.options.Peers, m.options.Wake = func() []Peer { return peers }, func() { woken++ }
		timeout := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		j := newJoiner(m, func(_ string, addr netip.AddrPort) error {
			switch addr.Addr().String() {
			case "192.0.2.2":
				return nil // another node has the address
			case "192.0.2.3":
				m.paths.dialed(addr.String(), timeout)
				return timeout
			}
			refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			m.paths.dialed(addr.String(), refused)
			return refused
		})
		start := time.Now()
		j.joined = true
		j.rounds(t, joinPatience)
		if got := m.Unreached(); len(got) != 0 || woken != 0 {
			t.Errorf("after less than %v unreached are %v, and the owner was woken %d times", joinPatience, got, woken)
		}
		j.rounds(t, time.Minute)
		check := func(what string, wakes int, want ...Unreached) {
			t.Helper()
			if got := m.Unreached(); !slices.EqualFunc(got, want, Unreached.equal) || woken != wakes {
				t.Errorf("%s: unreached are\n%v, want\n%v; the owner was woken %d times, want %d", what, got, want, woken, wakes)
			}
		}
		b := Unreached{Name: "b", Addr: peers[2].Addrs[0], Since: start, Err: errOther}
		c := Unreached{Name: "c", Addr: peers[1].Addrs[0], Since: start, Err: errors.New("192.0.2.3: no answer; fd00::3: " + errRefused.Error())}
		d := Unreached{Name: "d", Since: start, Err: errNoAddress}
		check("none is reached", 1, b, c, d)
		peers = peers[1:]
		j.rounds(t, time.Minute)
		check("a Node is gone", 2, b, c)
		delegate{m}.NotifyJoin(peerNode("c", "192.0.2.3", 2, 2))
		j.checkPaths(0)
		j.rounds(t, time.Second)
		check("one has joined", 4, b)
		left := time.Now().Add(time.Minute)
		time.Sleep(time.Minute)
		delegate{m}.NotifyLeave(peerNode("c", "192.0.2.3", 2, 2))
		j.rounds(t, time.Minute)
		c.Since, c.Met = left, true
		check("it is gone again", 6, b, c)
	})
}

// TestUnreachedSentence checks the sentences for operators.
func TestUnreachedSentence(t *testing.T) {
	addr := netip.MustParseAddrPort("[fd00::2]:7950")
	for _, test := range []struct {
		unreached Unreached
		want      string
	}{
		{Unreached{Addr: addr, Err: errNoAnswer}, "gossip with node b (fd00::2) does not pass: open TCP and UDP port 7950 in both directions"},
		{Unreached{Addr: addr, Err: errNoAnswer, Met: true},
			"node b (fd00::2) has left the gossip and does not come back: if it is up, open TCP and UDP port 7950 in both directions"},
		{Unreached{Err: errNoAddress}, "gossip with node b does not pass: the Node has no InternalIP"},
		{Unreached{Addr: addr, Err: errNoRoute}, "gossip with node b does not pass: this node has no address of the same family"},
	} {
		test.unreached.Name = "b"
		if got := test.unreached.String(); got != test.want {
			t.Errorf("%v: %s, want %s", test.unreached.Err, got, test.want)
		}
		if opens := strings.Contains(test.want, "port 7950"); opens != (test.unreached.Port() == 7950) || !opens && test.unreached.Port() != 0 {
			t.Errorf("%v: port %d", test.unreached.Err, test.unreached.Port())
		}
	}
	m, _ := lone(t)
	j := newJoiner(m, nil)
	m.peers.Store(newPeerTable(parsePeers("c [fd00::2]:7950", "d [fd00::2]:7950 192.0.2.4:7950")))
	for name, want := range map[string]string{
		"c": "gossip with node c does not pass: this node has no address of the same family",
		"d": "gossip with node d (fd00::2) does not pass: open TCP and UDP port 7950 in both directions",
	} {
		if got := j.advice(Member{Name: name, Addr: addr}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestCauses checks the causes of failed attempts.
func TestCauses(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, test := range []struct {
		name        string
		err, dialed error
		want        string
	}{
		{"nobody answers", errors.New("x"), dial(os.ErrDeadlineExceeded), errNoAnswer.Error()},
		{"nobody listens", errors.New("x"), dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), errRefused.Error()},
		{"no way", errors.New("x"), dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route to host"},
		{"no route", errors.New("x"), dial(errNoRoute), errNoRoute.Error()},
		{"a transport in memory", errors.New("x"), errors.New("no such port"), "no such port"},
		{"another key", errors.New("failed to join 192.0.2.2:7950: EOF"), nil, errClosed.Error()},
		{"reset", errors.New("read tcp 192.0.2.1:40000->192.0.2.2:7950: read: connection reset by peer"), nil, errClosed.Error()},
		{"silence", errors.New("read tcp 192.0.2.1:40000->192.0.2.2:7950: i/o timeout"), nil, errNoAnswer.Error()},
		{"something else", errors.New("something else"), nil, "something else"},
	} {
		if got := causeOf(test.err, test.dialed); got.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, got, test.want)
		}
	}
}

// TestUnreadableMember runs with a member of a later version.
func TestUnreadableMember(t *testing.T) {
	m, logged := lone(t)
	d := delegate{m}
	views := []*view{{}}
	step := func(f func()) {
		f()
		views = append(views, m.published.Load())
		m.logChanges(views[len(views)-2], views[len(views)-1])
	}
	step(func() { d.NotifyJoin(peerNode("b", "192.0.2.2", 9, 2)) })
	step(func() { d.NotifyUpdate(peerNode("b", "192.0.2.2", 9, 3)) })
	step(func() { d.NotifyJoin(peerNode("d", "192.0.2.4", 2, 2)) })
	step(func() { d.NotifyUpdate(peerNode("b", "192.0.2.2", 2, 2, 1, 0, 9, 1, 'a', 2, 0, 0, 0, 0, 7, 0)) })
	step(func() { d.NotifyLeave(peerNode("b", "192.0.2.2")) })
	step(func() { d.NotifyLeave(peerNode("b", "192.0.2.2")) })
	want := strings.TrimLeft(`
level=INFO msg="member joined" node=b address=192.0.2.2:7950 state=unknown
level=WARN msg="member is not counted as ready" node=b err="metadata of unknown version 9"
level=INFO msg="member joined" node=d address=192.0.2.4:7950 state=ready
level=INFO msg="member changed" node=b address=192.0.2.2:7950 state=ready
level=INFO msg="member gone" node=b address=192.0.2.2:7950 state=ready
`, "\n")
	if logged.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", logged, want)
	}
	// Views that were returned earlier must not change.
	var got []string
	for _, v := range views[1:] {
		var line strings.Builder
		for _, member := range v.members {
			fmt.Fprintf(&line, "%s %s %v; ", member.Name, member.State, member.Links)
		}
		got = append(got, strings.TrimSuffix(line.String(), "; "))
	}
	wantViews := []string{
		"b unknown []; self joining []",
		"b unknown []; self joining []",
		"b unknown []; d ready []; self joining []",
		"b ready [{a 02:00:00:00:00:07 [] invalid IP}]; d ready []; self joining []",
		"d ready []; self joining []",
		"d ready []; self joining []",
	}
	if !slices.Equal(got, wantViews) {
		t.Errorf("views\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wantViews, "\n"))
	}
}

func TestConflictIsCounted(t *testing.T) {
	c := newCluster(t)
	a := c.start("a")
	b := c.start("twin")
	c.eventually("both meet", func() bool { return len(a.Members()) == 2 && len(b.Members()) == 2 })
	twin := c.start("twin")
	c.eventually("a has seen two claim one name", func() bool { return a.conflicts() > 0 })
	if m, _ := a.find("twin"); m.Addr != b.address() {
		t.Errorf("the twin at %s took the name from the living one at %s", twin.address(), b.address())
	}
}

// TestJoinerRetriesFew tries each new peer in each round, and of the peers that count as unreached a few, each of them
// in the long run.
func TestJoinerRetriesFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const absent = 5 * mostRetries
		var peers []string
		for i := range absent {
			peers = append(peers, fmt.Sprintf("node-%02d 192.0.2.%d:7950", i, i+2))
		}
		m, _ := lone(t, peers...)
		tried := map[string]int{}
		j := newJoiner(m, func(name string, _ netip.AddrPort) error {
			tried[name]++
			return errors.New("connection refused")
		})
		for range joinPatience / joinInterval {
			if n := j.round(t.Context()); n != absent {
				t.Fatalf("tried %d of %d new peers", n, absent)
			}
			time.Sleep(joinInterval)
		}
		j.round(t.Context()) // from now on, all are unreached
		if n := len(m.Unreached()); n != absent {
			t.Errorf("%d peers are unreached, want %d", n, absent)
		}
		clear(tried)
		for range 200 {
			if n := j.round(t.Context()); n != mostRetries {
				t.Fatalf("tried %d unreached peers in a round, want %d", n, mostRetries)
			}
		}
		if len(tried) != absent {
			t.Errorf("tried %d of %d unreached peers in 200 rounds", len(tried), absent)
		}
	})
}
