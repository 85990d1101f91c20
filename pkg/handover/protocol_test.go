package handover

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// raw connects to a name without any protocol.
func raw(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := dial(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	return conn
}

const hello = `{"version":1,"kind":"hello"}` + "\n"

// TestBadFollower sends invalid messages of a follower. The holder sends the reason or closes the connection, and
// logs the reason.
func TestBadFollower(t *testing.T) {
	for _, test := range []struct{ name, says, told, log string }{
		{"nothing", "", "no hello", "i/o timeout"},
		{"no JSON", "GET / HTTP/1.1\n", "no hello", "is no message"},
		{"another version", `{"version":2,"kind":"guten tag"}` + "\n", `"version":1`, "version of the protocol is not understood: 2, this is 1"},
		{"no hello first", `{"version":1,"kind":"answering","seq":1}` + "\n", "answering in place of hello", "answering in place of hello"},
		{"a place", hello + `{"version":1,"kind":"place","seq":1,"place":{}}` + "\n", "", "unexpected place"},
		{"what was never offered", hello + `{"version":1,"kind":"answering","seq":7}` + "\n", "", "answers for place 7, the newest is 1"},
		{"no end", strings.Repeat("x", maxLine+1), "", "has more than 4194304 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := testName(t)
			patience := long
			if test.says == "" {
				patience = time.Millisecond
			}
			h := holdFor(t, name, patience)
			h.Set(place(1))
			conn := raw(t, name)
			_, _ = io.WriteString(conn, test.says) // the holder may answer before the write is complete
			told, err := io.ReadAll(conn)
			if err != nil && !errors.Is(err, unix.ECONNRESET) {
				t.Fatal(err)
			}
			if !strings.Contains(string(told), test.told) {
				t.Errorf("it is told %q, want %q", told, test.told)
			}
			h.stop() // so that the log is complete
			if !h.log.has(test.log) {
				t.Errorf("the log has no %q:\n%s", test.log, h.log.text.String())
			}
		})
	}
}

// TestBadFollowerChangesNothing connects a process with invalid messages while a good follower is connected.
func TestBadFollowerChangesNothing(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	s.Answering(s.next())
	h.until(true)
	conn := raw(t, name)
	if _, err := io.WriteString(conn, "nonsense\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Fatal(err)
	}
	if !h.Followed() {
		t.Error("the good follower was dismissed")
	}
}

// TestLateAcknowledgement acknowledges a place when there is a newer place already. That happens when an
// acknowledgement and a new place cross.
func TestLateAcknowledgement(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	h.Set(place(2))
	conn := raw(t, name)
	if _, err := io.WriteString(conn, hello); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		seq := i + 1
		if _, err := fmt.Fprintf(conn, `{"version":1,"kind":"answering","seq":%d}`+"\n", seq); err != nil {
			t.Fatal(err)
		}
		select {
		case <-h.woken:
		case <-time.After(long):
			t.Fatal("the acknowledgement does not arrive")
		}
		if h.Followed() != want {
			t.Errorf("after acknowledging %d of 2, Followed is %t", seq, !want)
		}
	}
}

// TestBadHolder follows a holder that sends invalid messages.
func TestBadHolder(t *testing.T) {
	for _, test := range []struct {
		name, says string
		end        End // of Run; Following if Connect fails
		want       string
	}{
		{"another version", `{"version":2,"kind":"hello"}` + "\n", Following, "version of the protocol is not understood: 2, this is 1"},
		{"a refusal", `{"version":1,"kind":"refused","reason":"busy"}` + "\n", Following, "the holder takes no follower: busy"},
		{"no hello", `{"version":1,"kind":"replaced"}` + "\n", Following, "replaced in place of hello"},
		{"death before the hello", "", Following, "the holder has just gone"},
		{"death within the hello", hello[:9], Following, "the holder has just gone"},
		{"death", hello, Vanished, "<nil>"},
		{"death within a place", hello + `{"version":1,"kind":"place","seq":1,"pl`, Vanished, "<nil>"},
		{"nonsense", hello + "{}{}\n", Broken, "is no message"},
		{"a later version", hello + `{"version":3,"kind":"hello"}` + "\n", Broken, "version of the protocol is not understood: 3, this is 1"},
		{"an acknowledgement", hello + `{"version":1,"kind":"answering","seq":1}` + "\n", Broken, "unexpected answering"},
		{"a late refusal", hello + `{"version":1,"kind":"refused","reason":"busy"}` + "\n", Broken, "the holder takes no follower: busy"},
		{"a session with less than no files", hello + `{"version":1,"kind":"session","session":{"files":-1}}` + "\n", Broken, "session with -1 files"},
		{"a session with too many files", hello + `{"version":1,"kind":"session","session":{"files":9}}` + "\n", Broken, "session with 9 files, may have 8"},
		{"a session that is too large", hello + `{"version":1,"kind":"session","session":{"size":9999999}}` + "\n", Broken, "state of a session with 9999999 bytes"},
		{"a session without one", hello + `{"version":1,"kind":"session"}` + "\n", Broken, "session with a session: false"},
		{"a place without an address", hello + `{"version":1,"kind":"place","seq":1,"place":{"addrs":[""]}}` + "\n", Broken, "address 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := testName(t)
			listener, err := listen(name)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(conn, test.says); err != nil {
					t.Error(err)
				}
			}()
			s, err := Connect(testContext(t), name)
			if test.end != Following {
				if err != nil {
					t.Fatal(err)
				}
				err = s.Run(testContext(t))
				if s.End() != test.end {
					t.Errorf("it ended as %q, want %q", s.End(), test.end)
				}
			}
			if !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			isVersion := strings.Contains(test.want, "version")
			if errors.Is(err, ErrVersion) != isVersion || errors.Is(err, ErrNobody) != strings.Contains(test.want, "gone") {
				t.Errorf("error %v cannot be told apart", err)
			}
		})
	}
}

// TestSilentHolder checks that Connect ends with its ctx.
func TestSilentHolder(t *testing.T) {
	name := testName(t)
	listener, err := listen(name)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			_, _ = bufio.NewReader(conn).ReadString('\n')
			cancel()
			<-t.Context().Done()
		}
	}()
	if _, err := Connect(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("Connect: %v, want %v", err, context.Canceled)
	}
}

// TestPlaceTooLarge offers places that fit into no message.
func TestPlaceTooLarge(t *testing.T) {
	for _, p := range []Place{
		{Members: []Member{{Name: ""}}},
		{Members: []Member{{Name: "a", MACs: []string{strings.Repeat("0", maxMAC+1)}}}},
		{Addrs: []netip.Addr{{}}},
		{Addrs: slices.Repeat([]netip.Addr{netip.IPv6LinkLocalAllNodes()}, 500_000)},
	} {
		name := testName(t)
		h := hold(t, name)
		h.Set(place(1))
		s := follow(t, name)
		s.Answering(s.next())
		h.until(true)
		h.Set(p)
		s.ended(Vanished)
		h.stop()
		if !h.log.has("the place cannot be told") {
			t.Errorf("the log does not say why:\n%s", h.log.text.String())
		}
	}
}

// TestLargePlace checks the figures in the comment of maxLine.
func TestLargePlace(t *testing.T) {
	var p Place
	for i := range 10_000 {
		p.Addrs = append(p.Addrs, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xaa, 0xaa, 0xbb, 0xbb, 0xcc, 0xcc, 0xdd, 0xdd, 0xee, 0xee, byte(i >> 8), byte(i)}))
	}
	for i := range 5_000 {
		p.Members = append(p.Members, Member{Name: fmt.Sprintf("ip-10-100-%d.eu-central-1.compute.internal", i), MACs: []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}})
	}
	line, err := encode(message{Kind: kindPlace, Seq: 1, Place: &p})
	if err != nil || len(line) > maxLine/3 {
		t.Errorf("%d bytes, %v", len(line), err)
	}
}

// TestOtherUser connects as another user. Only root can do that.
func TestOtherUser(t *testing.T) {
	if err := allowed(&unix.Ucred{Uid: uint32(os.Geteuid()) + 1}, os.Geteuid()); !errors.Is(err, ErrForeign) {
		t.Errorf("another user is allowed: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot connect as another user")
	}
	name := testName(t)
	h := hold(t, name)
	fd := make(chan int)
	go func() {
		// The thread ends with the goroutine, because nothing unlocks the thread. The other threads stay root.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
		}
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(s, &unix.SockaddrUnix{Name: "@" + name})
		}
		if err != nil {
			t.Error(err)
		}
		fd <- s
	}()
	file := os.NewFile(uintptr(<-fd), "follower")
	defer file.Close()
	told, err := io.ReadAll(file)
	if err != nil || !bytes.Contains(told, []byte("runs as user 65534, this one as 0")) {
		t.Errorf("it is told %q, %v", told, err)
	}
	h.stop()
	if !h.log.has("runs as user 65534") {
		t.Errorf("the log does not say so:\n%s", h.log.text.String())
	}
}

// TestNameTakenByOtherUser has a process of another user take the name before the first process of the node starts. The
// first process works without the name, and takes the name as soon as the name is free.
func TestNameTakenByOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot listen as another user")
	}
	name := testName(t)
	taken := make(chan int)
	go func() {
		// The thread ends with the goroutine, because nothing unlocks the thread. The other threads stay root.
		runtime.LockOSThread()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
		}
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(s, &unix.SockaddrUnix{Name: "@" + name})
		}
		if err == nil {
			err = unix.Listen(s, 8)
		}
		if err != nil {
			t.Error(err)
		}
		taken <- s
	}()
	squatter := <-taken
	var log lines
	h, s, err := Begin(t.Context(), name, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if h == nil || s != nil || err != nil {
		t.Fatalf("%v, %v, %v; want a holder, which works without the name", h, s, err)
	}
	if !log.has("runs as user 65534") {
		t.Errorf("the log does not name the other process:\n%s", log.text.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx) }()
	h.Set(place(7))
	if h.Followed() {
		t.Error("a follower without a name")
	}
	if err := h.HandOver(ctx, nil); !errors.Is(err, ErrNobody) {
		t.Errorf("handed over to nobody: %v", err)
	}
	if err := unix.Close(squatter); err != nil {
		t.Fatal(err)
	}
	for {
		next, err := Connect(ctx, name)
		if errors.Is(err, ErrNobody) {
			time.Sleep(50 * time.Millisecond) // until the next attempt to take the name
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		following, leave := context.WithCancel(ctx)
		gone := make(chan error, 1)
		go func() { gone <- next.Run(following) }()
		if o := <-next.Places(); len(o.Place.Addrs) != 7 {
			t.Errorf("the follower got %+v", o)
		}
		leave()
		if err := <-gone; err != nil {
			t.Error(err)
		}
		break
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestEncode(t *testing.T) {
	p := Place{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, Members: []Member{{"a", []string{"02:00:00:00:00:01"}}, {"b", nil}}}
	got, err := encode(message{Kind: kindGo, Seq: 3, Place: &p})
	want := `{"version":1,"kind":"go","seq":3,"place":{"addrs":["192.0.2.1","2001:db8::1"],"members":[{"name":"a","macs":["02:00:00:00:00:01"]},{"name":"b"}]}}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
}

// TestOtherReleases reads the messages of a process without the later fields and of a process with still later fields.
// Then the test reads the message of this release with the fields of an older release.
func TestOtherReleases(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	members := []Member{{"a", []string{"02:00:00:00:00:01"}}}
	const old = `"addrs":["192.0.2.1"],"members":[{"name":"a","macs":["02:00:00:00:00:01"]}]`
	for _, test := range []struct {
		name, place string
		want        Place
	}{
		{"older", old, Place{Addrs: addrs, Members: members}},
		{"newer", old + `,"config":{"text":"pools: []","version":7,"hash":"x"},"since":1796000000,"sessions":[{"fd":3}]`,
			Place{Addrs: addrs, Members: members, Config: Config{"pools: []", 7}, Since: 1796000000}},
		{"larger", old + `,"config":{"text":"` + strings.Repeat("x", MaxConfig+1) + `","version":7}`, Place{Addrs: addrs, Members: members}},
	} {
		m, err := decode([]byte(`{"version":1,"kind":"place","seq":1,"place":{` + test.place + `}}`))
		if err != nil || !reflect.DeepEqual(*m.Place, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", test.name, m.Place, err, test.want)
		}
	}
	line, err := encode(message{Kind: kindPlace, Seq: 1, Place: &Place{Addrs: addrs, Members: members, Config: Config{"pools: []", 7}, Since: 1796000000}})
	if err != nil {
		t.Fatal(err)
	}
	var older struct {
		Place struct {
			Addrs   []netip.Addr `json:"addrs"`
			Members []Member     `json:"members"`
		} `json:"place"`
	}
	if err := json.Unmarshal(line, &older); err != nil || !slices.Equal(older.Place.Addrs, addrs) || !reflect.DeepEqual(older.Place.Members, members) {
		t.Errorf("an older process reads %+v, %v", older, err)
	}
}

// TestConfigIsCarried hands over a configuration of the largest size, and checks that a larger configuration, or a
// configuration that grows too much in JSON, is dropped. The rest of the place arrives in each case.
func TestConfigIsCarried(t *testing.T) {
	for _, test := range []struct {
		name    string
		text    string
		carried bool
	}{
		{"small", "address-pools: []", true},
		{"largest", strings.Repeat("x", MaxConfig), true},
		{"too large", strings.Repeat("x", MaxConfig+1), false},
		{"grows in JSON", strings.Repeat("<", MaxConfig), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := testName(t)
			h := hold(t, name)
			want := place(1)
			want.Since = 1796000000
			set := want
			set.Config = Config{test.text, 42}
			if test.carried {
				want.Config = set.Config
			}
			h.Set(set)
			s := follow(t, name)
			o := s.next()
			if !reflect.DeepEqual(o.Place, want) {
				t.Errorf("%d bytes of version %d since %d, want %d bytes", len(o.Place.Config.Text), o.Place.Config.Version, o.Place.Since, len(want.Config.Text))
			}
			s.Answering(o)
			h.until(true)
		})
	}
}

// FuzzMessages reads any bytes. Each accepted message must survive encoding and decoding unchanged.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		hello,
		hello + `{"version":1,"kind":"place","seq":1,"place":{"addrs":["192.0.2.1","2001:db8::1"],"members":[{"name":"a","macs":["02:00:00:00:00:01"]}]}}` + "\n",
		`{"version":1,"kind":"go","seq":18446744073709551615,"place":{}}` + "\n",
		`{"version":1,"kind":"place","seq":1,"place":{"config":{"text":"\u0000<\ud800","version":3,"x":0},"since":-1,"y":{}}}` + "\n",
		`{"version":1,"kind":"hello","adopts":true}` + "\n" + `{"version":1,"kind":"session","session":{"size":2,"files":3}}` + "\n",
		`{"version":1,"kind":"session","session":{"size":-1,"files":-1}}` + "\n",
		`{"version":1,"kind":"answering","seq":2}` + "\n" + `{"version":1,"kind":"replaced"}` + "\n",
		`{"version":1,"kind":"refused","reason":"busy","later":{"field":[1]}}` + "\n",
		`{"version":1,"kind":"place","seq":1,"place":{"addrs":["fe80::1%eth0","::ffff:192.0.2.1",""]}}` + "\n",
		`{"version":2,"seq":"of another type"}` + "\n",
		`{"version":1,"kind":"place","seq":-1}` + "\n\n\r\n",
		`{"version":1,"kind":"hello"}`, // no newline
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		messages := newReader(bytes.NewReader(data))
		for {
			m, err := messages.next()
			if err != nil {
				if !errors.Is(err, io.EOF) && len(err.Error()) > 1000 && m.Place == nil {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				return
			}
			line, err := encode(m)
			if err != nil {
				t.Fatalf("%+v is read and cannot be sent: %v", m, err)
			}
			again, err := decode(line[:len(line)-1])
			if err != nil || !reflect.DeepEqual(tidy(again), tidy(m)) {
				t.Fatalf("%+v becomes %+v, %v", m, again, err)
			}
		}
	})
}

// tidy replaces missing lists by empty lists, because both mean the same.
func tidy(m message) message {
	if m.Place == nil {
		return m
	}
	p := m.Place.clone()
	p.Addrs, p.Members = append([]netip.Addr{}, p.Addrs...), append([]Member{}, p.Members...)
	for i := range p.Members {
		p.Members[i].MACs = append([]string{}, p.Members[i].MACs...)
	}
	m.Place = &p
	return m
}
