package succession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// fakePlace is a node's place by the rules of pkg/handover, on channels, for use in a bubble of testing/synctest.
type fakePlace struct {
	mu     sync.Mutex
	holder *fakeHolder // nil while the place is free
	broken bool        // the holder is not compatible
	mute   bool        // no acknowledgement arrives
	deaf   bool        // the follower never says that it listens, so the holder keeps its sessions
}

type fakeHolder struct {
	place    *fakePlace
	offer    handover.Place
	set      bool // Set was called
	going    bool
	follower *fakeFollower
	final    chan struct{}
}

type fakeFollower struct {
	holder   *fakeHolder
	places   chan handover.Offer
	answered handover.Place
	answers  bool
	end      handover.End
	ended    chan struct{} // closed when the place is free for the follower, or never
	closed   bool          // places is closed
	sessions []handover.Session
}

func (p *fakePlace) begin(ctx context.Context, _ string) (holder, follower, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch h := p.holder; {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case h == nil:
		p.holder = &fakeHolder{place: p, final: make(chan struct{})}
		return p.holder, nil, nil
	case p.broken:
		return nil, nil, handover.ErrVersion
	case h.going:
		return nil, nil, handover.ErrRefused
	default:
		if h.follower != nil {
			h.follower.finish(handover.Replaced)
		}
		h.follower = &fakeFollower{holder: h, places: make(chan handover.Offer, 1), ended: make(chan struct{})}
		if h.set {
			h.follower.offer(false)
		}
		return nil, h.follower, nil
	}
}

func (h *fakeHolder) Set(p handover.Place) {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	if h.going {
		return
	}
	p.Addrs, p.Members = slices.Clone(p.Addrs), slices.Clone(p.Members)
	h.offer, h.set = p, true
	if h.follower != nil {
		h.follower.offer(false)
	}
}

func (h *fakeHolder) Followed() bool {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	s := h.follower
	return s != nil && h.set && s.answers && reflect.DeepEqual(s.answered, h.offer)
}

func (h *fakeHolder) HandOver(ctx context.Context, detach func() []handover.Session) error {
	h.place.mu.Lock()
	s := h.follower
	if s == nil {
		h.place.mu.Unlock()
		return handover.ErrNobody
	}
	h.going = true
	if !h.place.deaf {
		s.sessions = detach()
	}
	s.offer(true)
	s.closePlaces(handover.HandedOver)
	h.place.mu.Unlock()
	select {
	case <-h.final:
	case <-s.ended:
		return handover.ErrGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	h.leave()
	return nil
}

// leave frees the place, and then tells the follower.
func (h *fakeHolder) leave() {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	if h.place.holder == h {
		h.place.holder = nil
	}
	if h.follower != nil {
		h.follower.finish(handover.Vanished)
		h.follower = nil
	}
}

func (h *fakeHolder) Serve(ctx context.Context) error {
	<-ctx.Done()
	h.leave()
	return nil
}

// The caller of offer, closePlaces and finish holds the mutex of the place.
func (s *fakeFollower) offer(final bool) {
	select {
	case <-s.places:
	default:
	}
	s.places <- handover.Offer{Place: s.holder.offer, Final: final, Sessions: s.sessions}
}

func (s *fakeFollower) closePlaces(end handover.End) {
	if !s.closed {
		s.closed, s.end = true, end
		close(s.places)
	}
}

func (s *fakeFollower) finish(end handover.End) {
	s.closePlaces(end)
	close(s.ended)
}

func (s *fakeFollower) Places() <-chan handover.Offer { return s.places }

func (s *fakeFollower) Answering(o handover.Offer) {
	s.holder.place.mu.Lock()
	defer s.holder.place.mu.Unlock()
	if s.holder.place.mute {
		return
	}
	s.answered, s.answers = o.Place, true
	if o.Final {
		close(s.holder.final)
	}
}

func (s *fakeFollower) Lost() error { return nil }

func (s *fakeFollower) End() handover.End {
	s.holder.place.mu.Lock()
	defer s.holder.place.mu.Unlock()
	return s.end
}

func (s *fakeFollower) Run(ctx context.Context) error {
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.holder.place.mu.Lock()
		defer s.holder.place.mu.Unlock()
		s.closePlaces(handover.Stopped)
		if s.holder.follower == s {
			s.holder.follower = nil
			close(s.ended)
		}
	}
	return nil
}

// fakeNode is a node with several processes one after the other.
type fakeNode struct {
	t     *testing.T
	place fakePlace
	mu    sync.Mutex
	// answers counts the processes that answer for the address; gossips and loops count the processes that run gossip
	// and the loop.
	answers, gossips, loops int
	// left counts the takeovers by the other nodes.
	left int
}

// count adds to the numbers of gossips and loops of a process that lives.
func (p *fakeProcess) count(gossips, loops int) {
	n := p.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.dead {
		return
	}
	p.gossips, p.loops = p.gossips+gossips, p.loops+loops
	n.gossips, n.loops = n.gossips+gossips, n.loops+loops
	if n.gossips > 1 || n.loops > 1 {
		n.t.Errorf("%d processes gossip, %d decide", n.gossips, n.loops)
	}
}

// die ends all that the process does in one moment, as the kernel ends a process.
func (p *fakeProcess) die() {
	p.node.mu.Lock()
	p.node.gossips, p.node.loops, p.dead = p.node.gossips-p.gossips, p.node.loops-p.loops, true
	p.node.mu.Unlock()
	p.kill()
}

func (n *fakeNode) answer(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers += by
}

// answered reports the number of processes that answer.
func (n *fakeNode) answered() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answers
}

// fakeProcess is one process of the node. fakeProcess implements Answerer, Work and Config.
type fakeProcess struct {
	*Succession
	name      string
	node      *fakeNode
	answersIn time.Duration // the time until the process answers
	answering bool
	handing   bool
	inherited Inheritance
	held      func([]netip.Addr)
	began     time.Time // the creation of the work
	sessions  []bgp.Detached
	withdrawn int // how often Withdraw was called

	// gossips and loops are the parts of this process in the counts of the node. A dead process is in no count. The mutex
	// of the node guards these fields.
	gossips, loops int
	dead           bool

	mu      sync.Mutex
	text    string
	version uint64

	stop, kill context.CancelFunc
	done       chan error
}

var testAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}

func (n *fakeNode) start(name string, change func(*fakeProcess)) *fakeProcess {
	p := n.startWith(name, n.place.begin, change)
	synctest.Wait()
	return p
}

func (n *fakeNode) startWith(name string, begin func(context.Context, string) (holder, follower, error),
	change func(*fakeProcess)) *fakeProcess {
	p := &fakeProcess{name: name, node: n, done: make(chan error, 1)}
	if change != nil {
		change(p)
	}
	p.Succession = New(Options{
		Self: "node", Place: "place", Answerer: p, Config: p,
		Adopt: func(_ Inheritance, d []bgp.Detached) { p.sessions = d },
		Log:   slog.New(slog.NewTextHandler(n.t.Output(), nil)).With("process", name),
		Wait:  func(context.Context) error { return nil },
		Start: func(i Inheritance, held func([]netip.Addr)) (Work, error) {
			p.inherited, p.held, p.began = i, held, time.Now()
			return fakeWork{p}, nil
		},
	})
	p.Succession.begin = begin
	ctx, kill := context.WithCancel(n.t.Context())
	leave, stop := context.WithCancel(n.t.Context())
	p.stop, p.kill = stop, kill
	go func() {
		err := p.Run(ctx, leave)
		kill()
		p.silence() // like the end of the announcer
		p.done <- err
	}()
	return p
}

// ready is the readiness check of the process, like the check of the work if work exists.
func (p *fakeProcess) ready() error { return p.Succession.Ready() }

func (p *fakeProcess) Answer(ctx context.Context, _ []netip.Addr) {
	in := p.answersIn
	if p.answering {
		in = time.Millisecond
	}
	select {
	case <-time.After(in):
	case <-ctx.Done():
	}
	p.answer()
}

func (p *fakeProcess) Silence() { p.silence() }

func (p *fakeProcess) answer() {
	if !p.answering {
		p.answering = true
		p.node.answer(1)
	}
}

func (p *fakeProcess) silence() {
	if p.answering {
		p.answering = false
		p.node.answer(-1)
	}
}

func (p *fakeProcess) ConfigText() (string, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text, p.version
}

func (p *fakeProcess) Offer(text string, version uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.version = text, version
}

// fakeWork implements Work for fakeProcess, because Succession and Work both have a method Ready.
type fakeWork struct{ *fakeProcess }

var errNotReady = errors.New("joining: the first second")

func (w fakeWork) Gossip(ctx context.Context) error {
	w.count(1, 0)
	defer w.count(-1, 0)
	<-ctx.Done()
	return nil
}

func (w fakeWork) Decide(ctx context.Context) error {
	w.count(0, 1)
	defer w.count(0, -1)
	w.answer()
	w.held(testAddrs)
	<-ctx.Done()
	if !w.handing {
		time.Sleep(time.Second) // until the other nodes answer
		w.node.mu.Lock()
		w.node.left++
		w.node.mu.Unlock()
		w.silence()
	}
	return nil
}

func (w fakeWork) HandOver()                             { w.handing = true }
func (w fakeWork) Held() []netip.Addr                    { return testAddrs }
func (w fakeWork) Detach(context.Context) []bgp.Detached { return w.sessions }
func (w fakeWork) Withdraw(context.Context)              { w.withdrawn++ }
func (w fakeWork) Members() []membership.Member {
	return []membership.Member{{Name: "node"}, {Name: "peer"}}
}

func (w fakeWork) Since() time.Time {
	if w.Ready() != nil {
		return time.Time{}
	}
	return w.began.Add(time.Second)
}

func (w fakeWork) Ready() error {
	if w.inherited.Succeeds || time.Since(w.began) >= time.Second {
		return nil
	}
	return errNotReady
}

func (p *fakeProcess) String() string { return fmt.Sprintf("%s is %s", p.name, p.Phase()) }
