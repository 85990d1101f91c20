package layer2

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// bursts is a socket that gives frames in bursts, and ends with an error. bursts notes what is written, by call.
type bursts struct {
	Conn
	left [][][]byte
	err  error
	// pause is a wait before the last frame of each burst.
	pause   time.Duration
	refuses int // the number of frames refused in each call of WriteAll
	written [][][]byte
}

func (c *bursts) Read(b []byte) (int, error) {
	for len(c.left) > 0 && len(c.left[0]) == 0 {
		c.left = c.left[1:]
	}
	if len(c.left) == 0 {
		return 0, c.err
	}
	if len(c.left[0]) == 1 {
		time.Sleep(c.pause)
	}
	n := copy(b, c.left[0][0])
	c.left[0] = c.left[0][1:]
	return n, nil
}

func (c *bursts) Gathered() bool { return len(c.left) > 0 && len(c.left[0]) > 0 }

func (c *bursts) WriteAll(frames [][]byte) (int, error) {
	var copies [][]byte
	for _, f := range frames {
		copies = append(copies, slices.Clone(f))
	}
	c.written = append(c.written, copies)
	if c.refuses == 0 {
		return 0, nil
	}
	return c.refuses, syscall.ENOBUFS
}

// single is the same socket for one frame at a time.
type single struct{ inner *bursts }

func (c single) Read(b []byte) (int, error) { return c.inner.Read(b) }
func (c single) Close() error               { return nil }

func (c single) Write(b []byte) (int, error) {
	_, err := c.inner.WriteAll([][]byte{b})
	return len(b), err
}

// TestAnswersGoOutTogether requires one call for the answers to a burst, in the order of the questions, and no answer
// that waits for the next burst.
func TestAnswersGoOutTogether(t *testing.T) {
	ask := func(n byte) []byte { // a question of the asker n
		mac := askerMAC
		mac[5] = 0x40 + n
		return arpBytes(t, arp.OperationRequest, broadcast, mac, asker4, MAC{}, held4)
	}
	foreign := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, free4)
	for _, c := range []struct {
		name             string
		bursts           [][][]byte
		refuses          int
		want             [][]byte // the askers, by call
		answered, failed float64
	}{
		{"alone", [][][]byte{{ask(1)}, {ask(2)}}, 0, [][]byte{{1}, {2}}, 2, 0},
		{"together", [][][]byte{{ask(1), ask(2), ask(3)}}, 0, [][]byte{{1, 2, 3}}, 3, 0},
		{"foreign frame first", [][][]byte{{foreign, ask(1)}}, 0, [][]byte{{1}}, 1, 0},
		{"foreign frame last", [][][]byte{{ask(1), ask(2), foreign}, {foreign}, {ask(3)}}, 0, [][]byte{{1, 2}, {3}}, 3, 0},
		{"foreign frames alone", [][][]byte{{foreign, foreign}}, 0, nil, 0, 0},
		{"refused", [][][]byte{{ask(1), ask(2)}, {ask(3)}}, 1, [][]byte{{1, 2}, {3}}, 3, 2},
	} {
		for _, together := range []bool{true, false} {
			name, want := c.name, c.want
			if !together {
				name, want = c.name+", one frame at a time", nil
				for _, mac := range slices.Concat(c.want...) {
					want = append(want, []byte{mac})
				}
			}
			t.Run(name, func(t *testing.T) {
				a := New(Options{})
				s := newSocket(newPort(t.Context(), a, testTable(), 0), ARP, testTable().Interface)
				over := errors.New("over")
				inner := &bursts{err: over, refuses: c.refuses}
				for _, burst := range c.bursts {
					inner.left = append(inner.left, slices.Clone(burst))
				}
				var conn Conn = inner
				if !together {
					conn = single{inner}
				}
				if err := s.answer(conn, arpHandlerFor(t)); !errors.Is(err, over) {
					t.Fatal(err)
				}
				var got [][]byte
				for _, frames := range inner.written {
					var macs []byte
					for _, f := range frames {
						if [4]byte(f[arpSenderIP:]) != held4.As4() {
							t.Errorf("an answer for another address: %x", f)
						}
						macs = append(macs, f[ethDestination+5]-0x40)
					}
					got = append(got, macs)
				}
				if !slices.EqualFunc(got, want, slices.Equal[[]byte]) {
					t.Errorf("answers to %v, want %v", got, want)
				}
				if n := testutil.ToFloat64(s.received[Answered]); n != c.answered {
					t.Errorf("%v frames counted as answered, want %v", n, c.answered)
				}
				failed := c.failed
				if !together && c.refuses > 0 {
					failed = c.answered // each call is for one frame
				}
				if n := testutil.ToFloat64(a.metrics.socketErrors[ARP]); n != failed {
					t.Errorf("%v errors counted, want %v", n, failed)
				}
			})
		}
	}
}

// TestStallBetweenQuestionAndAnswer stalls the process after the first of two questions, which came together: neither
// gets an answer. After a pause that is no stall, both get answers.
func TestStallBetweenQuestionAndAnswer(t *testing.T) {
	for _, c := range []struct {
		pause              time.Duration
		answered, withheld float64
	}{{standstill / 2, 2, 0}, {2 * standstill, 0, 2}} {
		synctest.Test(t, func(t *testing.T) {
			a := New(Options{Stood: func() {}})
			a.pulse.start(time.Now())
			s := newSocket(newPort(t.Context(), a, testTable(), 0), ARP, testTable().Interface)
			question := arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, held4)
			over := errors.New("over")
			conn := &bursts{left: [][][]byte{{question, question}}, pause: c.pause, err: over}
			if err := s.answer(conn, arpHandlerFor(t)); !errors.Is(err, over) {
				t.Fatal(err)
			}
			sent := len(slices.Concat(conn.written...))
			answered, withheld := testutil.ToFloat64(s.received[Answered]), testutil.ToFloat64(s.received[Withheld])
			if float64(sent) != c.answered || answered != c.answered || withheld != c.withheld {
				t.Errorf("pause of %v: %d answers sent, %v counted, %v withheld, want %v, %v", c.pause, sent, answered, withheld, c.answered, c.withheld)
			}
		})
	}
}
