package speaker

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
)

var (
	histories = flag.Uint64("histories", 0, "how many histories of a cluster to live through, 0 for 200 or, in the short form, 25; their seeds count from 0")
	// The race detector makes a simulated cluster six times as slow. So make test runs this package with the detector in
	// the short form, and without the detector in full.
	thorough = flag.Bool("thorough", !raceEnabled, "run the tests in full; false, the default with the race detector, for the short form")
)

// lengths returns the length of a test in full and in its short form.
func lengths[T any](full, short T) T {
	if *thorough {
		return full
	}
	return short
}

// askInterval is the interval of a client's questions for each address. No timer of a speaker has a multiple of this
// interval.
const askInterval = 47 * time.Millisecond

// TestHistories plays random histories of a cluster: nodes crash, leave and return, the segment and the gossip break
// and heal, Services and Nodes change. Afterwards the frames on the wire show who answered. To repeat one history with
// the log of the speakers, use -run 'TestHistories/^17$' -v.
func TestHistories(t *testing.T) {
	n := *histories
	if n == 0 {
		n = lengths[uint64](200, 25)
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { live(t, seed) })
		})
	}
}

// history is one random history of a cluster, with the excuses of its faults.
type history struct {
	*testCluster
	random *rand.Rand
	began  time.Time
	addrs  []netip.Addr
	// failback is negative for never.
	failback time.Duration
	// far is a client on the other side of a parted segment.
	far    *lantest.Host
	parted bool
	// script lists the faults, one per line.
	script   []string
	excuses  [failures][]excuse
	silences []excuse // when nobody may answer
	asked    []question
}

func live(t *testing.T, seed uint64) {
	h := &history{random: rand.New(rand.NewPCG(seed, 11)), began: time.Now()}
	var log slog.Handler = slog.DiscardHandler
	if testing.Verbose() {
		log = slog.NewTextHandler(t.Output(), nil)
	}
	names := []string{"a", "b", "c", "d", "e", "f"}[:3+h.random.IntN(4)]
	four, six := addr4, addr6
	for range 1 + h.random.IntN(2) {
		h.addrs = append(h.addrs, four, six)
		four, six = four.Next(), six.Next()
	}
	h.failback = []time.Duration{0, 2 * time.Second, -1}[h.random.IntN(3)]
	h.testCluster = newTestClusterOf(t, seed, log, fmt.Sprintf("layer2: {failback: %s, move-on-cordon: true}\n", h.failbackText()), names, h.addrs...)
	h.far = h.lan.Host("far", lantest.Linux, netip.MustParseAddr("10.0.0.249"))
	h.note("%d nodes, %d addresses, failback %s", len(names), len(h.addrs), h.failbackText())
	for f := range failures { // they all start at once
		h.excuse(f, netip.Addr{}, startBound)
	}
	h.excuseFailback()
	h.pass(h.settling())
	for range 3 {
		faults[h.random.IntN(len(faults))](h)
	}
	h.pass(time.Second)
	synctest.Wait()
	problems := h.judge()
	if h.failback >= 0 {
		problems = append(problems, h.misplaced()...)
	}
	if len(problems) > 0 {
		t.Errorf("history %d:\n%s\n\n%s", seed, strings.Join(h.script, "\n"), strings.Join(problems[:min(len(problems), 12)], "\n"))
		if testing.Verbose() {
			t.Log(h.lan)
		}
	}
}

func (h *history) failbackText() string {
	if h.failback < 0 {
		return "never"
	}
	return h.failback.String()
}

// settling is the time after the last fault has healed until nothing moves.
func (h *history) settling() time.Duration { return max(h.failback, 0) + 2500*time.Millisecond }

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) note(format string, a ...any) {
	line := fmt.Sprintf("%10s %s", h.now(), fmt.Sprintf(format, a...))
	h.script = append(h.script, line)
	h.log.Handle(h.t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, line, 0))
}

// excuse lets a failure of an address, or of all if it is invalid, pass from now on for so long.
func (h *history) excuse(f failure, a netip.Addr, d time.Duration) {
	h.excuses[f] = append(h.excuses[f], excuse{a, h.now(), h.now() + d})
}

// excuseFailback excuses the later moves that follow from the healing at this moment.
func (h *history) excuseFailback() {
	if h.failback >= 0 {
		h.excuses[moved] = append(h.excuses[moved], excuse{netip.Addr{}, h.now() + h.failback, h.now() + h.failback + failbackBound})
	}
}

// pass lets time pass, while the clients ask.
func (h *history) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, a := range h.addrs {
			h.ask(h.client, "client", a)
			if h.parted {
				h.ask(h.far, "far", a)
			}
		}
		time.Sleep(askInterval)
	}
}

func (h *history) ask(client *lantest.Host, name string, a netip.Addr) {
	h.asked = append(h.asked, question{at: h.now(), client: name, addr: a})
	client.Ask(a)
}

// someone returns a node, most often an owner, and its addresses.
func (h *history) someone() (p *testNode, owned []netip.Addr) {
	owners := map[netip.Addr]*testNode{}
	for _, a := range h.addrs {
		owners[a] = h.holder(a)
	}
	if p = owners[h.addrs[h.random.IntN(len(h.addrs))]]; p == nil || h.random.IntN(4) == 0 {
		p = h.anyone()
	}
	for _, a := range h.addrs {
		if owners[a] == p {
			owned = append(owned, a)
		}
	}
	return p, owned
}

// holder returns the node that answers for an address, nil for none.
func (h *history) holder(a netip.Addr) *testNode {
	h.client.Forget(a)
	mac, ok := h.client.Resolve(a)
	for _, p := range h.speakers {
		if ok && p.nic.MAC() == mac {
			return p
		}
	}
	return nil
}

// truth returns the state of the API server.
func (h *history) truth() cluster.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.snap
}

func (h *history) names() []string {
	var names []string
	for _, n := range h.truth().Nodes {
		names = append(names, n.Name)
	}
	return names
}

func (h *history) anyone() *testNode {
	names := h.names()
	return h.speakers[names[h.random.IntN(len(names))]]
}

// some returns some of the nodes, neither all nor none, sorted.
func (h *history) some() []string {
	names := h.names()
	h.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+h.random.IntN(len(names)-1)]
	slices.Sort(names)
	return names
}
