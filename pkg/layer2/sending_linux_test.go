package layer2

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// pair returns a frameConn on one end of a pair of Unix datagram sockets, a function that closes this end, and the
// other end. Such sockets keep frames apart, and this end has room for about six frames.
func pair(t *testing.T) (c *frameConn, hangUp func() error, other int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "pair")
	t.Cleanup(func() { file.Close(); unix.Close(fds[1]) })
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 0); err != nil { // the kernel takes its minimum
		t.Fatal(err)
	}
	c = &frameConn{}
	if c.raw, err = file.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	c.prepare()
	return c, file.Close, fds[1]
}

// await waits until a frame waits on the other end of a pair.
func await(t *testing.T, fd int) {
	t.Helper()
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// arrivals returns the frames that wait on the other end of a pair.
func arrivals(t *testing.T, fd int) (frames []string) {
	t.Helper()
	b := make([]byte, frameSize)
	for {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EAGAIN) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, string(b[:n]))
	}
}

// TestWriteAllPassesOverRefusedFrames refuses frames at each position: a datagram larger than the buffer of the socket
// is refused with EMSGSIZE, and only this datagram is lost.
func TestWriteAllPassesOverRefusedFrames(t *testing.T) {
	huge := make([]byte, 1<<20)
	for _, c := range []string{"a", "abc", "X", "Xa", "aX", "aXb", "XXaXXbXX", "aXbXcXd"} {
		t.Run(c, func(t *testing.T) {
			conn, _, other := pair(t)
			var frames [][]byte
			var want []string
			for _, letter := range c {
				if letter == 'X' {
					frames = append(frames, huge)
				} else {
					frames, want = append(frames, []byte(string(letter))), append(want, string(letter))
				}
			}
			unsent, err := conn.WriteAll(frames)
			if refused := len(frames) - len(want); unsent != refused || errors.Is(err, unix.EMSGSIZE) != (refused > 0) {
				t.Errorf("%d frames were not sent, %v, want %d", unsent, err, refused)
			}
			if got := arrivals(t, other); !slices.Equal(got, want) {
				t.Errorf("%q arrived, want %q", got, want)
			}
			// The next call knows nothing of the last one's refusals.
			if unsent, err := conn.WriteAll([][]byte{[]byte("z")}); unsent != 0 || err != nil {
				t.Errorf("%d frames were not sent afterwards, %v", unsent, err)
			}
		})
	}
}

// TestWriteAllWaitsForRoom sends more frames than the socket has room for, also more than one call takes. Every frame
// arrives once and in order.
func TestWriteAllWaitsForRoom(t *testing.T) {
	const count = 5*batch + 3
	conn, _, other := pair(t)
	var frames [][]byte
	var want []string
	for i := range count {
		want = append(want, fmt.Sprint("frame ", i))
		frames = append(frames, []byte(want[i]))
	}
	type result struct {
		unsent int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		unsent, err := conn.WriteAll(frames)
		done <- result{unsent, err}
	}()
	var got []string
	for len(got) < count {
		await(t, other)
		got = append(got, arrivals(t, other)...)
	}
	if r := <-done; r.unsent != 0 || r.err != nil {
		t.Errorf("%d frames were not sent, %v", r.unsent, r.err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q arrived, want %q", got, want)
	}
}

// TestWriteAllEndsWithTheSocket closes the socket while WriteAll waits for room, and before WriteAll.
func TestWriteAllEndsWithTheSocket(t *testing.T) {
	conn, hangUp, other := pair(t)
	frames := slices.Repeat([][]byte{[]byte("frame")}, 10*batch)
	done := make(chan int, 1)
	go func() {
		unsent, err := conn.WriteAll(frames)
		if err == nil {
			t.Error("no error from a closed socket")
		}
		done <- unsent
	}()
	await(t, other)
	if err := hangUp(); err != nil {
		t.Fatal(err)
	}
	unsent, arrived := <-done, len(arrivals(t, other))
	if unsent+arrived != len(frames) || arrived == 0 {
		t.Errorf("%d frames arrived and %d were not sent, of %d", arrived, unsent, len(frames))
	}
	if unsent, err := conn.WriteAll(frames[:3]); unsent != 3 || err == nil {
		t.Errorf("%d frames were not sent on a closed socket, %v", unsent, err)
	}
}

// TestAnswersAllocateNothing answers bursts of questions, from the socket to the socket.
func TestAnswersAllocateNothing(t *testing.T) {
	const burst = 5 // the other end of the pair must have room
	conn, _, other := pair(t)
	question := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
	h, table, out, b := arpHandlerFor(t), testTable(), newOutbox(conn), make([]byte, frameSize)
	sent := 0
	allocs := testing.AllocsPerRun(200, func() {
		for range burst {
			if _, err := unix.Write(other, question); err != nil {
				t.Fatal(err)
			}
		}
		for {
			n, err := conn.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			reply, v, _ := h.handle(table, b[:n])
			if v != Answered {
				t.Fatal(v)
			}
			out.add(reply)
			if out.due() {
				break
			}
		}
		sent += len(out.frames)
		if unsent, err := out.send(); unsent != 0 {
			t.Fatal(err)
		}
		out.clear()
		for range burst {
			if _, err := unix.Read(other, b); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%.1f allocations for %d frames, want none", allocs, burst)
	}
	if want := 201 * burst; sent != want { // AllocsPerRun makes one more run
		t.Errorf("%d answers, want %d", sent, want)
	}
}

// TestWireAnswersABurst sends bursts of questions for two addresses and for nobody to a socket whose reader is busy, and
// then lets the reader answer: each question for an own address gets its answer, in order.
func TestWireAnswersABurst(t *testing.T) {
	const questions = 3*batch + 5
	c := newCable(t)
	p := c.dial()
	p.ask(c.request(kernel4)) // until both ends of the cable work
	conn := c.listen()
	second := pool4.To
	table := testTable()
	table.Interface = c.nodeNIC
	table.addrs[second] = struct{}{}
	a := New(Options{})
	s := newSocket(newPort(t.Context(), a, table, 0), ARP, c.nodeNIC)
	h, err := newARPHandler(c.nodeNIC)
	if err != nil {
		t.Fatal(err)
	}
	var want [][4]byte
	for i := range questions {
		addr := held4
		switch i % 3 {
		case 1:
			addr = second
		case 2:
			p.send(c.request(free4))
			continue
		}
		p.send(c.request(addr))
		want = append(want, addr.As4())
	}
	done := make(chan error, 1)
	// Without the times of arrival, since a busy machine may start the reader late.
	undated := struct {
		Conn
		Gathering
	}{conn, conn}
	go func() { done <- s.answer(undated, h) }()
	var got [][4]byte
	for len(got) < len(want) {
		b, ok := p.receive()
		if !ok {
			t.Fatalf("%d of %d answers came", len(got), len(want))
		}
		if b[arpOperation+1] == byte(arp.OperationReply) && [4]byte(b[arpSenderIP:]) != kernel4.As4() {
			got = append(got, [4]byte(b[arpSenderIP:]))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("answers for %v, want %v", got, want)
	}
	conn.Close() // while the reader waits
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error from a closed socket")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reader does not end")
	}
}

// TestWireWriteAllWithoutLink sends frames on an interface that is down: each frame counts as not sent.
func TestWireWriteAllWithoutLink(t *testing.T) {
	c := newCable(t)
	conn := c.listen()
	if out, err := exec.Command("ip", "-n", c.node[len("/run/netns/"):], "link", "set", "eth0", "down").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	frames := slices.Repeat([][]byte{c.request(held4)}, batch+1)
	if unsent, err := conn.WriteAll(frames); unsent != len(frames) || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("%d of %d frames were not sent, %v", unsent, len(frames), err)
	}
}
