package layer2

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// standStill stops the process, calls asked to send questions, and continues the process when the questions are stale.
func (n *nodeProcess) standStill(asked func()) {
	n.tb.Helper()
	if err := unix.Kill(n.pid, unix.SIGSTOP); err != nil {
		n.tb.Fatal(err)
	}
	// The threads may continue for a moment.
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

// answered returns the addresses in the answers, up to and including the first answer for last.
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

// TestWireStaleFrames stops the process with SIGSTOP during a question. The continued process leaves the stale question
// unanswered, and answers later questions.
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

// TestWireStandstill does the same to a process that must revalidate its addresses first. The continued process answers
// no question, not even a new question, until the line "resume".
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
