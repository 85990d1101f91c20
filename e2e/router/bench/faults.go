package bench

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// both are FRR and BIRD with default parameters.
func both() []place { return []place{{kind: router.FRR}, {kind: router.BIRD}} }

// service is the Service whose address is asked.
func service(local bool) router.Service {
	return router.Service{Name: "asked", Addr: router.VIP4(0), Local: local}
}

// unready takes the endpoint of one node after the other away.
func (b *bench) unready(ctx context.Context) error {
	r, err := b.newRig(ctx, options{nodes: 3, places: both(), service: service(true), endpoints: router.On(0, 1, 2)})
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.start(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		victim := round % len(r.nodes)
		rest := r.others(victim)
		start := time.Now()
		if err := r.PutEndpoints(service(true), append(router.On(rest...), router.Endpoint{Node: victim})); err != nil {
			return err
		}
		for _, s := range r.sites {
			limited, cancel := context.WithTimeout(ctx, settleLimit)
			event, err := s.watch.Await(limited, start, func(v router.RouteEvent) bool {
				return v.Prefix == router.HostPrefix(router.VIP4(0)) &&
					slices.Equal(v.Hops, router.Hops(router.VIP4(0), rest...))
			})
			cancel()
			if err != nil {
				return err
			}
			b.Say("round %d, %s: %v", round, s.name, event.At.Sub(start))
			b.AddTime(
				Row{What: "pod unready: route gone", Router: s.name, Percentile: 99, Goal: 100},
				event.At.Sub(start),
			)
		}
		if err := r.PutEndpoints(service(true), router.On(r.nodes...)); err != nil {
			return err
		}
		if err := r.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// crash cuts one node after the other off the LAN. The routers keep their carrier.
func (b *bench) crash(ctx context.Context) error {
	const fast = 50 * time.Millisecond
	r, err := b.newRig(ctx, options{nodes: 3, service: service(false), endpoints: router.On(0), places: []place{
		{
			kind:  router.FRR,
			bfd:   fast,
			label: ", BFD 3 x 50 ms",
		}, {kind: router.BIRD, bfd: fast, label: ", BFD 3 x 50 ms"},
		{
			kind:  router.FRR,
			hold:  3 * time.Second,
			label: ", hold 3 s",
		}, {kind: router.BIRD, hold: 3 * time.Second, label: ", hold 3 s"},
	}})
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.start(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		victim := round % len(r.nodes)
		if err := errors.Join(b.intervals(ctx, r, victim), r.probe(ctx)); err != nil {
			return err
		}
		start := time.Now()
		err := r.Cut(victim, wire.LAN)
		for _, s := range r.sites {
			err = errors.Join(err, s.AwaitKernel(ctx, settleLimit, router.VIP4(0), r.others(victim)...))
		}
		if err := errors.Join(err, wire.Pause(ctx, after)); err != nil {
			return err
		}
		for _, s := range r.sites {
			traffic := s.prober.Stop()
			b.Say("round %d, %s: last loss after %v; %v", round, s.name, traffic.Outage(start), traffic)
			like := Row{What: "node crash: loss ends", Router: s.name, Percentile: 100, Goal: 3100}
			if s.Neighbors[0].BFD > 0 {
				like.Percentile, like.Goal = 50, 200
			}
			b.AddTime(like, traffic.Outage(start))
		}
		if err := errors.Join(r.Join(victim, wire.LAN), r.rest(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// intervals notes the BFD interval of a node. A speaker that waits for a CPU raises the interval, and the router then
// notices a crash later.
func (b *bench) intervals(ctx context.Context, r *rig, node int) error {
	said, err := r.Says(ctx, node)
	for i, p := range said.Peers {
		if p.BFD != nil {
			b.Add(
				Row{What: "node crash: interval of BFD in use", Router: r.sites[i].name, Unit: "ms"},
				float64(p.BFD.Interval),
			)
		}
	}
	return err
}

// stop tells one speaker after the other to stop.
func (b *bench) stop(ctx context.Context) error {
	r, err := b.newRig(ctx, options{nodes: 3, places: both(), service: service(false), endpoints: router.On(0)})
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.start(ctx); err != nil {
		return err
	}
	for round := range b.Rounds {
		victim := round % len(r.nodes)
		if err := r.probe(ctx); err != nil {
			return err
		}
		if err := errors.Join(r.Stop(victim), wire.Pause(ctx, after)); err != nil {
			return err
		}
		for _, s := range r.sites {
			traffic := s.prober.Stop()
			b.Say("round %d, %s: %v", round, s.name, traffic)
			b.Add(Row{What: "SIGTERM: datagrams lost", Router: s.name, Percentile: 100}, float64(len(traffic.Lost)))
		}
		if err := errors.Join(r.Start(victim, nil), r.rest(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// rollout updates one speaker after the other, twice for each round.
func (b *bench) rollout(ctx context.Context) error {
	const fast = 50 * time.Millisecond
	r, err := b.newRig(ctx, options{nodes: 3, service: service(false), endpoints: router.On(0), places: []place{
		{
			kind:     router.FRR,
			bfd:      fast,
			password: "of-the-routers",
			label:    ", MD5, BFD",
		}, {kind: router.BIRD, bfd: fast, password: "of-the-routers", label: ", MD5, BFD"},
	}})
	if err != nil {
		return err
	}
	defer r.close()
	if err := errors.Join(r.start(ctx), wire.Pause(ctx, 3*time.Second)); err != nil {
		return err // a daemon tells the start of a session to the second
	}
	for round := range 2 * b.Rounds {
		if err := b.rolloutOnce(ctx, r, round); err != nil {
			return err
		}
	}
	return nil
}

// rolloutOnce is one round of rollout.
func (b *bench) rolloutOnce(ctx context.Context, r *rig, round int) error {
	if err := r.probe(ctx); err != nil {
		return err
	}
	before := make(map[*site]map[netip.Addr]time.Time)
	for _, s := range r.sites {
		var err error
		if before[s], err = s.since(ctx); err != nil {
			return err
		}
	}
	start := time.Now()
	err := r.Rollout(ctx, round%len(r.nodes))
	if err := errors.Join(err, wire.Pause(ctx, after)); err != nil {
		return err
	}
	for _, s := range r.sites {
		traffic := s.prober.Stop()
		now, err := s.since(ctx)
		if err != nil {
			return err
		}
		anew, events := resets(before[s], now), 0
		for _, e := range s.watch.Events() {
			if e.At.After(start) {
				events++
			}
		}
		b.Say("rollout %d, %s: %v, %d route events, %d sessions anew", round, s.name, traffic, events, anew)
		b.Add(Row{What: "rollout: datagrams lost", Router: s.name, Percentile: 100}, float64(len(traffic.Lost)))
		b.Add(Row{What: "rollout: route events", Router: s.name, Percentile: 100}, float64(events))
		b.Add(Row{What: "rollout: sessions anew", Router: s.name, Percentile: 100}, float64(anew))
	}
	return nil
}
