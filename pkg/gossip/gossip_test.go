package gossip

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/membership"
)

var three = map[string]string{"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}

const allThree = "a@192.0.2.1 b@192.0.2.2 c@192.0.2.3"

// startThree runs three nodes with each other as peers.
func (c *testCluster) startThree() {
	c.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(three)) {
		c.run(c.add(name, three, "1"))
	}
	c.until(5*time.Second, allThree)
}

// TestNewSecretLosesNobody replaces the Secret with another key. The nodes learn of the new Secret at random moments,
// each within the allowed time.
func TestNewSecretLosesNobody(t *testing.T) {
	for seed := range uint64(10) {
		bubble(t, func(t *testing.T, c *testCluster) {
			random := rand.New(rand.NewPCG(seed, 0))
			c.startThree()
			for _, n := range c.nodes {
				at := time.Duration(random.Int64N(int64(learnTime - 2*checkInterval)))
				time.AfterFunc(at, func() { n.source.setKeys() }) // deleted first
				time.AfterFunc(at+500*time.Millisecond, func() { n.source.setKeys("2") })
			}
			c.during(2*learnTime+5*time.Second, allThree)
		})
	}
}

// TestRestartAfterNewSecret starts a speaker with only the new key, when the others use that key and still accept the
// old key.
func TestRestartAfterNewSecret(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.startThree()
		for _, n := range c.nodes {
			n.source.setKeys("2")
		}
		c.during(learnTime+2*checkInterval, allThree)
		c.nodes[2].end(t)
		c.nodes = c.nodes[:2]
		c.run(c.add("c", three, "2"))
		c.until(5*time.Second, allThree)
		c.during(10*time.Second, allThree)
	})
}

// TestUselessKeys puts a too short key into the Secret. The key in use stays, and later keys do not change that.
func TestUselessKeys(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.startThree()
		for _, n := range c.nodes {
			n.source.mu.Lock()
			n.source.keys = []string{""}
			n.source.mu.Unlock()
		}
		c.during(time.Minute, allThree)
		for _, n := range c.nodes {
			n.source.setKeys("2")
		}
		c.during(time.Minute, allThree)
	})
}

// TestAddressChanges moves a node to another address. The others see the same name at the new address soon, and the
// node sees its peers all the time.
func TestAddressChanges(t *testing.T) {
	const moved = "a@192.0.2.1 b@192.0.2.20 c@192.0.2.3"
	for name, lateBy := range map[string]time.Duration{"all learn at once": 0,
		"the others learn late": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *testCluster) {
				c.startThree()
				a, b := c.nodes[0], c.nodes[1]
				b.source.setNode("b", "192.0.2.20")
				for _, n := range c.nodes {
					time.AfterFunc(lateBy, func() { n.source.setNode("b", "192.0.2.20") })
				}
				var absent time.Duration
				began := time.Now()
				for ; !c.all(moved); time.Sleep(time.Millisecond) {
					if len(b.Members()) != 3 || !b.Settled() || b.Members()[1].State != membership.Ready {
						t.Fatalf("the node that moves sees %v", b.Members())
					}
					if len(a.Members()) < 3 {
						absent += time.Millisecond
					}
					// Gossip may lose the news. Then the exchange of the state repairs the view: each member exchanges with
					// one random member every 10 s, and may choose a member that lacks the news too.
					if time.Since(began) > lateBy+30*time.Second {
						t.Fatalf("a sees %q, b %q, c %q", a.sees(), b.sees(), c.nodes[2].sees())
					}
				}
				t.Logf("all see the new address after %v; a missed the node for %v", time.Since(began), absent)
				c.during(time.Minute, moved)
				if metrics, err := b.registry.Gather(); err != nil || len(metrics) != 3 {
					t.Errorf("%d metrics, %v", len(metrics), err)
				}
			})
		})
	}
}

// TestAddressVanishes moves a node whose old address has already vanished, so that nobody hears of its leaving.
func TestAddressVanishes(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.startThree()
		c.network.mu.Lock()
		delete(c.network.ports, "192.0.2.2:7950")
		c.network.mu.Unlock()
		for _, n := range c.nodes {
			n.source.setNode("b", "192.0.2.20")
		}
		took := c.until(10*time.Second, "a@192.0.2.1 b@192.0.2.20 c@192.0.2.3")
		t.Logf("all see the new address after %v", took)
	})
}

// TestAddressIsNotThereYet announces a new address in the Node before the host has the address. The old address stays
// in use until then, even when the Node has no address any longer.
func TestAddressIsNotThereYet(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.startThree()
		b := c.nodes[1]
		there := time.Now().Add(time.Minute)
		b.missing = func(netip.AddrPort) error {
			if time.Now().Before(there) {
				return errors.New("cannot assign requested address")
			}
			return nil
		}
		b.source.setNode("b", "192.0.2.20")
		c.during(time.Minute-10*time.Millisecond, allThree)
		c.until(10*time.Second, "a@192.0.2.1 b@192.0.2.20 c@192.0.2.3")
		b.source.setNode("b", "")
		c.during(10*time.Second, "a@192.0.2.1 b@192.0.2.20 c@192.0.2.3")
	})
}

// TestWait starts a node without a key and without an address.
func TestWait(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		n := c.add("a", map[string]string{"a": ""})
		time.AfterFunc(time.Second, func() { n.source.setKeys("1"); n.changed <- struct{}{} })
		time.AfterFunc(2*time.Second, func() { n.source.setNode("a", "192.0.2.1"); n.changed <- struct{}{} })
		began := time.Now()
		c.run(n)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("waited %v", took)
		}
		c.until(time.Second, "a@192.0.2.1")
	})
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t)
		n := c.add("a", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.Wait(ctx, n.changed); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
	})
}

// TestHandOver ends one process and starts the next process with the same name and address, within the time tolerated
// by the others.
func TestHandOver(t *testing.T) {
	bubble(t, func(t *testing.T, c *testCluster) {
		c.startThree()
		c.nodes[1].HandOver()
		c.nodes[1].end(t)
		b := c.add("b", three, "1")
		c.nodes[1], c.nodes = b, c.nodes[:3]
		time.Sleep(100 * time.Millisecond)
		c.run(b)
		others := testCluster{t: t, nodes: []*node{c.nodes[0], c.nodes[2]}}
		others.during(10*time.Second, allThree)
		c.until(time.Second, allThree)
	})
}
