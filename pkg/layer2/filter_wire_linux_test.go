package layer2

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/arp"
)

// TestWireFilter counts the frames that the kernel queues in the socket: only queued frames wake the process.
func TestWireFilter(t *testing.T) {
	c := newCable(t)
	p, all, conn := c.dial(), c.accepting(), c.listen()
	if err := conn.narrow(newScope([]Range{pool4})); err != nil {
		t.Fatal(err)
	}
	none := netip.IPv4Unspecified()
	claim := arpBytes(t, arp.OperationReply, broadcast, c.clientMAC, held4, c.clientMAC, held4)
	marker := c.request(pool4.To.Prev()) // comes through
	if err := conn.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"request for an address in the range", c.request(held4), true},
		{"request for the first of the range", c.request(pool4.From), true},
		{"request for the last of the range", c.request(pool4.To), true},
		{"probe", arpBytes(t, arp.OperationRequest, broadcast, c.clientMAC, none, MAC{}, held4), true},
		{"claim by reply", claim, true},
		{"claim by request", arpBytes(t, arp.OperationRequest, broadcast, c.clientMAC, held4, MAC{}, alien4), true},
		{"question of the node's kernel's address", c.request(kernel4), false},
		{"request for an address below", c.request(pool4.From.Prev()), false},
		{"request for an address above", c.request(pool4.To.Next()), false},
		{"gratuitous request of another", arpBytes(t, arp.OperationRequest, broadcast, c.clientMAC, alien4, MAC{}, alien4), false},
		{"request to another station", arpBytes(t, arp.OperationRequest, otherMAC, c.clientMAC, asker4, MAC{}, held4), false},
		{"request on VLAN 7", tagged(c.request(held4), 7), false},
		{"request with a priority and no VLAN", tagged(c.request(held4), 0), true},
		{"claim on VLAN 7", tagged(claim, 7), false},
		{"truncated", c.request(alien4)[:arpEnd-1], true},
	} {
		all.received(t)
		p.send(x.frame)
		all.await(t, x.name)
		p.send(marker)
		if got := conn.before(t, marker) > 0; got != x.want {
			t.Errorf("%s comes through: %t, want %t", x.name, got, x.want)
		}
	}
	conn.received(t)
	if _, err := conn.Write(arpBytes(t, arp.OperationRequest, broadcast, c.nodeNIC.MAC, held4, MAC{}, held4)); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.receive(); !ok {
		t.Fatal("our own announcement was not sent")
	}
	if n := conn.received(t); n != 0 {
		t.Errorf("our own announcement came back %d times", n)
	}
}

// TestWireForeignNoise sends the node 20,000 requests for foreign addresses.
func TestWireForeignNoise(t *testing.T) {
	const noise = 20000
	c := newCable(t)
	p, node := c.dial(), c.start()
	node.tell("ranges " + fmt.Sprint(pool4.From, " ", pool4.To))
	node.tell(held4.String())
	p.ask(c.request(held4))
	frame, before := c.request(alien4), node.switches()
	for range noise {
		p.send(frame)
	}
	p.ask(c.request(held4))
	// The runtime wakes now and then on its own, and the announcements of the address are sent in the meantime.
	if n := node.switches() - before; n > noise/100 {
		t.Errorf("the process was woken %d times by %d foreign requests", n, noise)
	}
}

// TestWireFilterRenewal changes the ranges a thousand times during a stream of requests for an address that stays in
// the ranges. The next request follows each answer at once. Every request must be answered.
func TestWireFilterRenewal(t *testing.T) {
	const changes = 1000
	c := newCable(t)
	p, conn := c.dial(), c.listen()
	if err := conn.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil { // a lost frame never comes
		t.Fatal(err)
	}
	var asked, changed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range byte(4) {
			for j := range byte(250) {
				s := newScope([]Range{pool4, rangeOf("10.0.0.0", fmt.Sprintf("10.0.%d.%d", i, j))})
				if err := conn.narrow(s); err != nil {
					t.Error(err)
				}
				changed.Add(1)
			}
		}
	}()
	request, b := c.request(held4), make([]byte, frameSize)
	for changed.Load() < changes {
		p.send(request)
		asked.Add(1)
		if n, err := conn.Read(b); err != nil || n < arpEnd {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	<-done
	stats, err := conn.conn.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if int64(stats.Packets) != asked.Load() || stats.Drops != 0 {
		t.Errorf("%d of %d frames came through, %d were dropped", stats.Packets, asked.Load(), stats.Drops)
	}
	t.Logf("%d frames during %d changes, none lost", asked.Load(), changes)
}

// TestWireManyRanges attaches the longest program that the kernel accepts.
func TestWireManyRanges(t *testing.T) {
	c := newCable(t)
	p, conn := c.dial(), c.listen()
	var ranges []Range
	for i := range uint32(10000) {
		a := addr4(10<<24 + i*i)
		ranges = append(ranges, Range{a, a})
	}
	s := newScope(ranges, []Range{pool4})
	for range 3 { // during the exchange, both programs count
		if err := conn.narrow(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	inLast := c.request(held4)
	p.send(c.request(addr4(250 << 24)))
	p.send(inLast)
	if n := conn.before(t, inLast); n != 0 {
		t.Errorf("a request outside of all ranges came through %d times", n)
	}
}

// threadNetwork is the network of the node's end with one interface that never changes, for an announcer in this
// process.
type threadNetwork struct {
	*host
	c *cable
}

func (n threadNetwork) Watch(ctx context.Context, tell func(HostState)) error {
	tell(HostState{Interfaces: []Interface{n.c.nodeNIC}})
	<-ctx.Done()
	return nil
}

func (n threadNetwork) ListenARP(i Interface) (conn Conn, err error) {
	n.c.in(n.c.node, func() { conn, err = n.host.ListenARP(i) })
	return conn, err
}

// TestWireAllocatesNothing counts the allocations of the whole path, from the socket to the socket, while the node
// answers requests.
func TestWireAllocatesNothing(t *testing.T) {
	c := newCable(t)
	p := c.dial()
	a := New(Options{Network: threadNetwork{newHost(slog.New(slog.DiscardHandler), nil), c}, Refresh: -1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	defer func() { cancel(); <-done }()
	a.SetRanges([]Range{pool4})
	a.Set([]Target{{Addr: held4}})
	ours, foreign := c.request(held4), c.request(free4)
	// An announcement allocates, so the test waits for the last announcement.
	for announced := 0; announced < 2*len(offsets); {
		if b, ok := p.receive(); ok && [4]byte(b[arpSenderIP:]) == [4]byte(b[arpTargetIP:]) {
			announced++
		}
	}
	var before, after runtime.MemStats
	const frames = 10000
	runtime.ReadMemStats(&before)
	for range frames {
		p.ask(ours)
		p.send(foreign)
	}
	runtime.ReadMemStats(&after)
	most := uint64(frames / 100)
	if raceEnabled {
		most = frames // under the race detector, sync.Pool drops some items
	}
	if n := after.Mallocs - before.Mallocs; n > most {
		t.Errorf("%d allocations while %d frames were answered and as many left alone", n, frames)
	} else {
		t.Logf("%d allocations", n)
	}
}

// TestWireLostFrames sends more frames than the socket's buffer holds. After the next read, the number of lost frames
// equals the number of the kernel.
func TestWireLostFrames(t *testing.T) {
	const sent = 5000
	c := newCable(t)
	p, conn := c.dial(), c.listen()
	if err := conn.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil { // a lost frame never comes
		t.Fatal(err)
	}
	request, b := c.request(held4), make([]byte, frameSize)
	for range sent {
		p.send(request)
	}
	stats, err := conn.conn.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Drops == 0 {
		t.Fatalf("the buffer holds %d frames, so nothing was lost", sent)
	}
	for range stats.Packets - stats.Drops {
		if _, err := conn.Read(b); err != nil || conn.Lost() != 0 {
			t.Fatalf("%v, %d lost before any was", err, conn.Lost())
		}
	}
	p.send(request)
	if n, err := conn.Read(b); err != nil || n < arpEnd || conn.Lost() != stats.Drops {
		t.Errorf("%d bytes, %v, %d frames were lost, want %d", n, err, conn.Lost(), stats.Drops)
	}
}
