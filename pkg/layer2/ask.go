package layer2

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// The reasons why a port cannot send a question.
var (
	errNoSocket   = errors.New("no socket is open")
	errOutOfScope = errors.New("the address is in none of the ranges, so that no answer would be heard")
)

// ask queues a question for sending, and reports whether the port will report the result to q.sent.
func (p *port) ask(q *inquiry) bool {
	if !p.asks.add(q) {
		return false
	}
	p.bell.ring()
	return true
}

// sendQuestion sends the oldest question, or returns the time to wait until the rate allows the question.
func (p *port) sendQuestion(now time.Time) time.Duration {
	q := p.questions[0]
	if !q.given.Load() {
		if wait := p.reserve(now, 1); wait > 0 {
			return wait
		}
		q.sent <- p.question(q) // has room for all results
	}
	p.questions[0] = nil
	p.questions = p.questions[1:]
	return 0
}

// question sends a question and returns the result.
func (p *port) question(q *inquiry) sent {
	protocol := protocolOf(q.addr)
	conn := p.conns[protocol]
	fail := func(operation string, err error) sent {
		return sent{err: socketError{operation: operation, protocol: protocol, name: p.current.Name, err: err}}
	}
	switch {
	case conn == nil:
		return fail("ask through", errNoSocket)
	case !p.current.scope.contains(q.addr):
		return fail("listen to", errOutOfScope)
	}
	frame, err := p.current.question(q.addr, q.to)
	if err != nil {
		return sent{err: err}
	}
	at := time.Now() // the answer may arrive before Write returns
	if _, err := conn.Write(frame); err != nil {
		p.a.metrics.socketErrors[protocol].Inc()
		return fail("write to", err)
	}
	return sent{name: p.current.Name, at: at}
}

// answerNone reports to all waiting callers that the port sends nothing more.
func (p *port) answerNone() {
	for _, q := range append(p.questions, p.asks.close()...) {
		q.sent <- sent{err: fmt.Errorf("interface %s is gone", p.current.Name)}
	}
}

// question returns the frame that asks for addr: to all stations, or only to the station to.
func (t *table) question(addr netip.Addr, to MAC) ([]byte, error) {
	if addr.Is4() {
		destination := to
		if to == (MAC{}) {
			destination = broadcast
		}
		return arpFrame(arp.OperationRequest, destination, t.MAC, netip.IPv4Unspecified(), to, addr)
	}
	destination := addr
	if to == (MAC{}) {
		destination = solicitedNode(addr)
		group := destination.As16()
		to = MAC{0x33, 0x33, group[12], group[13], group[14], group[15]}
	}
	return ndpFrame(to, t.MAC, t.LinkLocal, destination, &ndp.NeighborSolicitation{
		TargetAddress: addr,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: t.MAC[:]}},
	})
}
