package succession

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/handover"
	"github.com/lanlord/lanlord/pkg/membership"
)

// takePart works until leave is done and the work has left, or was handed over.
func (s *Succession) takePart(ctx, leave context.Context, place holder, inherited Inheritance) error {
	state := &state{holder: place, config: s.options.Config, inherited: inherited}
	work, err := s.options.Start(inherited, state.setHeld)
	if err != nil {
		return err
	}
	state.begin(work)
	s.mu.Lock()
	s.work = work
	s.mu.Unlock()
	s.enter(placeFree)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	gossiping, stopGossip := context.WithCancel(ctx)
	defer stopGossip()
	gossipEnded := make(chan struct{})
	return daemon.RunTasks(ctx,
		daemon.Task{Name: "hand over", Run: place.Serve},
		daemon.Task{Name: "keep what is handed over up to date", Run: state.run},
		daemon.Task{Name: "gossip", Run: func(ctx context.Context) error {
			defer context.AfterFunc(ctx, stopGossip)()
			err := work.Gossip(gossiping)
			close(gossipEnded)
			if err == nil {
				<-ctx.Done() // gossip ends before the other tasks when the process stops
			}
			return err
		}},
		daemon.Task{Name: "decide", Run: func(ctx context.Context) error {
			defer stop()
			if err := s.decide(ctx, leave, place, work); err != nil {
				return err
			}
			handing := s.Phase() == HandingOver
			if handing {
				state.set(work.Held(), work.Members())
			}
			// The next process gossips as soon as the place is free.
			stopGossip()
			select {
			case <-gossipEnded:
			case <-ctx.Done():
				return nil
			}
			if handing {
				s.handOver(ctx, place, work)
			}
			return nil
		}},
	)
}

// handOver gives the place to the next process. If the next process goes away before it has adopted the sessions with
// routers, this process ends the sessions in the ordinary way.
func (s *Succession) handOver(ctx context.Context, place holder, work Work) {
	bound, cancel := context.WithTimeout(ctx, handOverBound)
	defer cancel()
	var detached []bgp.Detached
	given := false
	err := place.HandOver(bound, func() []handover.Session {
		given, detached = true, work.Detach(bound)
		return s.encode(detached)
	})
	if err != nil {
		s.options.Log.Error("the process that follows is gone, and the other nodes take over", "err", err)
	}
	if err != nil && (!given || errors.Is(err, handover.ErrGone)) {
		work.Withdraw(ctx)
	}
	closeDetached(detached)
}

// decide runs the loop until leave is done. The last confirmation of the next process decides between handing over and
// leaving.
func (s *Succession) decide(ctx, leave context.Context, place holder, work Work) error {
	deciding, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leave, func() {
		if place.Followed() {
			s.enter(stopHandOver)
			work.HandOver()
		} else {
			s.enter(stopLeave)
		}
		cancel()
	})()
	return work.Decide(deciding)
}

// state is the content of the place offered to the next process.
type state struct {
	holder    holder
	config    Config
	inherited Inheritance
	work      Work

	mu    sync.Mutex
	place handover.Place
}

// begin offers the inherited state: a process without addresses has a place to hand over too.
func (s *state) begin(work Work) {
	s.work = work
	s.set(s.inherited.Addrs, s.inherited.Members)
}

// setHeld offers the addresses of the work.
func (s *state) setHeld(addrs []netip.Addr) { s.set(addrs, s.work.Members()) }

func (s *state) set(addrs []netip.Addr, members []membership.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place.Addrs, s.place.Members = addrs, placeMembers(members)
	s.complete()
	s.holder.Set(s.place)
}

// complete adds the configuration in use and the time of readiness, and reports a change of either value.
func (s *state) complete() (changed bool) {
	config, since := s.place.Config, s.place.Since
	if s.config != nil {
		s.place.Config.Text, s.place.Config.Version = s.config.ConfigText()
	}
	at := s.inherited.Since
	if at.IsZero() {
		at = s.work.Since()
	}
	if !at.IsZero() {
		s.place.Since = at.Unix()
	}
	return s.place.Config != config || s.place.Since != since
}

// run offers the place again after a change of the configuration or of the readiness, until ctx ends.
func (s *state) run(ctx context.Context) error {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.mu.Lock()
		if s.complete() {
			s.holder.Set(s.place)
		}
		s.mu.Unlock()
	}
}
