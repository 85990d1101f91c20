package bfd

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanlord/lanlord/pkg/bfd/session"
	"github.com/lanlord/lanlord/pkg/bfd/wire"
)

const (
	never = time.Duration(math.MaxInt64)
	// retryDelay is the time between two attempts to open sockets, and between two looks at the interfaces of sessions
	// that are not Up.
	retryDelay = time.Second
	// adaptDelay is the time between two decisions about the transmit intervals.
	adaptDelay = 100 * time.Millisecond
)

// loop keeps the sessions on a thread of its own. Nothing in a round waits but the poller, and a round in which no
// session changes allocates nothing.
type loop struct {
	m         *Monitor
	poll      *poller
	batch     *batch
	out       [wire.Size]byte
	links     []*link
	byNumber  map[uint32]*link
	receivers map[receiverKey]*receiver
	applied   *[]Target
	late      lateness
	// pulse is the time of the next sample of lateness while a session is slowed down, or never. adapted is the time of
	// the last decision about the intervals.
	pulse, adapted time.Duration
	// dirty is true when the published status is old.
	dirty bool
}

// runLoop keeps the sessions of m until stop or detach is set.
func runLoop(m *Monitor, w *waker, adopt []Detached) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual := niceValue()
	nice := raisePriority(usual)
	defer setNice(usual)
	p, err := newPoller(w)
	if err != nil {
		return err
	}
	defer p.close()
	m.say(report{level: slog.LevelDebug, message: fmt.Sprintf("BFD runs with nice %d", nice)})
	l := &loop{m: m, poll: p, batch: newBatch(), byNumber: map[uint32]*link{}, receivers: map[receiverKey]*receiver{},
		pulse: never,
		dirty: true}
	defer l.closeAll()
	for _, d := range adopt {
		l.adopt(d)
	}
	now, wall := p.now()
	for {
		switch {
		case m.detach.Load():
			m.detached = l.detach(now)
			return nil
		case m.stop.Load():
			l.stop(now)
			return nil
		}
		l.round(now, wall)
		deadline := max(l.deadline(), now)
		if err := p.wait(deadline); err != nil {
			return err
		}
		if now, wall = p.now(); now >= deadline {
			l.sample(now-deadline, now)
		}
	}
}

// round does all that is due. The sockets are read before the peers are judged.
func (l *loop) round(now time.Duration, wall time.Time) {
	if l.pulse <= now {
		l.pulse = never
	}
	l.drain(now, wall)
	if targets := l.m.wanted.Load(); targets != l.applied {
		l.applied = targets
		l.apply(*targets, now)
	}
	for _, k := range l.links {
		if now >= k.retry {
			l.check(k, now)
		}
		if packet, send := k.session.Advance(now); send {
			l.send(k, packet)
		}
		l.settle(k, now)
	}
	l.adapt(now)
	if l.dirty {
		l.publish()
	}
	if end, _ := l.poll.now(); end-now > time.Millisecond { // the thread was interrupted during the round
		l.sample(end-now, end)
	}
}

// deadline returns the time of the next round without a packet.
func (l *loop) deadline() time.Duration {
	next := l.pulse
	for _, k := range l.links {
		next = min(next, k.session.Deadline(), k.retry)
	}
	return next
}

// sample records that this process was late.
func (l *loop) sample(late, now time.Duration) {
	l.late.add(late, now)
	l.m.metrics.lateness.Observe(late.Seconds())
	for _, k := range l.links {
		if late > k.target.Profile.TransmitInterval/2 {
			k.late = now
		}
	}
}

// drain reads all packets that waited in the sockets at now.
func (l *loop) drain(now time.Duration, wall time.Time) {
	for _, r := range l.receivers {
		for taken := 0; taken <= drainLimit; {
			n, errno := l.batch.receive(r.fd)
			if errno == unix.EINTR {
				continue
			}
			for i := range n {
				d := l.batch.datagram(i)
				l.sample(d.waited(wall), now)
				l.receive(r, &d, now)
			}
			if taken += n; n < batchSize {
				break
			}
		}
	}
}

// receive handles one packet.
func (l *loop) receive(r *receiver, d *datagram, now time.Duration) {
	packet, verdict := wire.Parse(d.payload)
	if !r.key.multihop && d.ttl != ttl {
		verdict = wire.BadTTL
	}
	var k *link
	if verdict == wire.Accepted {
		k, verdict = l.find(r, d, &packet)
	}
	if verdict != wire.Accepted {
		l.m.metrics.discards[verdict].Inc()
		return
	}
	reply, send, verdict := k.session.Receive(now, &packet)
	if verdict != wire.Accepted {
		l.m.metrics.discards[verdict].Inc()
		return
	}
	k.counts.received.Add(1)
	if send {
		l.send(k, reply)
	}
	l.settle(k, now)
}

// find returns the session of a packet (RFC 5880, section 6.8.6; RFC 5881, section 3; RFC 5883, section 4).
func (l *loop) find(r *receiver, d *datagram, p *wire.Packet) (*link, wire.Verdict) {
	if p.YourDiscriminator != 0 {
		k := l.byNumber[p.YourDiscriminator]
		if k == nil || k.receiver != r {
			return nil, wire.UnknownSession
		}
		return k, k.accepts(d)
	}
	verdict := wire.UnknownSession
	for _, k := range l.links {
		if k.receiver != r || k.remote != d.from {
			continue
		}
		if verdict = k.accepts(d); verdict == wire.Accepted {
			return k, verdict
		}
	}
	return nil, verdict
}

// send sends a packet. An error is reported once: the session goes down when errors last.
func (l *loop) send(k *link, p wire.Packet) {
	if k.fd < 0 {
		return
	}
	p.Marshal(&l.out)
	errno := sendTo(k.fd, l.out[:], &k.to)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if errno != k.errno && errno != 0 {
		l.m.say(report{level: slog.LevelWarn, message: "cannot send BFD packets", status: l.statusOf(k), err: errno})
	}
	if k.errno = errno; errno == 0 {
		k.counts.sent.Add(1)
	}
}

// settle tells others when the session has changed.
func (l *loop) settle(k *link, now time.Duration) {
	view := k.session.View()
	if view == k.view {
		return
	}
	before := k.view
	k.view, l.dirty = view, true
	if view.State == before.State {
		return
	}
	why := wire.NoDiagnostic
	if view.State <= Down {
		why = view.Diagnostic
	}
	k.counts.change(view.State, why)
	level := slog.LevelDebug
	if view.State == Up || before.State == Up {
		level = slog.LevelInfo
	}
	status := l.statusOf(k)
	if l.falseAlarm(k, before, now) {
		k.counts.falseAlarms.Add(1)
		level = slog.LevelWarn
	}
	l.publish() // before Changed, so that Status shows at least that change
	l.m.changed(status)
	l.m.say(report{level: level, message: "BFD session " + view.State.String(), status: status})
	if view.State < Up {
		k.retry = min(k.retry, now+retryDelay)
	}
}

// falseAlarm is true when the peer has expired this end while this process was late.
func (l *loop) falseAlarm(k *link, before session.View, now time.Duration) bool {
	if before.State != Up || k.view.Diagnostic != wire.NeighborSignaledDown ||
		k.view.RemoteDiagnostic != wire.DetectionTimeExpired {
		return false
	}
	p := k.target.Profile
	remembered := time.Duration(p.DetectMultiplier+1) * max(before.TransmitInterval, p.TransmitInterval)
	return k.late != 0 && now-k.late <= remembered
}

// adapt slows sessions down while this process is late, and speeds them up when it is not.
func (l *loop) adapt(now time.Duration) {
	slowed := l.pulse
	if now-l.adapted >= adaptDelay {
		l.adapted = now
		for _, k := range l.links {
			if k.view.State != Up {
				continue
			}
			current := k.session.Stretched()
			n := l.late.stretch(k.target.Profile, current, k.stretched, now)
			if n == current {
				continue
			}
			k.stretched = now
			k.session.Stretch(n, now)
			message := fmt.Sprintf("BFD interval times %d: this process is late by %v (p99), %v (worst)", 1<<n,
				l.late.p99(), l.late.worst())
			l.m.say(report{level: slog.LevelInfo, message: message, status: l.statusOf(k)})
			l.settle(k, now)
		}
	}
	for _, k := range l.links {
		if k.session.Stretched() > 0 {
			slowed = min(slowed, now+k.target.Profile.TransmitInterval)
		}
	}
	l.pulse = slowed
}

func (l *loop) statusOf(k *link) Status {
	v := k.view
	return Status{Key: k.target.Key(), State: v.State, Since: l.poll.wall(v.Since), Diagnostic: v.Diagnostic,
		RemoteState: v.RemoteState, RemoteDiagnostic: v.RemoteDiagnostic, TransmitInterval: v.TransmitInterval, DetectionTime: v.DetectionTime, Problem: k.problem}
}

func (l *loop) publish() {
	l.dirty = false
	entries := make([]entry, len(l.links))
	for i, k := range l.links {
		entries[i] = entry{Status: l.statusOf(k), counts: &k.counts}
	}
	l.m.status.Store(&entries)
}

// stop tells all peers AdminDown.
func (l *loop) stop(now time.Duration) {
	for _, k := range l.links {
		l.shut(k, now)
	}
	l.publish()
}

// shut tells a peer AdminDown.
func (l *loop) shut(k *link, now time.Duration) {
	if packet, send := k.session.Stop(now); send {
		l.send(k, packet)
	}
	l.settle(k, now)
}

// detach returns all sessions that have sockets.
func (l *loop) detach(now time.Duration) []Detached {
	var list []Detached
	for _, k := range l.links {
		if k.receiver == nil || k.fd < 0 {
			continue
		}
		state, err := k.session.Encode(now)
		receiving := -1
		if err == nil {
			receiving, err = unix.FcntlInt(uintptr(k.receiver.fd), unix.F_DUPFD_CLOEXEC, 0)
		}
		if err != nil {
			l.m.say(report{level: slog.LevelWarn, message: "a BFD session cannot be handed over",
				status: l.statusOf(k), err: err})
			continue
		}
		sending := k.fd
		k.fd = -1
		list = append(list, Detached{Target: k.target, State: state,
			Files: []*os.File{
				os.NewFile(uintptr(receiving), "BFD receiver"), os.NewFile(uintptr(sending), "BFD sender"),
			}})
	}
	return list
}

// newNumber returns a discriminator that no session has.
func (l *loop) newNumber() uint32 {
	for {
		if n := rand.Uint32(); n != 0 && l.byNumber[n] == nil {
			return n
		}
	}
}
