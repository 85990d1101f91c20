package speaker

import (
	"flag"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

var allInputs = flag.Bool("all-inputs", false, "run every case of the tests with different inputs, and not one in eight or, with the race detector, none")

// samples counts the cases of each test.
var samples = map[*testing.T]int{}

// sample runs one case in eight, or all cases with -all-inputs, which takes minutes. The race detector sees nothing new in
// these cases: TestHistories has the same goroutines.
func sample(t *testing.T, name string, f func(*testing.T)) {
	n := samples[t]
	samples[t]++
	if *allInputs || *thorough && n%8 == 0 {
		t.Run(name, f)
	}
}

// The tests in the files named differing_*_test.go let nodes decide from different inputs: one node has an old, empty, partial or wrong
// version of the cluster, of the gossip or of its own interfaces. A client judges who answers.

// course records the answers that a client got for an address in some time.
type course struct {
	// unanswered and doubled are the longest times without an answer, and with answers of several nodes.
	unanswered, doubled time.Duration
	// owners are the nodes that answered alone, one after the other.
	owners []string
}

// moves counts the changes of ownership.
func (c course) moves() int { return max(0, len(c.owners)-1) }

// last returns the node that answered last, empty for none.
func (c course) last() string {
	if len(c.owners) == 0 {
		return ""
	}
	return c.owners[len(c.owners)-1]
}

// watch lets a client ask for the addresses for some time, and returns the course of each address. Most changes happen
// in the first seconds; later the client asks less often.
func (v *testCluster) watch(d time.Duration, addrs ...netip.Addr) map[netip.Addr]course {
	const often, seldom = 10 * time.Second, 8 * askInterval
	h := &history{testCluster: v, began: v.lan.Began(), addrs: addrs}
	end := time.Now().Add(d)
	for h.pass(min(d, often)); time.Now().Before(end); time.Sleep(seldom - askInterval) {
		h.pass(1)
	}
	synctest.Wait()
	h.match()
	courses, since, counts := map[netip.Addr]course{}, map[netip.Addr]time.Duration{}, map[netip.Addr]int{}
	for _, q := range h.asked {
		c, seen := courses[q.addr]
		if n := len(q.answered); !seen || n != counts[q.addr] {
			since[q.addr], counts[q.addr] = q.at, n
		}
		lasting := q.at + askInterval - since[q.addr]
		switch len(q.answered) {
		case 0:
			c.unanswered = max(c.unanswered, lasting)
		case 1:
			for name := range q.answered {
				if c.last() != name {
					c.owners = append(c.owners, name)
				}
			}
		default:
			c.doubled = max(c.doubled, lasting)
		}
		courses[q.addr] = c
	}
	return courses
}

// limits bound a course.
type limits struct {
	unanswered, doubled time.Duration
	moves               int
	// owners are the allowed owners in the end; empty for any node.
	owners []string
}

// hold watches the addresses and fails the test if the course of one exceeds the limits.
func (v *testCluster) hold(what string, d time.Duration, l limits, addrs ...netip.Addr) map[netip.Addr]course {
	v.t.Helper()
	courses := v.watch(d, addrs...)
	for _, a := range addrs {
		c := courses[a]
		if c.unanswered > l.unanswered || c.doubled > l.doubled || c.moves() > l.moves {
			v.t.Errorf("%s: %s: nobody answers for %v, several nodes for %v; the owners are %v", what, a, c.unanswered, c.doubled,
				c.owners[:min(len(c.owners), 12)])
		}
		if len(l.owners) > 0 && !slices.Contains(l.owners, c.last()) {
			v.t.Errorf("%s: %s: %q has it in the end, want one of %v", what, a, c.last(), l.owners)
		}
	}
	return courses
}

// steady requires one owner for each address, and no change of owners.
func (v *testCluster) steady(what string, d time.Duration, addrs ...netip.Addr) map[netip.Addr]course {
	v.t.Helper()
	return v.hold(what, d, limits{}, addrs...)
}

// see makes the node see the cluster through view from now on; nil ends that.
func (p *testNode) see(view func(*cluster.Snapshot)) {
	p.mu.Lock()
	p.view = view
	p.mu.Unlock()
	p.poke()
}

// block lets no gossip pass from one node to the other from now on; unblock lets all gossip pass.
func (v *testCluster) block(from, to string) {
	v.mu.Lock()
	v.blocked[[2]string{from, to}] = true
	v.mu.Unlock()
	v.notice()
}

func (v *testCluster) unblock() {
	v.mu.Lock()
	blocked := v.blocked
	v.blocked = map[[2]string]bool{}
	v.mu.Unlock()
	for pair := range blocked {
		v.speakers[pair[1]].meet(v.speakers[pair[0]])
	}
}

// collectMACs gives the Nodes the MAC addresses that the controller collects from the speakers.
func (v *testCluster) collectMACs() {
	for i := range v.snap.Nodes {
		n := &v.snap.Nodes[i]
		n.MACs = v.speakers[n.Name].macs()
	}
}

// restart ends the speakers without a word and starts them after a pause.
func (v *testCluster) restart(pause time.Duration, prepare func(*testNode), names ...string) {
	for _, name := range names {
		v.speakers[name].die()
	}
	time.Sleep(pause)
	for _, name := range names {
		if prepare != nil {
			prepare(v.speakers[name])
		}
		v.speakers[name].boot()
	}
}

// unconfigured is the cluster as seen by a speaker that has found no valid ConfigMap since its start.
func unconfigured(s *cluster.Snapshot) {
	s.Config, s.Versions.Config = nil, cluster.ConfigVersion{}
}

// quiet returns a log that nobody reads, unless the test is verbose.
func quiet(t *testing.T) slog.Handler {
	if testing.Verbose() {
		return slog.NewTextHandler(t.Output(), nil)
	}
	return slog.DiscardHandler
}

// assigned adds a Service for each address.
func (v *testCluster) assigned(addrs ...netip.Addr) {
	for _, a := range addrs {
		v.assign(a)
	}
}

// following returns the n addresses from a on.
func following(a netip.Addr, n int) (list []netip.Addr) {
	for ; n > 0; a, n = a.Next(), n-1 {
		list = append(list, a)
	}
	return list
}

// macs returns the MAC addresses of the node's interfaces.
func (p *testNode) macs() (list [][6]byte) {
	for _, i := range p.nics {
		list = append(list, i.MAC())
	}
	for _, mac := range p.slaves {
		list = append(list, mac)
	}
	return list
}

// addInterface gives the node one more interface.
func (p *testNode) addInterface(name string, prefixes ...netip.Prefix) *lantest.NIC {
	nic := p.machine.Add(name, prefixes...)
	p.nics = append(p.nics, nic)
	return nic
}

func parseConfig(t *testing.T, document string) *config.Config {
	cfg, err := config.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
