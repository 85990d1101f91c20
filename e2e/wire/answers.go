package wire

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/e2e/ether"
)

const (
	// A closed loop keeps so many requests without an answer, as the benchmarks of package layer2 do.
	outstanding = 64
	// The kernel and the speaker take loopTurns turns, each with loopAnswers answers.
	loopTurns, loopAnswers = 10, 4000
	// Each of the two answers singleAnswers single requests, with singlePause before each request.
	singleAnswers, singlePause = 2000, 200 * time.Microsecond
	// An answer may take lostAfter, also on a busy machine. In a turn, at most mostWaits waits may end without one.
	lostAfter, mostWaits = time.Second, 10
)

// Answers compares the ARP answers (RFC 826) of a node's speaker with those of the kernel of the same node.
type Answers struct {
	// Speaker and Kernel count the answers a second, with 64 requests without an answer at any time.
	Speaker, Kernel float64
	// Above tells by how much later than the kernel the speaker answers a single request, by the medians of both.
	Above time.Duration
}

// Answers measures the node that answers for the first of the addresses, with requests that no other node gets. The kernel
// and the speaker answer in turns. Nobody listens to the LAN meanwhile, so that no other process works for the frames.
func (l *Lab) Answers(ctx context.Context) (a Answers, err error) {
	owners, err := l.Settle(ctx)
	if err != nil {
		return a, err
	}
	addr := l.addrs[0]
	n := l.nodeOf(owners[addr])
	if n == nil || !addr.Is4() {
		return a, fmt.Errorf("%s is answered for by %s, which is no node that answers ARP for the address", addr, owners[addr])
	}
	l.sniffer.close()
	l.sniffer = nil
	defer func() { err = errors.Join(err, l.listen()) }()
	q, err := l.newQuestioner(n)
	if err != nil {
		return a, err
	}
	defer q.close()
	kernel := host(lan4, n.number).Addr()
	runtime.LockOSThread() // a wake-up of another thread would count as part of the answer's way
	defer runtime.UnlockOSThread()
	return q.measure(ctx, addr, kernel)
}

// questioner asks one node, from a client's place on the LAN.
type questioner struct {
	fd    int
	from  MAC
	to    MAC
	addr  netip.Addr
	frame [2048]byte
}

func (l *Lab) newQuestioner(n *node) (*questioner, error) {
	c := l.cached
	eth0, err := c.link.LinkByIndex(c.eth0)
	if err != nil {
		return nil, err
	}
	q := &questioner{from: MAC(eth0.Attrs().HardwareAddr), to: n.mac, addr: host(lan4, cachedHost).Addr()}
	err = c.do(func() (err error) { q.fd, err = ether.Listen(c.eth0, ether.TypeARP); return err })
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", n.name, err)
	}
	return q, nil
}

func (q *questioner) close() { _ = unix.Close(q.fd) }

// request is a frame that asks the node alone for an address.
func (q *questioner) request(addr netip.Addr) []byte {
	frame := ether.Question(addr, q.addr, q.from)
	copy(frame, q.to[:])
	return frame
}

// send sends a frame.
func (q *questioner) send(frame []byte) error {
	if _, err := unix.Write(q.fd, frame); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	return nil
}

// receive waits for an answer for an address, and reads over all other frames. It returns false if none comes in time.
func (q *questioner) receive(addr netip.Addr) bool {
	for end := time.Now().Add(lostAfter); ; {
		n, err := unix.Read(q.fd, q.frame[:])
		if err == nil {
			if c, ok := ether.ParseClaim(q.frame[:n]); ok && c.Addr == addr && !c.Request {
				return true
			}
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (q *questioner) measure(ctx context.Context, addr, kernel netip.Addr) (a Answers, err error) {
	var took [2]time.Duration
	both := [2]netip.Addr{addr, kernel}
	for range loopTurns {
		for i, target := range both {
			d, err := q.loop(target)
			if err := errors.Join(err, context.Cause(ctx)); err != nil {
				return a, err
			}
			took[i] += d
		}
	}
	rate := func(d time.Duration) float64 { return loopTurns * loopAnswers / d.Seconds() }
	a.Speaker, a.Kernel = rate(took[0]), rate(took[1])

	var waits [2][]time.Duration
	for range singleAnswers {
		for i, target := range both {
			time.Sleep(singlePause) // as on a quiet network, where a process sleeps when the request comes
			began := time.Now()
			if err := errors.Join(q.send(q.request(target)), context.Cause(ctx)); err != nil {
				return a, err
			}
			if q.receive(target) {
				waits[i] = append(waits[i], time.Since(began))
			}
		}
	}
	for i, w := range waits {
		if len(w) < singleAnswers/2 {
			return a, fmt.Errorf("%d of %d requests for %s were answered", len(w), singleAnswers, both[i])
		}
		slices.Sort(w)
	}
	a.Above = percentile(waits[0], 50) - percentile(waits[1], 50)
	return a, nil
}

// loop keeps requests for an address outstanding until all answers are there, and returns how long that took. Where all
// outstanding requests or their answers are lost, others are sent, and the wait does not count.
func (q *questioner) loop(addr netip.Addr) (took time.Duration, err error) {
	frame := q.request(addr)
	began, waits := time.Now(), 0
	for answers, open := 0, 0; answers < loopAnswers; {
		for ; open < min(outstanding, loopAnswers-answers); open++ {
			if err := q.send(frame); err != nil {
				return 0, err
			}
		}
		asked := time.Now()
		if q.receive(addr) {
			answers, open = answers+1, open-1
			continue
		}
		if waits++; waits > mostWaits {
			return 0, fmt.Errorf("no answer for %s within %v, again and again", addr, lostAfter)
		}
		began, open = began.Add(time.Since(asked)), 0
	}
	return time.Since(began), nil
}
