package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testSession is a session over TCP with a router in this process.
type testSession struct {
	Session
	conn   net.Conn // the end of this node; Files has its descriptor
	router net.Conn
}

// dialTest connects to a router and returns the session. Session.Files has the given number of additional descriptors
// of the socket.
func dialTest(t testing.TB, state string, files int) *testSession {
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
	router, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := router.SetDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	s := &testSession{Session: Session{State: []byte(state)}, conn: conn, router: router}
	for range files {
		file, err := conn.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		s.Files = append(s.Files, file)
	}
	t.Cleanup(func() { s.end(); router.Close() })
	return s
}

// end closes all descriptors of the node's end.
func (s *testSession) end() {
	s.conn.Close()
	s.Close()
}

// adopted returns the connection of a session that was handed over.
func adopted(t testing.TB, s Session) net.Conn {
	t.Helper()
	if len(s.Files) == 0 {
		t.Fatal("a session without files")
	}
	conn, err := net.FileConn(s.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hears checks the next bytes that the router reads.
func (s *testSession) hears(t testing.TB, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(s.router, b); err != nil || string(b) != want {
		t.Errorf("the router reads %q, %v, want %q", b, err, want)
	}
}

// descriptors counts the open descriptors of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// untilDescriptors waits until at most want descriptors are open.
func untilDescriptors(t testing.TB, want int) {
	t.Helper()
	for deadline := time.Now().Add(long); descriptors(t) > want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are open, want %d", descriptors(t), want)
		}
	}
}

// final returns the final offer.
func (f *following) final() Offer {
	f.t.Helper()
	o := f.next()
	for ; !o.Final; o = f.next() {
		f.Answering(o)
	}
	return o
}

// TestSessions hands over sessions with more files than one control message holds. The router sees one connection:
// bytes of the holder, bytes of the follower, and no end when the holder closes its descriptors.
func TestSessions(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	var sessions []*testSession
	var states []Session
	for i := range 90 {
		sessions = append(sessions, dialTest(t, strings.Repeat(fmt.Sprint("state ", i), 1+i*500), 3))
		states = append(states, sessions[i].Session)
	}
	if _, err := sessions[7].conn.Write([]byte("old")); err != nil {
		t.Fatal(err)
	}
	detached := 0
	handed := make(chan error, 1)
	go func() {
		handed <- h.HandOver(testContext(t), func() []Session { detached++; return states })
	}()
	last := s.final()
	if len(last.Sessions) != len(sessions) || s.Lost() != nil || !reflect.DeepEqual(last.Place, place(1)) {
		t.Fatalf("%d sessions, lost %v, with %+v", len(last.Sessions), s.Lost(), last.Place)
	}
	for i, got := range last.Sessions {
		if string(got.State) != string(states[i].State) || len(got.Files) != 3 {
			t.Fatalf("session %d has a state of %d bytes and %d files", i, len(got.State), len(got.Files))
		}
	}
	s.Answering(last)
	if err := <-handed; err != nil || detached != 1 {
		t.Errorf("HandOver: %v, detached %d times", err, detached)
	}
	for i, session := range sessions {
		session.end()
		conn := adopted(t, last.Sessions[i])
		if _, err := conn.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			session.hears(t, "old")
		}
		session.hears(t, "new")
		if _, err := session.router.Write([]byte("answer")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 6)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "answer" {
			t.Errorf("the follower reads %q, %v", b, err)
		}
	}
}

// TestNonblocking checks that the sockets stay nonblocking. The poller of both processes needs nonblocking sockets.
func TestNonblocking(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	session := dialTest(t, "state", 1)
	go func() { _ = h.HandOver(t.Context(), func() []Session { return []Session{session.Session} }) }()
	raw, err := s.final().Sessions[0].Files[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the socket is blocking: flags %#x, %v", flags, err)
		}
		flags, err = unix.FcntlInt(fd, unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the socket survives an exec: flags %#x, %v", flags, err)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestOldFollower hands over to a process that does not take sessions: nothing is detached, no file is sent.
func TestOldFollower(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	conn := raw(t, name)
	lines := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, hello); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	_, _ = read(), read() // hello and the place
	handed := make(chan error, 1)
	go func() {
		handed <- h.HandOver(testContext(t), func() []Session { t.Error("detached for nobody"); return nil })
	}()
	if line := read(); !strings.Contains(line, `"kind":"go","seq":2`) {
		t.Errorf("read %s, want the final place", line)
	}
	if _, err := io.WriteString(conn, `{"version":1,"kind":"answering","seq":2}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-handed; err != nil {
		t.Errorf("HandOver: %v", err)
	}
}

// TestFollowerDiesWithSessions ends the follower after the sessions have arrived. The holder continues with its own
// descriptors.
func TestFollowerDiesWithSessions(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	session := dialTest(t, "state", 1)
	handed := make(chan error, 1)
	go func() {
		handed <- h.HandOver(testContext(t), func() []Session { return []Session{session.Session} })
	}()
	last := s.final()
	for _, x := range last.Sessions {
		x.Close() // as the kernel does
	}
	s.cancel()
	if err := <-handed; !errors.Is(err, ErrGone) {
		t.Fatalf("HandOver: %v, want %v", err, ErrGone)
	}
	if _, err := session.conn.Write([]byte("resumed")); err != nil {
		t.Fatal(err)
	}
	session.hears(t, "resumed")
}

// TestDeafFollower connects a follower that acknowledges nothing. The holder keeps its sessions.
func TestDeafFollower(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	s.Answering(s.next())
	h.until(true)
	h.Set(place(2))
	ctx, cancel := context.WithCancelCause(t.Context())
	impatient := errors.New("impatient")
	cancel(impatient)
	err := h.HandOver(ctx, func() []Session { t.Error("detached for a deaf follower"); return nil })
	if !errors.Is(err, impatient) {
		t.Errorf("HandOver: %v, want %v", err, impatient)
	}
}

// TestTooManySessions hands over a session with too large a state, and more sessions than a handover may have. The
// excess sessions stay behind.
func TestTooManySessions(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	sessions := []Session{{State: make([]byte, MaxState+1)}}
	for i := range MaxSessions {
		sessions = append(sessions, Session{State: []byte{byte(i)}})
	}
	go func() { _ = h.HandOver(t.Context(), func() []Session { return sessions }) }()
	last := s.final()
	if len(last.Sessions) != MaxSessions-1 || last.Sessions[0].State[0] != 0 {
		t.Errorf("%d sessions", len(last.Sessions))
	}
	for _, want := range []string{"state of a session with 2097153 bytes", "257 sessions, may be 256"} {
		if !h.log.has(want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

// says follows a holder that sends lines with files, and returns the follower and its offers.
func says(t *testing.T, send func(*net.UnixConn)) (*Follower, []Offer) {
	t.Helper()
	name := testName(t)
	listener, err := listen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, `"adopts":true`) {
			t.Errorf("hello %q, %v", line, err)
		}
		if _, err := io.WriteString(conn, hello); err != nil {
			t.Error(err)
		}
		send(conn)
	}()
	s, err := Connect(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(testContext(t)); err != nil {
		t.Logf("Run: %v", err)
	}
	<-done
	var offers []Offer
	for o := range s.Places() {
		offers = append(offers, o)
	}
	return s, offers
}

const (
	sessionLine = `{"version":1,"kind":"session","session":{"size":1,"files":1}}` + "\n\x00"
	goLine      = `{"version":1,"kind":"go","seq":1,"place":{"addrs":["192.0.2.1"]}}` + "\n"
)

// TestHolderDiesWithSessions ends a holder that has sent two sessions and a part of the third session.
func TestHolderDiesWithSessions(t *testing.T) {
	session := dialTest(t, "state", 1)
	s, offers := says(t, func(conn *net.UnixConn) {
		_, _ = io.WriteString(conn, strings.Replace(goLine, `"go"`, `"place"`, 1))
		for _, line := range []string{sessionLine, sessionLine, sessionLine[:20]} {
			if err := sendFiles(conn, []byte(line), session.Files); err != nil {
				t.Error(err)
			}
		}
	})
	if s.End() != Vanished || len(offers) != 1 || len(offers[0].Sessions) != 2 || len(offers[0].Place.Addrs) != 1 {
		t.Fatalf("it ended as %q with %+v", s.End(), offers)
	}
	session.end()
	offers[0].Sessions[1].Close()
	if _, err := adopted(t, offers[0].Sessions[0]).Write([]byte("new")); err != nil {
		t.Error(err)
	}
	session.hears(t, "new")
	// The third descriptor is closed: the router sees the end of the connection as soon as the first descriptor is
	// closed.
	s.Answering(offers[0])
}

// TestBadFiles sends sessions with other files than the messages name. The place is handed over nevertheless, and no
// descriptor stays open.
func TestBadFiles(t *testing.T) {
	for _, test := range []struct {
		name     string
		control  int // the size of the buffer for control messages, 0 for the usual size
		send     func(t *testing.T, conn *net.UnixConn, files []*os.File)
		sessions int
		lost     string
	}{
		{"none", 0, func(t *testing.T, conn *net.UnixConn, _ []*os.File) {
			_, _ = io.WriteString(conn, sessionLine+goLine)
		}, 0, "1 files are missing"},
		{"too many", 0, func(t *testing.T, conn *net.UnixConn, files []*os.File) {
			for range maxPending/len(files) + 1 {
				if err := sendFiles(conn, []byte(" "), files); err != nil {
					t.Error(err)
				}
			}
			_, _ = io.WriteString(conn, sessionLine+goLine)
		}, 0, "more than 253 files"},
		{"more than named", 0, func(t *testing.T, conn *net.UnixConn, files []*os.File) {
			if err := sendFiles(conn, []byte(sessionLine), files); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(conn, goLine)
		}, 1, ""},
		{"truncated", 1, func(t *testing.T, conn *net.UnixConn, files []*os.File) {
			if err := sendFiles(conn, []byte(sessionLine), files); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(conn, goLine)
		}, 0, "no file descriptor is free"},
		{"another control message", 0, func(t *testing.T, conn *net.UnixConn, _ []*os.File) {
			credentials := unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()),
				Gid: uint32(os.Getegid())})
			if _, _, err := conn.WriteMsgUnix([]byte(sessionLine+goLine), credentials, nil); err != nil {
				t.Error(err)
			}
		}, 0, "1 files are missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			session := dialTest(t, "", 3)
			before := descriptors(t)
			a, b, err := pair()
			if err != nil {
				t.Fatal(err)
			}
			in := newInbox(a)
			if test.control > 0 {
				in.control = make([]byte, unix.CmsgSpace(4*test.control))
			}
			s := &Follower{conn: a, inbox: in, messages: newReader(in), places: make(chan Offer, 1),
				wake: make(chan struct{}, 1)}
			go func() {
				test.send(t, b, session.Files)
				b.Close()
			}()
			if err := s.Run(testContext(t)); err != nil {
				t.Fatal(err)
			}
			o := <-s.Places()
			if !o.Final || len(o.Sessions) != test.sessions || s.End() != HandedOver {
				t.Errorf("it ended as %s with %+v", s.End(), o)
			}
			if got := fmt.Sprint(s.Lost()); test.lost == "" && s.Lost() != nil || !strings.Contains(got, test.lost) {
				t.Errorf("lost %s, want %q", got, test.lost)
			}
			for _, x := range o.Sessions {
				x.Close()
			}
			untilDescriptors(t, before)
		})
	}
}

// pair returns two connected sockets.
func pair() (a, b *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	conns := [2]*net.UnixConn{}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			return nil, nil, err
		}
		conns[i] = conn.(*net.UnixConn)
	}
	return conns[0], conns[1], nil
}

// TestRefusedSessions ends the follower in other ways after sessions have arrived: no descriptor stays open.
func TestRefusedSessions(t *testing.T) {
	for _, test := range []struct {
		name, line string
		end        End
	}{
		{"broken", "nonsense\n", Broken},
		{"replaced", `{"version":1,"kind":"replaced"}` + "\n", Replaced},
	} {
		t.Run(test.name, func(t *testing.T) {
			session := dialTest(t, "state", 1)
			before := descriptors(t)
			s, offers := says(t, func(conn *net.UnixConn) {
				if err := sendFiles(conn, []byte(sessionLine), session.Files); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(conn, test.line)
			})
			if s.End() != test.end || len(offers) > 0 {
				t.Errorf("it ended as %s with %+v", s.End(), offers)
			}
			untilDescriptors(t, before)
		})
	}
}

// BenchmarkSessions measures the time from detach until the follower has the sessions.
func BenchmarkSessions(b *testing.B) {
	for _, size := range []int{1 << 10, 500 << 10} {
		b.Run(fmt.Sprintf("2 sessions of %d bytes", size), func(b *testing.B) {
			sessions := []Session{dialTest(b, strings.Repeat("x", size), 3).Session, dialTest(b, strings.Repeat("x", size),
				3).Session}
			var silent time.Duration
			for b.Loop() {
				name := testName(b)
				h := hold(b, name)
				h.Set(place(200))
				s := follow(b, name)
				s.Answering(s.next())
				h.until(true)
				var began time.Time
				handed := make(chan error, 1)
				go func() {
					handed <- h.HandOver(b.Context(), func() []Session { began = time.Now(); return sessions })
				}()
				last := s.final()
				s.Answering(last)
				if err := <-handed; err != nil {
					b.Fatal(err)
				}
				silent += time.Since(began)
				for _, x := range last.Sessions {
					x.Close()
				}
			}
			b.ReportMetric(float64(silent.Microseconds())/float64(b.N), "silent-us/op")
			b.ReportMetric(0, "ns/op")
		})
	}
}
