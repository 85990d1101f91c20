package vm_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/vm"
)

const (
	// powerBound limits the time without an answer after a loss of power. A shared machine that translates instructions
	// needs longer than the documented time.
	powerBound = 30 * time.Second
	// asks is the interval of the questions of the client.
	asks = 100 * time.Millisecond
	// mostTwice limits the questions that two nodes answer after a pause ends.
	mostTwice = 50
)

// watch is the view of a client on one address.
type watch struct {
	// dark is the longest time without an answer.
	dark time.Duration
	// moves counts the answers from another node than before, and twice counts the questions with answers from two nodes.
	moves, twice int
}

// follow asks for an address until the function returns, and for some time after that.
func (j *judge) follow(t *testing.T, a netip.Addr, after time.Duration, event func()) watch {
	t.Helper()
	begin, done, stop := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(asks); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				_ = j.w.stations[lan].Ask(a, j.asker(a), nil) // a question that is lost has no answer
			}
		}
	}()
	event()
	time.Sleep(after)
	close(stop)
	<-done
	time.Sleep(grace)
	claims, _ := j.w.stations[lan].Since(begin)
	claims = slices.DeleteFunc(claims, func(c vm.Claim) bool { return c.Addr != a || c.Announced })
	return seen(claims, begin, time.Now())
}

// seen summarises answers, which are in the order of their coming.
func seen(claims []vm.Claim, begin, end time.Time) (w watch) {
	last := begin
	for i, c := range claims {
		w.dark = max(w.dark, c.At.Sub(last))
		last = c.At
		if i > 0 && claims[i-1].MAC != c.MAC {
			w.moves++
		}
		if slices.ContainsFunc(claims[:i], func(o vm.Claim) bool { return o.To == c.To && o.MAC != c.MAC && c.At.Sub(o.At) < unanswered }) {
			w.twice++
		}
	}
	w.dark = max(w.dark, end.Sub(last))
	return w
}

// TestPower has two machines share an address, and takes the power from its owner, pauses the owner for some time, and
// sets the owner's clock.
func TestPower(t *testing.T) {
	w := newWorld(t)
	j := &judge{w: w}
	var all results
	nodes := map[string]*member{}
	boot := func(name string, number int) *member {
		m := w.boot(t, vm.Options{
			Name: name, Number: number, Kernel: kernelOf(t, wanted()[0]), Initrd: w.image(t, wanted()[0], extras{}), Memory: 384, CPUs: 1,
			Ports: []vm.Port{{Bridge: lan}, {Bridge: management}},
		})
		n := w.join(t, m, name, number, 1)
		n.run(t, "ip link set eth0 up\nip addr add "+netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + number)}), 24).String()+" dev eth0")
		n.startSpeaker(t)
		return n
	}
	for i, name := range []string{"one", "two"} {
		nodes[vm.Options{Number: i}.MAC(0)] = boot(name, i)
	}
	both := where{bridge: lan, macs: []string{vm.Options{Number: 0}.MAC(0), vm.Options{Number: 1}.MAC(0)}}
	for _, n := range nodes {
		await(t, n.name+" is ready", func() bool { return strings.Contains(n.log(t), "state=ready") })
	}
	owner := func() *member {
		j.settled(t, both, service4)
		return nodes[j.answers(t, service4, both, unanswered)[lan][0].MAC.String()]
	}
	judge := func(name string, after time.Duration, event func(*member)) {
		n := owner()
		begin := time.Now()
		saw := j.follow(t, service4, after, func() { event(n) })
		all.add(name, wanted()[0], saw.String(), time.Since(begin))
		if saw.dark > powerBound {
			t.Errorf("%s: nobody answered for %v", name, saw.dark)
		}
		if saw.twice > mostTwice {
			t.Errorf("%s: two nodes answered %d questions", name, saw.twice)
		}
		j.one(t, both, service4)
	}
	pauses := []time.Duration{200 * time.Millisecond, time.Second, 10 * time.Second}
	if !testing.Short() {
		pauses = append(pauses, time.Minute)
	}
	for _, pause := range pauses {
		judge("paused for "+pause.String(), 8*time.Second, func(n *member) {
			if err := n.Pause(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pause)
			if err := n.Continue(); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, jump := range []string{"+3600", "-3600"} {
		judge("the clock jumps by "+jump+" s", 6*time.Second, func(n *member) {
			n.run(t, "date -s @$(($(date +%s) "+jump+"))")
		})
	}
	judge("the speaker is killed", 8*time.Second, func(n *member) {
		if err := n.Signal(t.Context(), "speaker", syscall.SIGKILL, true); err != nil {
			t.Fatal(err)
		}
		n.startSpeaker(t)
	})
	judge("loses power", 10*time.Second, func(n *member) { n.Kill() })
	all.print(t)
}

// String returns the result for the table.
func (w watch) String() string {
	return fmt.Sprintf("dark for %v, %d moves, %d answered twice", w.dark.Round(10*time.Millisecond), w.moves, w.twice)
}
