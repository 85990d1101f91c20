package handover

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// long is the time after which a hanging test fails. A working test needs only a small part of that time.
const long = 30 * time.Second

func testName(tb testing.TB) string { return "lanlord-test/" + rand.Text() }

func testContext(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(tb.Context(), long, errors.New("the test hangs"))
	tb.Cleanup(cancel)
	return ctx
}

// place returns a place with n addresses and one member.
func place(n byte) Place {
	p := Place{Members: []Member{{Name: "node-1", MACs: []string{"02:00:00:00:00:01"}}}}
	for i := range n {
		p.Addrs = append(p.Addrs, netip.AddrFrom4([4]byte{192, 0, 2, i}))
	}
	return p
}

// holding is a holder that serves.
type holding struct {
	*Holder
	t      testing.TB
	woken  chan struct{}
	log    *lines
	cancel context.CancelFunc
	served chan error
}

// lines is a log in memory.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

func hold(t testing.TB, name string) *holding { return holdFor(t, name, long) }

// holdFor starts a holder that waits for a hello for the time patience.
func holdFor(t testing.TB, name string, patience time.Duration) *holding {
	t.Helper()
	h := &holding{t: t, woken: make(chan struct{}, 1), log: new(lines), served: make(chan error, 1)}
	var err error
	h.Holder, err = Listen(name, Options{Log: slog.New(slog.NewTextHandler(h.log, nil)), Wake: func() {
		select {
		case h.woken <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.patience = patience
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.served <- h.Serve(ctx) }()
	t.Cleanup(h.stop)
	return h
}

// stop ends the holder without a handover, and waits for the end of Serve.
func (h *holding) stop() {
	h.cancel()
	if err := <-h.served; err != nil {
		h.t.Errorf("Serve: %v", err)
	}
	h.served <- nil
}

// until waits until Followed returns want.
func (h *holding) until(want bool) {
	h.t.Helper()
	timeout := time.After(long)
	for h.Followed() != want {
		select {
		case <-h.woken:
		case <-timeout:
			h.t.Fatalf("Followed never was %t", want)
		}
	}
}

// following is a follower that runs.
type following struct {
	*Follower
	t      testing.TB
	cancel context.CancelFunc
	ran    chan error
}

func follow(t testing.TB, name string) *following {
	t.Helper()
	s, err := Connect(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &following{Follower: s, t: t, cancel: cancel, ran: make(chan error, 1)}
	go func() { f.ran <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-f.ran })
	return f
}

// next returns the next offer.
func (f *following) next() Offer {
	f.t.Helper()
	select {
	case o, ok := <-f.Places():
		if !ok {
			f.t.Fatalf("no more places: %s", f.End())
		}
		return o
	case <-time.After(long):
		f.t.Fatal("no place is offered")
	}
	panic("unreachable")
}

// ended checks that Run returns no error, and that the outcome is want.
func (f *following) ended(want End) {
	f.t.Helper()
	if err := f.wait(); err != nil {
		f.t.Errorf("Run: %v", err)
	}
	f.closed(want)
}

// closed waits until Places is closed, and checks the outcome.
func (f *following) closed(want End) {
	f.t.Helper()
	timeout := time.After(long)
	for {
		select {
		case _, ok := <-f.Places():
			if ok {
				continue
			}
		case <-timeout:
			f.t.Fatal("Places is never closed")
		}
		break
	}
	if f.End() != want {
		f.t.Errorf("it ended as %q, want %q", f.End(), want)
	}
}

func (f *following) wait() error {
	f.t.Helper()
	select {
	case err := <-f.ran:
		f.ran <- nil // for the cleanup
		return err
	case <-time.After(long):
		f.t.Fatal("Run does not return")
	}
	return nil
}
