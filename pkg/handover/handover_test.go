package handover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// TestHandOver runs the sequence in the documentation of the package.
func TestHandOver(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	first := s.next()
	if !reflect.DeepEqual(first.Place, place(1)) || first.Final {
		t.Errorf("the first offer is %+v", first)
	}
	if h.Followed() {
		t.Error("a follower that has not acknowledged counts")
	}
	s.Answering(first)
	h.until(true)

	h.Set(place(2))
	if h.Followed() {
		t.Error("the acknowledgement of an older place counts for a newer one")
	}
	second := s.next()
	if !reflect.DeepEqual(second.Place, place(2)) || second.Final {
		t.Errorf("the second offer is %+v", second)
	}
	s.Answering(second)
	h.until(true)

	h.Set(place(3))
	handed := make(chan error, 1)
	go func() { handed <- h.HandOver(testContext(t), nil) }()
	last := s.next()
	for !last.Final { // place(3) alone may have been seen before HandOver
		last = s.next()
	}
	if !reflect.DeepEqual(last.Place, place(3)) {
		t.Errorf("the final offer is %+v", last)
	}
	s.closed(HandedOver)
	if _, err := Listen(name, Options{}); !errors.Is(err, ErrTaken) {
		t.Errorf("before the acknowledgement the name is %v, want taken", err)
	}
	select {
	case err := <-handed:
		t.Errorf("HandOver did not wait for the acknowledgement: %v", err)
	default:
	}
	s.Answering(last)
	if err := <-handed; err != nil {
		t.Errorf("HandOver: %v", err)
	}
	s.ended(HandedOver)
	// The former holder still serves, but the name is free.
	hold(t, name)
}

// TestNewestWins checks that a slow follower receives the newest place, and no older place after a newer place.
func TestNewestWins(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	for n := range byte(100) {
		h.Set(place(n))
	}
	s := follow(t, name)
	if o := s.next(); len(o.Place.Addrs) != 99 {
		t.Errorf("the first offer has %d addresses, want 99", len(o.Place.Addrs))
	}
	for n := range byte(100) {
		h.Set(place(n))
	}
	o := s.next()
	for before := 0; len(o.Place.Addrs) != 99; o = s.next() {
		if len(o.Place.Addrs) < before {
			t.Errorf("after a place with %d addresses came an older one with %d", before, len(o.Place.Addrs))
		}
		before = len(o.Place.Addrs)
		s.Answering(o)
	}
	s.Answering(o)
	h.until(true)
}

// TestUnreadPlace checks that an unread older place does not block a newer place.
func TestUnreadPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // synctest fails at once if all goroutines wait
		s := &Follower{places: make(chan Offer, 1)}
		for n := range byte(3) {
			s.pass(Offer{Place: place(n)})
		}
		if o := <-s.Places(); len(o.Place.Addrs) != 2 {
			t.Errorf("got %+v, want the newest", o)
		}
	})
}

// TestSetCopies changes the argument of Set. The race detector would report a shared access.
func TestSetCopies(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	p := place(1)
	p.Addrs[0] = netip.MustParseAddr("::ffff:192.0.2.0")
	h.Set(p)
	s := follow(t, name)
	p.Addrs[0], p.Members[0].MACs[0], p.Members[0].Name = netip.Addr{}, "", ""
	if o := s.next(); !reflect.DeepEqual(o.Place, place(1)) {
		t.Errorf("got %+v", o.Place)
	}
}

func TestReplaced(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	a := follow(t, name)
	a.Answering(a.next())
	h.until(true)
	b := follow(t, name)
	a.ended(Replaced)
	o := b.next()
	if h.Followed() {
		t.Error("what the first acknowledged counts for the second")
	}
	b.Answering(o)
	h.until(true)
}

// TestFollowerLost ends a follower before HandOver.
func TestFollowerLost(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	s.Answering(s.next())
	h.until(true)
	s.cancel()
	s.ended(Stopped)
	h.until(false)
	if err := h.HandOver(testContext(t), nil); !errors.Is(err, ErrNobody) {
		t.Errorf("HandOver: %v, want %v", err, ErrNobody)
	}
	// HandOver has had no effect.
	h.Set(place(2))
	again := follow(t, name)
	o := again.next()
	if len(o.Place.Addrs) != 2 {
		t.Errorf("the next follower is offered %+v", o)
	}
	again.Answering(o)
	h.until(true)
}

func TestNothingSet(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	s := follow(t, name)
	if err := h.HandOver(testContext(t), nil); !errors.Is(err, ErrNobody) || h.Followed() {
		t.Errorf("HandOver: %v, want %v", err, ErrNobody)
	}
	h.Set(Place{})
	s.Answering(s.next())
	h.until(true)
}

// TestHolderEnds ends the holder without a handover. The name is free as soon as the follower learns of the end.
func TestHolderEnds(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	s.next()
	h.cancel()
	s.ended(Vanished)
	h.stop() // the holder frees the name after the connections
	hold(t, name)
}

// TestNoAcknowledgement checks that HandOver ends with its ctx. The follower continues when the holder has ended.
func TestNoAcknowledgement(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	s.Answering(s.next())
	h.until(true)
	ctx, cancel := context.WithCancelCause(t.Context())
	impatient := errors.New("impatient")
	handed := make(chan error, 1)
	go func() { handed <- h.HandOver(ctx, nil) }()
	if o := s.next(); !o.Final {
		t.Errorf("got %+v", o)
	}
	cancel(impatient)
	if err := <-handed; !errors.Is(err, impatient) {
		t.Errorf("HandOver: %v, want %v", err, impatient)
	}
	h.Set(place(9)) // has no effect after HandOver
	if _, err := Connect(testContext(t), name); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "being handed over") {
		t.Errorf("another follower: %v, want %v", err, ErrRefused)
	}
	h.stop()
	s.ended(HandedOver)
	hold(t, name)
}

// TestGone ends the follower after the final place.
func TestGone(t *testing.T) {
	name := testName(t)
	h := hold(t, name)
	h.Set(place(1))
	s := follow(t, name)
	handed := make(chan error, 1)
	go func() { handed <- h.HandOver(testContext(t), nil) }()
	for !s.next().Final {
	}
	s.cancel()
	if err := <-handed; !errors.Is(err, ErrGone) {
		t.Errorf("HandOver: %v, want %v", err, ErrGone)
	}
}

func TestNames(t *testing.T) {
	name := testName(t)
	if _, err := Connect(testContext(t), name); !errors.Is(err, ErrNobody) {
		t.Errorf("connected to nobody: %v, want %v", err, ErrNobody)
	}
	hold(t, name)
	if _, err := Listen(name, Options{}); !errors.Is(err, ErrTaken) {
		t.Errorf("listened where another does: %v, want %v", err, ErrTaken)
	}
	for _, bad := range []string{"", strings.Repeat("n", 108), "a\x00b"} {
		if _, err := Listen(bad, Options{}); err == nil || errors.Is(err, ErrTaken) {
			t.Errorf("listened as %q: %v", bad, err)
		}
		if _, err := Connect(testContext(t), bad); err == nil || errors.Is(err, ErrNobody) {
			t.Errorf("connected to %q: %v", bad, err)
		}
	}
	hold(t, (testName(t) + strings.Repeat("n", 107))[:107])
}

// TestBegin starts several processes at once: one process becomes the holder, and each other process becomes a
// follower or is replaced while connecting.
func TestBegin(t *testing.T) {
	name := testName(t)
	ctx := testContext(t)
	var group sync.WaitGroup
	var holders, followers, failures int
	var mu sync.Mutex
	for range 8 {
		group.Go(func() {
			h, s, err := Begin(ctx, name, Options{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failures++
				t.Error(err)
			case h != nil && s == nil:
				holders++
				serving, cancel := context.WithCancel(ctx)
				served := make(chan error, 1)
				go func() { served <- h.Serve(serving) }()
				t.Cleanup(func() { cancel(); <-served })
			case h == nil && s != nil:
				followers++
				cancelled, cancel := context.WithCancel(ctx)
				cancel()
				if err := s.Run(cancelled); err != nil {
					t.Errorf("Run: %v", err)
				}
			}
		})
	}
	group.Wait()
	if holders != 1 || followers != 7 {
		t.Errorf("%d holders, %d followers, %d failures, want 1 and 7", holders, followers, failures)
	}
}

// TestEnd checks that all outcomes have different names.
func TestEnd(t *testing.T) {
	seen := map[string]bool{}
	for e := Following; e <= Broken; e++ {
		seen[e.String()] = true
	}
	if len(seen) != 6 || seen[""] {
		t.Errorf("the ends are %v", seen)
	}
}

// BenchmarkHandOver measures the time from the message to take over to the free name. That is the time without gossip,
// if the follower already answers for all addresses.
func BenchmarkHandOver(b *testing.B) {
	for _, n := range []int{10, 2000} {
		b.Run(fmt.Sprintf("%d addresses", n), func(b *testing.B) {
			var p Place
			for i := range n {
				p.Addrs = append(p.Addrs, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
			}
			for b.Loop() {
				b.StopTimer()
				name := testName(b)
				h := hold(b, name)
				h.Set(p)
				s := follow(b, name)
				s.Answering(s.next())
				h.until(true)
				b.StartTimer()
				handed := make(chan error, 1)
				go func() { handed <- h.HandOver(b.Context(), nil) }()
				s.Answering(s.next())
				if err := <-handed; err != nil {
					b.Fatal(err)
				}
				s.ended(HandedOver)
			}
		})
	}
}
