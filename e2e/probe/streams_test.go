package probe

import (
	"bufio"
	"context"
	"net"
	"testing"
	"time"
)

// lineServer hands each connection and its number to answer, and returns where it listens.
func lineServer(t *testing.T, answer func(n int, conn net.Conn, lines *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(n, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return listener.Addr().String()
}

// echoLines sends back as many lines, or all if most is negative.
func echoLines(conn net.Conn, lines *bufio.Reader, most int) {
	for ; most != 0; most-- {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(line))
	}
}

func TestStreamReportsWhatBroke(t *testing.T) {
	const enough = 20 // lines of a connection that lasts
	talk := Talk{Connections: 1, Every: 5 * time.Millisecond, Timeout: 3 * time.Second, For: time.Minute}
	lasting, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, test := range []struct {
		name   string
		answer func(n int, conn net.Conn, lines *bufio.Reader)
		lines  int
		reason string // of the break, empty if it lasts
	}{
		{"lasts", func(_ int, c net.Conn, r *bufio.Reader) {
			echoLines(c, r, enough)
			cancel()
			echoLines(c, r, -1)
		}, enough, ""},
		{"closed after three lines", func(_ int, c net.Conn, r *bufio.Reader) { echoLines(c, r, 3) }, 3, "EOF"},
		{"silent after two lines", func(_ int, c net.Conn, r *bufio.Reader) {
			echoLines(c, r, 2)
			_, _ = r.ReadString(0) // until the client gives up
		}, 2, "timeout"},
		{"says something else", func(_ int, c net.Conn, r *bufio.Reader) {
			_, _ = r.ReadString('\n')
			_, _ = c.Write([]byte("nonsense\n"))
			_, _ = r.ReadString(0)
		}, 0, errOtherLine.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			talk, ctx := talk, t.Context()
			talk.Target = lineServer(t, test.answer)
			if test.reason == "" {
				talk.Timeout, ctx = 20*time.Second, lasting
			}
			got, err := Stream(ctx, talk)
			if err != nil {
				t.Fatal(err)
			}
			if test.reason == "" {
				if got.Opened != 1 || len(got.Broken) != 0 || got.Lines < test.lines || got.Slowest <= 0 {
					t.Errorf("%+v, want at least %d lines and no break", got, test.lines)
				}
				return
			}
			if got.Opened != 1 || got.Lines != test.lines || len(got.Broken) != 1 {
				t.Fatalf("%+v, want one break after %d lines", got, test.lines)
			}
			if b := got.Broken[0]; b.Reason != test.reason || b.Lines != test.lines || b.After <= 0 || b.At.IsZero() {
				t.Errorf("%+v, want the reason %q", b, test.reason)
			}
		})
	}
}

// TestStreamOneOfSeveral loses one connection of three, and one that was never made is told of too.
func TestStreamOneOfSeveral(t *testing.T) {
	target := lineServer(t, func(n int, c net.Conn, r *bufio.Reader) {
		if n == 1 {
			return
		}
		echoLines(c, r, -1)
	})
	talk := Talk{Target: target, Connections: 3, Every: 5 * time.Millisecond, Timeout: 20 * time.Second, For: 2 * time.Second}
	got, err := Stream(t.Context(), talk)
	if err != nil || got.Opened != 3 || len(got.Broken) != 1 {
		t.Errorf("%+v, %v; want one break of three", got, err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	talk.Target = free.Addr().String()
	free.Close()
	got, err = Stream(t.Context(), talk)
	if err != nil || got.Opened != 0 || len(got.Broken) != 3 || got.Broken[0].Reason != "connection refused" {
		t.Errorf("%+v, %v; want three that were refused", got, err)
	}
	if _, err := Stream(t.Context(), Talk{Target: target}); err == nil {
		t.Error("no connections are a talk")
	}
}
