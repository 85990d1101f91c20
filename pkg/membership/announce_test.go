package membership

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// collision makes memberlist drop an update of the local member. collision holds memberlist's lock from the first join
// of another member until the update waits for the lock. The update then gets its incarnation number, and needs the
// lock again for writing. Before that, the goroutine that merges the state of the other member gets the lock, reaches
// the state of an earlier process of this name, and refutes that state.
type collision struct {
	memberlist.Delegate
	memberlist.EventDelegate
	name string
	// provoke changes the report of the member.
	provoke func()
	// begun is set when provoke has been called.
	begun atomic.Bool
	// updates counts the attempts to update since then.
	updates atomic.Int32
}

// NodeMeta implements memberlist.Delegate. UpdateNode calls NodeMeta just before UpdateNode takes the lock.
func (c *collision) NodeMeta(limit int) []byte {
	if c.begun.Load() {
		c.updates.Add(1)
	}
	return c.Delegate.NodeMeta(limit)
}

// NotifyJoin implements memberlist.EventDelegate.
func (c *collision) NotifyJoin(n *memberlist.Node) {
	c.EventDelegate.NotifyJoin(n)
	if n.Name == c.name || c.begun.Swap(true) {
		return
	}
	c.provoke()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(time.Second); time.Now().Before(end) && (c.updates.Load() == 0 || !waitsForLock(stacks[:runtime.Stack(stacks, true)])); {
		runtime.Gosched()
	}
}

// waitsForLock reports whether one of the goroutines in stacks waits for the lock in UpdateNode.
func waitsForLock(stacks []byte) bool {
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		head, calls, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(head, []byte("sync.RWMutex.RLock")) && bytes.Contains(calls, []byte(".(*Memberlist).UpdateNode(")) {
			return true
		}
	}
	return false
}

// TestUpdateDuringContradiction restarts a member that becomes ready just when the other members report its previous
// process.
func TestUpdateDuringContradiction(t *testing.T) {
	c := newCluster(t)
	rest := c.startAll(4)
	victim := c.start("victim")
	address := victim.address()
	const wanted = 3
	lost := 0
	for try := 0; lost < wanted; try++ {
		if try == 50 {
			t.Fatalf("of %d updates only %d were dropped", try, lost)
		}
		victim.HandOver()
		victim.end()
		link := plain("eth0", MAC{2, 0xff, byte(try)})
		clash := &collision{name: "victim"}
		options := Options{Name: "victim", Bind: address, Keys: [][]byte{testKey}}
		victim = c.run(options, func(m *Membership) {
			clash.provoke = func() {
				if err := m.SetState(Report{State: Ready, Links: []Link{link}}); err != nil {
					t.Error(err)
				}
			}
			c.adjust = func(config *memberlist.Config) {
				clash.Delegate, clash.EventDelegate = config.Delegate, config.Events
				config.Delegate, config.Events = clash, clash
			}
		})
		took := c.within(5*time.Second, "the others hear that it is ready", func() bool {
			return all(rest, func(n *node) bool { m, _ := n.find("victim"); return m.State == Ready && m.Has(link.MAC) })
		})
		if n := clash.updates.Load(); n > 1 {
			lost++
			t.Logf("update %d was dropped, heard after %v and %d attempts", try, took, n)
		}
	}
}
