package layer2

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/arp"
)

// flood is a Conn that receives a frame every 100 us until it ends.
type flood struct {
	Conn
	frame  []byte
	ends   time.Time
	next   time.Time
	wakes  int
	read   int
	waited bool
}

var errOver = errors.New("the flood is over")

func (f *flood) Read(b []byte) (int, error) {
	if f.next.After(f.ends) {
		return 0, errOver
	}
	f.waited = time.Until(f.next) > 0
	if f.waited {
		f.wakes++
		time.Sleep(time.Until(f.next))
	}
	f.next = f.next.Add(100 * time.Microsecond)
	f.read++
	return copy(b, f.frame), nil
}

func (f *flood) Write(b []byte) (int, error) { return len(b), nil }

func (f *flood) Awaited() bool { return f.waited }

// TestFloodsGather floods a socket with requests. The process answers each request for an own address at once. Requests
// for other addresses wake the process about a thousand times a second; the test allows twice as many.
func TestFloodsGather(t *testing.T) {
	for _, c := range []struct {
		name   string
		target netip.Addr
		gather bool
	}{{"for nobody", free4, true}, {"for us", held4, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := New(Options{})
				p := newPort(t.Context(), a, testTable(), 0)
				f := &flood{
					frame: arpBytes(t, arp.OperationRequest, broadcast, askerMAC, asker4, MAC{}, c.target),
					next:  time.Now().Add(time.Millisecond), ends: time.Now().Add(10 * time.Second),
				}
				s := newSocket(p, ARP, p.table.Load().Interface)
				if err := s.answer(f, arpHandlerFor(t)); !errors.Is(err, errOver) {
					t.Fatal(err)
				}
				if f.read < 99_000 {
					t.Errorf("only %d frames were read", f.read)
				}
				if gathered := f.wakes < 20_000; gathered != c.gather {
					t.Errorf("%d frames woke the process %d times", f.read, f.wakes)
				}
			})
		})
	}
}
