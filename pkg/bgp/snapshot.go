package bgp

import (
	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp/session"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
)

// snapshot is the published state of a worker. A snapshot never changes.
type snapshot struct {
	// status has no BFD: that is added when it is read.
	status   Status
	counters session.Counters
	// target is the BFD session that the peer is to have, nil for none.
	target *bfd.Target
	// generation is the call of Set that the worker has seen. flushed is true when the kernel has all messages to the
	// router.
	generation uint64
	flushed    bool
}

// publish shows the state of the worker, and tells what has changed.
func (w *worker) publish() {
	v := w.past.merge(w.machine.View())
	last := w.shown.Load()
	next := &snapshot{status: w.status(v), counters: v.Counters, generation: w.generation}
	next.flushed = v.State != Established || w.link == nil || !w.sending && w.link.idle()
	w.tell(last.status, next.status)
	next.target = w.bfd.target
	w.shared.metrics.notified(w.peer.Name, last.counters, next.counters)
	w.shown.Store(next)
	if next.status != last.status {
		w.shared.changed()
	}
	if next.target != last.target {
		ring(w.shared.targets)
	}
	if next.flushed != last.flushed || next.generation != last.generation || next.status.State != last.status.State {
		w.shared.progress.wake()
	}
}

func (w *worker) status(v session.View) Status {
	s := Status{
		Name: w.peer.Name, State: v.State, Since: v.Since, Reason: v.Reason, Message: v.Message,
		RemoteASN: v.RemoteASN, RemoteID: v.RemoteID, HoldTime: v.HoldTime,
		Announced4: v.Announced[wire.IPv4], Announced6: v.Announced[wire.IPv6],
		Wanted4: v.Wanted[wire.IPv4], Wanted6: v.Wanted[wire.IPv6],
		NotOffered4: v.NotOffered[wire.IPv4], NotOffered6: v.NotOffered[wire.IPv6],
		NotOfferedWhy4: v.NotOfferedWhy[wire.IPv4], NotOfferedWhy6: v.NotOfferedWhy[wire.IPv6], TooLarge: v.TooLarge,
		Resets: v.Counters.Resets, Adopted: w.past.adopted && v.Counters.Resets == 0,
	}
	if w.link != nil {
		s.Local, s.Remote = w.link.Local, w.link.Remote
	}
	return s
}

// tell logs and counts a change of the state, and has the BFD session follow.
func (w *worker) tell(last, next Status) {
	log := w.shared.log
	up, was := next.State == Established, last.State == Established
	lostAndBack := up && was && next.Resets != last.Resets
	if was && (!up || lostAndBack) {
		w.bfd.lost()
		w.shared.metrics.changed(next.Name, false, next.Reason)
		log.Info("BGP session lost", "peer", next.Name, "router", routerOf(last, w.peer), "reason", next.Reason,
			"message", next.Message)
	}
	switch {
	case up && (!was || lostAndBack):
		w.bfd.established(w.peer, w.link.Connection)
		w.shared.metrics.changed(next.Name, true, None)
		log.Info("BGP session established", "peer", next.Name, "router", routerOf(next, w.peer), "local",
			next.Local.Addr(),
			"hold time", next.HoldTime, "adopted", next.Adopted)
	case !up && !was && next.Reason != last.Reason && next.Reason != None:
		log.Info("BGP session not established", "peer", next.Name, "router", routerOf(next, w.peer), "reason",
			next.Reason,
			"message", next.Message)
	}
}
