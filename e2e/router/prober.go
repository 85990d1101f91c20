package router

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// lastAnswer is the wait for answers after the last datagram.
const lastAnswer = 300 * time.Millisecond

// Load describes the datagrams of a client.
type Load struct {
	Target netip.Addr
	// Flows is the number of source ports, used in turn. Rate is the number of datagrams per second of all flows.
	Flows, Rate int
}

// Prober sends datagrams from a client, and notes the answering nodes.
type Prober struct {
	load  Load
	flows []*flow
	stop  context.CancelFunc
	sent  sync.WaitGroup
	read  sync.WaitGroup
	// sends counts the datagrams.
	sends atomic.Int64
}

// flow is one port of the client.
type flow struct {
	conn *net.UDPConn
	// sent are the times of the datagrams, which one goroutine appends to.
	sent []time.Time

	// mu guards answers: the names of the nodes by the numbers of the datagrams.
	mu      sync.Mutex
	answers map[uint64]string
}

// Probe begins to send.
func Probe(client *wire.Station, load Load) (*Prober, error) {
	p := &Prober{load: load}
	for range load.Flows {
		f := &flow{answers: make(map[uint64]string)}
		err := client.Do(func() (err error) {
			if f.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(load.Target, EchoPort))); err != nil {
				return err
			}
			return roomy(f.conn)
		})
		if err != nil {
			p.close()
			return nil, fmt.Errorf("send to %s: %w", load.Target, err)
		}
		p.flows = append(p.flows, f)
		p.read.Go(f.read)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.sent.Go(func() { p.send(ctx) })
	return p, nil
}

// send sends at the rate, without waiting for answers. A datagram refused by the kernel counts as lost. After a stall
// of this process, send skips the missed datagrams, because a burst would overflow queues.
func (p *Prober) send(ctx context.Context) {
	const mostLate = 10 * time.Millisecond
	last, due := time.Now(), 0.0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		due += min(now.Sub(last), mostLate).Seconds() * float64(p.load.Rate)
		last = now
		for ; due >= 1; due-- {
			f := p.flows[n%len(p.flows)]
			n++
			b := binary.BigEndian.AppendUint64(nil, uint64(len(f.sent)))
			f.sent = append(f.sent, time.Now())
			_, _ = f.conn.Write(b)
			p.sends.Add(1)
		}
	}
}

// read notes answers until the socket is closed. Other errors report an unreachable host.
func (f *flow) read() {
	b := make([]byte, 1500)
	for {
		n, err := f.conn.Read(b)
		switch {
		case err != nil && isClosed(err):
			return
		case err != nil || n < 8:
			continue
		}
		f.mu.Lock()
		f.answers[binary.BigEndian.Uint64(b)] = string(b[8:n])
		f.mu.Unlock()
	}
}

// Answered counts the answers so far by node.
func (p *Prober) Answered() map[string]int {
	all := make(map[string]int)
	for _, f := range p.flows {
		f.mu.Lock()
		for _, name := range f.answers {
			all[name]++
		}
		f.mu.Unlock()
	}
	return all
}

// AwaitAnswers waits for a number of new answers.
func (p *Prober) AwaitAnswers(ctx context.Context, atLeast int) error {
	total := func() (n int) {
		for count := range maps.Values(p.Answered()) {
			n += count
		}
		return n
	}
	for before := total(); total()-before < atLeast; {
		if err := wire.Pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d datagrams to %s were answered: %w", total(), p.sends.Load(), p.load.Target, err)
		}
	}
	return nil
}

// Traffic is the result of a Prober.
type Traffic struct {
	Sent int
	// Lost holds the sending times of the unanswered datagrams, unordered.
	Lost []time.Time
	// Nodes counts the answers by node.
	Nodes map[string]int
	// Moved counts the flows answered by more than one node.
	Moved int
}

// String is for the log of a test.
func (t Traffic) String() string {
	return fmt.Sprintf("%d of %d datagrams lost, answers %v, %d flows moved", len(t.Lost), t.Sent, t.Nodes, t.Moved)
}

// Outage returns the time from a moment to the last datagram after it that was lost, 0 if none was.
func (t Traffic) Outage(since time.Time) (longest time.Duration) {
	for _, at := range t.Lost {
		longest = max(longest, at.Sub(since))
	}
	return longest
}

// Stop ends the sending, waits for the last answers, and returns the result.
func (p *Prober) Stop() Traffic {
	p.stop()
	p.sent.Wait()
	time.Sleep(lastAnswer) // an answer may still be on its way
	p.close()
	t := Traffic{Nodes: make(map[string]int)}
	for _, f := range p.flows {
		t.Sent += len(f.sent)
		names := make(map[string]bool)
		for i, at := range f.sent {
			name, answered := f.answers[uint64(i)]
			if !answered {
				t.Lost = append(t.Lost, at)
				continue
			}
			t.Nodes[name]++
			names[name] = true
		}
		if len(names) > 1 {
			t.Moved++
		}
	}
	return t
}

func (p *Prober) close() {
	for _, f := range p.flows {
		_ = f.conn.Close() // ends the reading, whatever it says
	}
	p.read.Wait()
}
