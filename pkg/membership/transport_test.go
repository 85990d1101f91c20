package membership

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// openTransport opens a transport on the loopback interface that expects a member only at the address expected.
func openTransport(t *testing.T, expected netip.Addr) (*transport, *atomic.Int64) {
	t.Helper()
	var refused atomic.Int64
	tr := newTransport(slog.New(slog.DiscardHandler))
	tr.expected, tr.refuse = func(a netip.Addr) bool { return a == expected }, func(refusal) { refused.Add(1) }
	tr.nodes = func() int { return 3 }
	tr.inFamily = func(string, bool) netip.AddrPort { return netip.AddrPort{} }
	if err := tr.listen(netip.MustParseAddrPort("127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return tr, &refused
}

// dialFrom opens a socket from a local address to the transport.
func (tr *transport) dialFrom(t *testing.T, from string) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, tr.sockets[0].udp.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestDatagramsOfStrangersAreFew sends many datagrams from an address without a member. The transport accepts few of
// them and counts the others. A later datagram of a member must pass.
func TestDatagramsOfStrangersAreFew(t *testing.T) {
	tr, refused := openTransport(t, netip.MustParseAddr("127.0.0.2"))
	const sent = 10 * strangeDatagrams
	member, stranger := tr.dialFrom(t, "127.0.0.2"), tr.dialFrom(t, "127.0.0.3")
	go func() {
		for i := range sent {
			if _, err := stranger.Write([]byte("nonsense")); err != nil {
				t.Error(err)
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // so that the socket's buffer has space
			}
		}
		if _, err := member.Write([]byte("word")); err != nil {
			t.Error(err)
		}
	}()
	looked := 0
	for end := time.After(30 * time.Second); ; looked++ {
		select {
		case <-end:
			t.Fatal("the member's datagram was not handed over")
		case p := <-tr.PacketCh():
			if !bytes.Equal(p.Buf, []byte("word")) {
				continue
			}
		}
		break
	}
	if looked+int(refused.Load()) != sent || refused.Load() < sent/4 {
		t.Errorf("of %d datagrams %d were looked at and %d refused", sent, looked, refused.Load())
	}
}

// TestStreamsOfStrangersAreFew opens many connections from an address without a member. The transport closes and counts
// the connections over the limit.
func TestStreamsOfStrangersAreFew(t *testing.T) {
	tr, refused := openTransport(t, netip.Addr{})
	go func() {
		for {
			select {
			case conn := <-tr.StreamCh():
				conn.Close()
			case <-tr.closing:
				return
			}
		}
	}()
	for deadline := time.Now().Add(30 * time.Second); refused.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no connection was refused")
		}
		conn, err := net.Dial("tcp", tr.sockets[0].tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// TestDatagramTakesNoMoreMemoryThanItHas measures the memory for a datagram. memberlist's own sockets take 64 KiB each.
func TestDatagramTakesNoMoreMemoryThanItHas(t *testing.T) {
	tr, _ := openTransport(t, netip.MustParseAddr("127.0.0.1"))
	conn := tr.dialFrom(t, "127.0.0.1")
	const sent = 200
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range sent {
		if _, err := conn.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if p := <-tr.PacketCh(); len(p.Buf) != 100 || p.From.String() != conn.LocalAddr().String() || time.Since(p.Timestamp) > time.Minute {
			t.Fatalf("%d bytes from %v at %v", len(p.Buf), p.From, p.Timestamp)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / sent; each > 2048 {
		t.Errorf("a datagram of 100 bytes took %d bytes of memory", each)
	}
}

// TestStreamsAreBounded opens many connections from a foreign address and from the address of a member, and sends much
// data on one of these connections. The transport accepts a few connections from each address, keeps room for the
// member, frees the room of closed connections, and ends a connection that sends more than the state of the cluster.
func TestStreamsAreBounded(t *testing.T) {
	tr, refused := openTransport(t, netip.MustParseAddr("127.0.0.2"))
	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", tr.sockets[0].tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var accepted []net.Conn
	open := func(from string, n, want int) {
		t.Helper()
		for range want {
			dial(from)
			accepted = append(accepted, <-tr.StreamCh())
		}
		before := refused.Load()
		for range n - want {
			if _, err := dial(from).Read(make([]byte, 1)); err == nil {
				t.Error("a connection over the bound was answered")
			}
		}
		if got := refused.Load() - before; got != int64(n-want) {
			t.Errorf("%s: %d connections were refused, want %d", from, got, n-want)
		}
	}
	open("127.0.0.3", maxHostStreams+3, maxHostStreams)
	open("127.0.0.4", maxHostStreams+3, maxStrangeStreams-maxHostStreams)
	open("127.0.0.5", 2, 0)
	open("127.0.0.2", maxHostStreams+1, maxHostStreams)
	for _, conn := range accepted {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	open("127.0.0.5", 1, 1)

	client := dial("127.0.0.2")
	server := <-tr.StreamCh()
	const bound = streamBase + 3*streamPerNode
	go func() {
		for range 2 * bound / 1024 {
			if _, err := client.Write(make([]byte, 1024)); err != nil {
				return // the other end has closed the connection
			}
		}
	}()
	n, err := io.Copy(io.Discard, server)
	if n != bound || !errors.Is(err, errStreamTooLong) {
		t.Errorf("read %d bytes, %v, want %d and %v", n, err, bound, errStreamTooLong)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}
