package layer2

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// standStill stops the process, asks it, and lets it go on when what was asked is stale.
func (n *nodeProcess) standStill(asked func()) {
	n.tb.Helper()
	if err := unix.Kill(n.pid, unix.SIGSTOP); err != nil {
		n.tb.Fatal(err)
	}
	// Its threads may go on for a moment.
	stopped := func() bool {
		return !slices.ContainsFunc(n.tasks("status"), func(line string) bool {
			return strings.HasPrefix(line, "State:") && !strings.Contains(line, "T (stopped)")
		})
	}
	for deadline := time.Now().Add(20 * time.Second); !stopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			n.tb.Fatal("the node does not stop")
		}
	}
	asked()
	time.Sleep(2 * staleAge)
	if err := unix.Kill(n.pid, unix.SIGCONT); err != nil {
		n.tb.Fatal(err)
	}
}

// answered returns whose addresses the answers tell that have come, until one tells of the last.
func (p *probe) answered(last [4]byte, request []byte) (answers [][4]byte) {
	p.tb.Helper()
	p.send(request)
	for missing := 0; ; {
		b, ok := p.receive()
		if !ok {
			if missing++; missing == 10 {
				p.tb.Fatalf("no answer to %x", request)
			}
			p.send(request)
			continue
		}
		if b[arpOperation+1] != byte(arp.OperationReply) || MAC(b[ethDestination:]) == broadcast {
			continue
		}
		answers = append(answers, [4]byte(b[arpSenderIP:]))
		if answers[len(answers)-1] == last {
			return answers
		}
	}
}

// TestWireStaleFrames stops the process with SIGSTOP while it is asked. Going on, it leaves that unanswered, and answers what it is asked
// then.
func TestWireStaleFrames(t *testing.T) {
	c := newCable(t)
	p := c.dial()
	n, addrs := c.announcing(p, 2)
	n.standStill(func() {
		for range 3 {
			p.send(c.request(addrs[0]))
		}
	})
	answers := p.answered(addrs[1].As4(), c.request(addrs[1]))
	if answers[0] != addrs[1].As4() {
		t.Errorf("a question of the time when the process stood still was answered: %v", answers)
	}
	p.ask(c.request(addrs[0]))
}

// TestWireStandstill does the same to one that is to make sure of its addresses first. It answers nothing, however new, until it is told to.
func TestWireStandstill(t *testing.T) {
	c := newCable(t)
	p := c.dial()
	n := c.startAs("cautious")
	held := alien4.Next()
	n.tell("quiet")
	n.tell(held.String())
	p.ask(c.request(held))
	n.standStill(func() { p.send(c.request(held)) })
	n.expect("stood")
	p.send(c.request(held))
	for b, ok := p.receive(); ok; b, ok = p.receive() {
		if b[arpOperation+1] == byte(arp.OperationReply) && [4]byte(b[arpSenderIP:]) == held.As4() {
			t.Fatalf("answered or announced after a standstill: %x", b)
		}
	}
	n.tell("resume")
	p.ask(c.request(held))
}
