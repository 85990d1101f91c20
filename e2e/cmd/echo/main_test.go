package main

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"testing"
)

func TestAnswer(t *testing.T) {
	request := httptest.NewRequest("PUT", "http://192.0.2.1/path", nil)
	request.RemoteAddr = "[2001:db8::7]:1234"
	recorder := httptest.NewRecorder()
	newHandler("web-1", "").ServeHTTP(recorder, request)
	want := `{"pod":"web-1","method":"PUT","path":"/path","host":"192.0.2.1","client":"[2001:db8::7]:1234"}` + "\n"
	if got := recorder.Body.String(); got != want {
		t.Errorf("answer is %s, want %s", got, want)
	}
}

// TestEchoBytes talks on a connection that lasts, and that ends when the server is told to stop.
func TestEchoBytes(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- echoBytes(ctx, listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, line := range []string{"first\n", "second\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, len(line))
		if _, err := io.ReadFull(conn, back); err != nil || string(back) != line {
			t.Errorf("%q came back as %q, %v", line, back, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("told to stop: %v", err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("the connection is still open, %d bytes", n)
	}
}

func TestEchoDatagrams(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- echoDatagrams(ctx, conn) }()
	client, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, datagram := range []string{"first", "second"} {
		if _, err := client.Write([]byte(datagram)); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, 16)
		if n, err := client.Read(back); err != nil || string(back[:n]) != datagram {
			t.Errorf("%q came back as %q, %v", datagram, back[:n], err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("told to stop: %v", err)
	}
}
