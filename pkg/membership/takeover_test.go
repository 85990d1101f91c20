package membership

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// lossTime is longer than a probe and the longest suspicion together: a member that is still alive after lossTime
// stays.
const lossTime = 2 * time.Second

// TestHandOver hands a membership over several times. The other members must see each new process as the same member,
// and must receive the report that was set before Run as the first report.
func TestHandOver(t *testing.T) {
	c := newCluster(t)
	rest := c.startAll(2)
	third, heard := c.startWitness("third", "moving")
	rest = append(rest, third)
	run := func(bind netip.AddrPort, link Link) *node {
		return c.run(Options{Name: "moving", Bind: bind, Keys: [][]byte{testKey}}, func(m *Membership) {
			if err := m.SetState(Report{State: Ready, Links: []Link{link}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	bind := netip.MustParseAddrPort("127.0.0.1:0")
	for i := range 4 {
		link, start := plain("eth9", MAC{2, byte(i)}), time.Now()
		current := run(bind, link)
		bind = current.address()
		c.within(5*time.Second, "all see what the new process says", func() bool {
			return all(rest, func(n *node) bool { m, found := n.find("moving"); return found && m.State == Ready && m.Has(link.MAC) })
		})
		t.Logf("process %d known after %v", i, time.Since(start))
		c.eventually("all know all", func() bool { return all(rest, func(n *node) bool { return len(n.Members()) == 4 }) })
		c.stays(lossTime, "nobody leaves and joins", func() bool {
			return all(rest, func(n *node) bool { return n.saw(eventLeft) == 0 && n.saw(eventJoined) == 3 && len(n.Members()) == 4 })
		})
		if got := heard.take(); len(got) != 1 || !got[0].equal(Member{Name: "moving", State: Ready, Links: []Link{link}}) {
			t.Errorf("of process %d was heard %v, want only that it is ready on %v", i, got, link)
		}
		current.HandOver()
		current.end()
		<-time.After(300 * time.Millisecond) // the maximum delay of the next process
	}
}

// saw returns the number of events of this kind that n has counted.
func (n *node) saw(e event) float64 { return testutil.ToFloat64(n.events.WithLabelValues(e.String())) }

// TestKeysAreRotatedWhileRunning moves one member after another to the next step of a rotation. The steps run in
// parallel.
func TestKeysAreRotatedWhileRunning(t *testing.T) {
	k1, k2, k3 := testKey, []byte("the secret of tomorrow"), []byte("the secret of the day after")
	for _, test := range []struct {
		name          string
		first, second [][]byte
	}{
		{"the new key is accepted", [][]byte{k1}, [][]byte{k1, k2}},
		{"the new key is used", [][]byte{k1, k2}, [][]byte{k2, k1}},
		{"the old key is dropped", [][]byte{k2, k1}, [][]byte{k2}},
		{"a key in the middle is dropped", [][]byte{k1, k2, k3}, [][]byte{k1, k3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			var nodes []*node
			for _, name := range []string{"a", "b", "d"} {
				nodes = append(nodes, c.start(name, test.first...))
			}
			c.eventually("all know all", func() bool { return all(nodes, func(n *node) bool { return len(n.Members()) == 3 }) })
			for _, n := range nodes {
				if err := n.SetKeys(test.second); err != nil {
					t.Fatal(err)
				}
				want, err := deriveKeys(test.second)
				if err != nil {
					t.Fatal(err)
				}
				if got := n.keyring.GetKeys(); !slices.EqualFunc(got, want, bytes.Equal) {
					t.Errorf("%s has %d keys, want the %d derived from those it was given, in that order", n.options.Name, len(got), len(want))
				}
				c.stays(lossTime, "nobody is lost or refused", func() bool {
					return all(nodes, func(n *node) bool {
						return n.saw(eventLeft) == 0 && len(n.Members()) == 3 && n.refusals(refusedKey) == 0
					})
				})
				for _, to := range nodes {
					if err := n.Ping(to.options.Name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestSetKeysLocksOut removes a key that another member still uses.
func TestSetKeysLocksOut(t *testing.T) {
	c := newCluster(t)
	old, fresh := c.start("old"), c.start("fresh", []byte("the secret of tomorrow"), testKey)
	c.eventually("the key of old is not accepted yet elsewhere", func() bool { return old.refusals(refusedKey) > 0 })
	if err := old.SetKeys([][]byte{testKey, nil}); err == nil {
		t.Error("an empty key is accepted")
	}
	if err := fresh.SetKeys([][]byte{[]byte("the secret of tomorrow")}); err != nil {
		t.Fatal(err)
	}
	before := fresh.refusals(refusedKey)
	c.eventually("what is encrypted with the dropped key is refused", func() bool { return fresh.refusals(refusedKey) > before })
}
