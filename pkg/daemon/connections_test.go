package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestConnectionsAreBounded opens hundreds of silent connections, from several addresses, to a running server. A client
// still gets an answer, the number of connections stays within the limits, and a connection with a request in progress
// stays open.
func TestConnectionsAreBounded(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		answer(w, http.StatusOK, "slow\n")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerOptions{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	mux.Handle("/", s.handler)
	mux.Handle("/slow", slow)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener, mux) }()
	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn, path string) {
		t.Helper()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
	}
	read := func(conn net.Conn) string {
		t.Helper()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	busy := dial("127.0.0.2")
	ask(busy, "/slow")
	<-entered
	var idle []net.Conn
	for i := range 6 * maxConnections {
		idle = append(idle, dial(fmt.Sprintf("127.0.0.%d", 2+i%20)))
	}
	client := dial("127.0.0.99")
	ask(client, "/healthz")
	if got := read(client); got != "ok\n" {
		t.Errorf("the client got %q", got)
	}
	open := 0
	for _, conn := range idle {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "i/o timeout") {
			open++
		}
	}
	if open > maxConnections {
		t.Errorf("%d idle connections are open, the bound is %d", open, maxConnections)
	}
	close(release)
	if got := read(busy); got != "slow\n" {
		t.Errorf("the connection with a request got %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestConnectionsOfOneHost checks that one host cannot take all connections: update closes the oldest idle connection
// of that host.
func TestConnectionsOfOneHost(t *testing.T) {
	var c connections
	now := time.Unix(0, 0)
	conn := func(host string) net.Conn { return fakeConn{addr: &net.TCPAddr{IP: net.ParseIP(host)}, id: new(int)} }
	other := conn("192.0.2.9")
	c.update(other, http.StateNew, now)
	var of []net.Conn
	for i := range maxHostConnections {
		of = append(of, conn("192.0.2.1"))
		if victim := c.update(of[i], http.StateNew, now.Add(time.Duration(i+1))); victim != nil {
			t.Fatalf("connection %d closes another one", i)
		}
	}
	c.update(of[0], http.StateActive, now.Add(time.Minute))
	if victim := c.update(conn("192.0.2.1"), http.StateNew, now.Add(time.Minute)); victim != of[1] {
		t.Error("the connection that was idle longest, and not the busy one, must be closed")
	}
	c.update(of[0], http.StateClosed, now)
	if got := len(c.open); got != maxHostConnections {
		t.Errorf("%d connections are counted, want %d", got, maxHostConnections)
	}
}

type fakeConn struct {
	net.Conn
	addr net.Addr
	id   *int
}

func (f fakeConn) RemoteAddr() net.Addr { return f.addr }
