package succession

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/handover"
)

// testRouter returns a router and a session with the router. The session also has two sockets for BFD.
func testRouter(t *testing.T) (router net.Conn, session []bgp.Detached) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if router, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { router.Close() })
	if err := router.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	d := bgp.Detached{Name: "router", State: []byte("a\nb\x00"), BFD: &bfd.Detached{
		Target: bfd.Target{Local: testAddrs[0], Remote: testAddrs[0], Profile: bfd.Profile{DetectMultiplier: 3}}, State: []byte{0, 1},
	}}
	for _, of := range []*[]*os.File{{}, &d.BFD.Files, &d.BFD.Files} {
		file, err := conn.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		if *of = append(*of, file); of != &d.BFD.Files {
			d.File = file
		}
	}
	return router, []bgp.Detached{d}
}

// writeAndHear writes to the router through each of the three sockets of a session.
func writeAndHear(t *testing.T, sessions []bgp.Detached, router net.Conn, text string) {
	t.Helper()
	if len(sessions) != 1 || string(sessions[0].State) != "a\nb\x00" || !bytes.Equal(sessions[0].BFD.State, []byte{0, 1}) {
		t.Fatalf("the sessions are %+v", sessions)
	}
	for _, f := range append([]*os.File{sessions[0].File}, sessions[0].BFD.Files...) {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		heard := make([]byte, len(text))
		if _, err := io.ReadFull(router, heard); err != nil || string(heard) != text {
			t.Errorf("the router reads %q, %v", heard, err)
		}
	}
}

// TestFollowerGone kills the next process in the middle of a handover. The previous process must end its sessions
// itself.
func TestFollowerGone(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		bubble(t, true, func(n *fakeNode) {
			n.place.deaf = deaf
			first := n.start("first", nil)
			next := n.start("next", nil)
			next.in(Standby, true)
			n.place.mute = true
			first.stop()
			time.Sleep(time.Second)
			first.in(HandingOver, true)
			next.end()
			first.ended("")
			if first.withdrawn != 1 {
				t.Errorf("deaf: %t: the sessions were ended %d times", deaf, first.withdrawn)
			}
		})
	}
}

// TestNoAcknowledgement lets the next process hang after the handover of the sessions. The previous process must not
// use the sessions, unless the next process never received them.
func TestNoAcknowledgement(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		bubble(t, true, func(n *fakeNode) {
			n.place.deaf = deaf
			first := n.start("first", nil)
			next := n.start("next", nil)
			next.in(Standby, true)
			n.place.mute = true
			first.stop()
			first.ended("")
			if (first.withdrawn > 0) != deaf {
				t.Errorf("deaf: %t: the sessions were ended %d times", deaf, first.withdrawn)
			}
			next.end()
		})
	}
}

// TestBadSessions receives sessions that the process cannot decode. The process must close the sessions.
func TestBadSessions(t *testing.T) {
	_, detached := testRouter(t)
	good, err := encodeSession(detached[0])
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeSession(good)
	if err != nil || !reflect.DeepEqual(again, detached[0]) {
		t.Errorf("%+v becomes %+v, %v", detached[0], again, err)
	}
	bad := func(state string, files ...*os.File) handover.Session {
		t.Helper()
		if _, err := decodeSession(handover.Session{State: []byte(state), Files: files}); err == nil {
			t.Errorf("%q with %d files is a session", state, len(files))
		}
		return handover.Session{State: []byte(state), Files: files}
	}
	bad("")
	bad(`{"name":"r"}`, detached[0].File)
	bad("{}\n", detached[0].File)
	bad(`{"name":"r"}`+"\n", good.Files...)
	bad(`{"name":"r","bfd":{}}`+"\n", detached[0].File)
	s := New(Options{Log: slog.New(slog.DiscardHandler), Adopt: func(Inheritance, []bgp.Detached) { t.Error("adopted") }})
	s.adopt(handover.Offer{Sessions: []handover.Session{bad("nonsense\n", good.Files...)}})
	if err := good.Files[0].Close(); err == nil {
		t.Error("the files of a session that is not understood stay open")
	}
}

// FuzzSession decodes any state. Encoding an accepted session must return an equivalent state.
func FuzzSession(f *testing.F) {
	f.Add([]byte(`{"name":"r"}`+"\nstate"), 1)
	f.Add([]byte(`{"name":"r","bfd":{"Target":{"Local":"192.0.2.1"},"State":"AAE="}}`+"\n\n"), 3)
	f.Add([]byte("{}"), 0)
	f.Fuzz(func(t *testing.T, state []byte, files int) {
		if files < 0 || files > 10 {
			return
		}
		d, err := decodeSession(handover.Session{State: state, Files: make([]*os.File, files)})
		if err != nil {
			return
		}
		s, err := encodeSession(d)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decodeSession(s); err != nil || !reflect.DeepEqual(again, d) {
			t.Errorf("%+v becomes %+v, %v", d, again, err)
		}
	})
}
