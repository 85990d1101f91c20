package succession

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/handover"
)

// in checks the phase and the readiness of a process when all goroutines wait.
func (p *fakeProcess) in(phase Phase, ready bool) {
	p.node.t.Helper()
	synctest.Wait()
	if got := p.Phase(); got != phase || (p.ready() == nil) != ready {
		p.node.t.Errorf("%s is %s, ready: %v; want %s, %t", p.name, got, p.ready(), phase, ready)
	}
}

// ended waits for the end of a process.
func (p *fakeProcess) ended(want string) {
	p.node.t.Helper()
	if err := <-p.done; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		p.node.t.Errorf("%s ended with %v, want %q", p.name, err, want)
	}
	p.stop()
}

// end kills a process.
func (p *fakeProcess) end() {
	p.handing = true // the process does nothing any longer
	p.die()
	<-p.done
	p.stop()
}

// bubble runs a test on one node. After the first answer, some process must answer at every moment, unless gaps are
// allowed.
func bubble(t *testing.T, gaps bool, test func(n *fakeNode)) {
	synctest.Test(t, func(t *testing.T) {
		n := &fakeNode{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for seen := false; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				if n.answered() > 0 {
					seen = true
				} else if seen && !gaps {
					t.Error("nobody answers")
					return
				}
			}
		}()
		test(n)
		cancel()
		time.Sleep(time.Second)
	})
}

// TestRollout replaces the process of a node ten times. Some process answers for every address at every moment, and the
// other nodes never take over.
func TestRollout(t *testing.T) {
	bubble(t, false, func(n *fakeNode) {
		current := n.start("process 0", nil)
		current.in(Active, false)
		if err := current.ready(); !errors.Is(err, errNotReady) {
			t.Errorf("not ready: %v", err)
		}
		time.Sleep(time.Second)
		current.in(Active, true)
		first := current.began.Add(time.Second).Unix()
		for range 10 {
			next := n.start("the next process", func(p *fakeProcess) { p.answersIn = 300 * time.Millisecond })
			next.in(Following, false)
			if err := next.ready(); err == nil ||
				err.Error() != "waiting for the cluster, this Node or the gossip key; the log says which" {
				t.Errorf("following: %v", err)
			}
			time.Sleep(300 * time.Millisecond)
			next.in(Standby, true)
			time.Sleep(2 * time.Second)
			next.in(Standby, true)
			current.stop()
			current.in(HandingOver, true)
			current.ended("")
			if current.Phase() != Ended {
				t.Errorf("%v at its end", current)
			}
			next.in(Active, true)
			if i := next.inherited; !i.Succeeds || len(i.Addrs) != 1 || len(i.Members) != 1 ||
				i.Members[0].Name != "peer" || i.Since.Unix() != first {
				t.Errorf("inherited %+v, want that the node is ready since %d", i, first)
			}
			current = next
		}
		if n.left > 0 {
			t.Errorf("the other nodes took over %d times", n.left)
		}
		current.end()
	})
}

// TestConfiguration hands over the configuration in use, including a configuration that came into use after the next
// process connected.
func TestConfiguration(t *testing.T) {
	bubble(t, true, func(n *fakeNode) {
		first := n.start("first", func(p *fakeProcess) { p.Offer("one", 1) })
		second := n.start("second", nil)
		synctest.Wait()
		if text, version := second.ConfigText(); text != "one" || version != 1 {
			t.Errorf("offered %q of version %d", text, version)
		}
		first.Offer("two", 2)
		time.Sleep(refreshInterval)
		synctest.Wait()
		if text, version := second.ConfigText(); text != "two" || version != 2 {
			t.Errorf("offered %q of version %d after a change", text, version)
		}
		first.stop()
		first.ended("")
		second.in(Active, true)
		second.stop()
		second.ended("")
	})
}

// TestLeave stops a process without a follower, and a process with a follower that does not answer yet.
func TestLeave(t *testing.T) {
	bubble(t, true, func(n *fakeNode) {
		p := n.start("alone", nil)
		p.in(Active, false)
		p.stop()
		p.in(Leaving, false)
		p.ended("")
		if n.left != 1 {
			t.Error("the other nodes did not take over")
		}
		p = n.start("followed too late", nil)
		late := n.start("late", func(p *fakeProcess) { p.answersIn = 10 * time.Second })
		p.in(Active, false)
		p.stop()
		p.in(Leaving, false)
		p.ended("")
		if n.left != 2 {
			t.Error("the other nodes did not take over")
		}
		time.Sleep(10 * time.Second)
		late.in(Active, true)
		late.stop()
		late.ended("")
	})
}

// TestKilled kills the process with the place. The next process goes on at once.
func TestKilled(t *testing.T) {
	bubble(t, false, func(n *fakeNode) {
		p := n.start("killed", nil)
		next := n.start("next", nil)
		next.in(Standby, true)
		p.end()
		next.in(Active, true)
		if !next.inherited.Succeeds || len(next.inherited.Addrs) != 1 || n.left > 0 {
			t.Errorf("inherited %+v, left %d", next.inherited, n.left)
		}
		next.end()
	})
}

// TestStopBeforeActive stops processes without the place.
func TestStopBeforeActive(t *testing.T) {
	bubble(t, true, func(n *fakeNode) {
		p := n.start("active", nil)
		next := n.start("next", nil)
		next.in(Standby, true)
		next.stop()
		next.ended("")
		p.in(Active, false)
		again := n.start("again", func(p *fakeProcess) { p.answersIn = time.Minute })
		again.in(Following, false)
		again.stop()
		again.ended("")
		p.stop()
		p.ended("")
		if n.left != 1 {
			t.Error("it did not leave in the ordinary way")
		}
	})
}

// TestReplaced connects a second process while another process follows already.
func TestReplaced(t *testing.T) {
	bubble(t, true, func(n *fakeNode) {
		p := n.start("active", nil)
		a := n.start("a", nil)
		a.in(Standby, true)
		b := n.start("b", nil)
		a.ended("another process of this node follows instead of this one")
		b.in(Standby, true)
		p.stop()
		p.ended("")
		b.in(Active, true)
		b.stop()
		b.ended("")
	})
}

// TestNotUnderstood starts a process while an incompatible process has the place. The new process is ready, so that a
// rollout continues, but answers for nothing until the old process has left.
func TestNotUnderstood(t *testing.T) {
	bubble(t, true, func(n *fakeNode) {
		p := n.start("another release", nil)
		p.in(Active, false)
		n.place.broken = true
		next := n.start("next", nil)
		next.in(Standby, true)
		// The half pause avoids a request in the same instant in which the other process ends.
		time.Sleep(time.Minute + retryPause/2)
		next.in(Standby, true)
		if n.answered() != 1 {
			t.Errorf("%d processes answer", n.answered())
		}
		p.stop()
		p.ended("")
		time.Sleep(retryPause)
		next.in(Active, false) // the loop begins anew
		if next.inherited.Succeeds || n.left != 1 {
			t.Errorf("inherited %+v", next.inherited)
		}
		next.stop()
		next.ended("")
	})
}

// TestWait checks that a process which ends while waiting never looks for the place.
func TestWait(t *testing.T) {
	for _, test := range []struct {
		name string
		stop bool
		want error
	}{{"told to stop", true, nil}, {"failed", false, context.Canceled}} {
		t.Run(test.name, func(t *testing.T) {
			s := New(Options{Log: slog.New(slog.DiscardHandler),
				Wait: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
			ctx, cancel := context.WithCancel(t.Context())
			leave, stop := context.WithCancel(t.Context())
			defer cancel()
			defer stop()
			if test.stop {
				stop()
			} else {
				cancel()
			}
			if s.Phase() != Waiting || s.Ready() == nil {
				t.Errorf("it is %s, ready: %v", s.Phase(), s.Ready())
			}
			if err := s.Run(ctx, leave); !errors.Is(err, test.want) {
				t.Errorf("Run: %v, want %v", err, test.want)
			}
		})
	}
}

// TestSockets hands over from one process to the next over pkg/handover.
func TestSockets(t *testing.T) {
	n := &fakeNode{t: t}
	place := "lanlord-test/" + rand.Text()
	begin := func(ctx context.Context, _ string) (holder, follower, error) {
		h, s, err := handover.Begin(ctx, place, handover.Options{})
		if h != nil {
			return h, nil, nil
		}
		return nil, s, err
	}
	until := func(p *fakeProcess, want Phase) {
		for deadline := time.Now().Add(30 * time.Second); p.Phase() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%v, want %s", p, want)
			}
		}
	}
	router, session := testRouter(t)
	current := n.startWith("process 0", begin, func(p *fakeProcess) { p.Offer("text", 7); p.sessions = session })
	until(current, Active)
	for i := range 5 {
		next := n.startWith("the next process", begin, nil)
		until(next, Standby)
		time.Sleep(10 * time.Millisecond) // for the last place set by the work
		current.stop()
		current.ended("")
		until(next, Active)
		if text, version := next.ConfigText(); text != "text" || version != 7 || n.left > 0 {
			t.Errorf("configuration %q of version %d, left %d times", text, version, n.left)
		}
		writeAndHear(t, next.sessions, router, fmt.Sprint("process ", i+1))
		current = next
	}
	if last := current.sessions; current.withdrawn > 0 || last[0].BFD == nil || last[0].BFD.Target.Remote != testAddrs[0] {
		t.Errorf("the last process has %+v", last)
	}
	current.end()
	closeDetached(current.sessions)
	if _, err := router.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the last process the router reads %v", err)
	}
}
