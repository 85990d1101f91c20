package membership

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// lone returns a Membership that is not run, with these peers, and what it logs.
func lone(t *testing.T, peers ...string) (*Membership, *bytes.Buffer) {
	var b bytes.Buffer
	m, err := New(Options{
		Name: "self", Bind: netip.MustParseAddrPort("192.0.2.1:7950"), Keys: [][]byte{testKey},
		Peers: func() []netip.AddrPort {
			var addrs []netip.AddrPort
			for _, peer := range peers {
				addrs = append(addrs, netip.MustParseAddrPort(peer))
			}
			return addrs
		},
		Log: logTo(&b, slog.LevelInfo), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, &b
}

// peerNode is a node as memberlist tells of it.
func peerNode(name, ip string, meta ...byte) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: net.ParseIP(ip), Port: 7950, Meta: meta}
}

func TestJoinerTriesWhoIsMissing(t *testing.T) {
	m, _ := lone(t, "192.0.2.1:7950", "192.0.2.2:7950", "192.0.2.3:7950", "[::ffff:192.0.2.3]:7950", "[fd00::4]:7950", "192.0.2.5:7950")
	delegate{m}.NotifyJoin(peerNode("b", "192.0.2.2", 2, 2))
	var tried []string
	j := joiner{m: m, joined: true, absent: make(map[netip.AddrPort]*absence), join: func(peer string) error {
		tried = append(tried, peer)
		if peer == "192.0.2.5:7950" || peer == "[fd00::4]:7950" {
			// Each of these two brings the other.
			delegate{m}.NotifyJoin(peerNode("d", "fd00::4", 2, 2))
			delegate{m}.NotifyJoin(peerNode("e", "192.0.2.5", 2, 2))
			return nil
		}
		return errors.New("connection refused")
	}}
	j.round(t.Context())
	if len(tried) != 2 || !slices.Contains(tried, "192.0.2.3:7950") {
		t.Errorf("tried %v, want 192.0.2.3 and one of the two that bring each other", tried)
	}
	tried = nil
	delegate{m}.NotifyLeave(peerNode("b", "192.0.2.2"))
	j.round(t.Context())
	slices.Sort(tried)
	if want := []string{"192.0.2.2:7950", "192.0.2.3:7950"}; !slices.Equal(tried, want) {
		t.Errorf("tried %v, want %v", tried, want)
	}
}

func TestJoinerWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, logged := lone(t, "192.0.2.2:7950")
		j := joiner{m: m, absent: make(map[netip.AddrPort]*absence), join: func(string) error {
			return fmt.Errorf("some lines:\n%w", errors.New("connection refused"))
		}}
		want := `level=WARN msg="peer cannot be reached over gossip, trying on" address=192.0.2.2:7950 err="connection refused"` + "\n"
		rounds := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(joinInterval) {
				j.round(t.Context())
			}
		}
		rounds(joinPatience)
		if logged.Len() > 0 {
			t.Errorf("logged too early: %s", logged)
		}
		rounds(time.Hour)
		if logged.String() != want {
			t.Errorf("logged\n%s\nwant\n%s", logged, want)
		}
		// It comes and goes: a new absence.
		delegate{m}.NotifyJoin(peerNode("b", "192.0.2.2", 2, 2))
		rounds(joinInterval)
		delegate{m}.NotifyLeave(peerNode("b", "192.0.2.2"))
		rounds(time.Hour)
		if logged.String() != want+want {
			t.Errorf("logged\n%s\nwant that twice:\n%s", logged, want)
		}
	})
}

// TestUnreadableMember is about a member of a later version.
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
	// Views that were handed out are as they were.
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
