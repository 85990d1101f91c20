package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// putMany creates Services by their numbers, from 0.
func (r *rig) putMany(number int, addr func(int) netip.Addr) error {
	for i := range number {
		if err := r.Put(many(i, addr), router.On(0)); err != nil {
			return err
		}
	}
	return nil
}

func many(number int, addr func(int) netip.Addr) router.Service {
	return router.Service{Name: fmt.Sprintf("s%05d", number), Addr: addr(number)}
}

// most limits the repetitions of a slow measurement.
func (b *bench) most(n int) int { return min(b.Rounds, n) }

// many starts a speaker with many prefixes.
func (b *bench) many(ctx context.Context) error {
	r, err := b.newRig(ctx, options{nodes: 2, places: []place{{kind: router.FRR, first: true}}})
	if err != nil {
		return err
	}
	defer r.close()
	// The other speaker announces nothing. Without this speaker, the first one would wait for a member after its start.
	if err := errors.Join(r.putMany(b.Prefixes, router.VIP4), r.Lab.Start(1, nil), r.AwaitReady(ctx, 1)); err != nil {
		return err
	}
	s, node := r.sites[0], wire.LANAddress(0).Addr()
	for round := range b.most(5) {
		before, err := s.Session(ctx, node)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := r.Start(0, nil); err != nil {
			return err
		}
		first, last, err := b.allRoutes(ctx, s, start)
		if err != nil {
			return err
		}
		session, err := s.Session(ctx, node)
		if err != nil {
			return err
		}
		b.Say(
			"round %d: first route after %v, last one after %v, %d messages",
			round,
			first.Sub(start),
			last.Sub(start),
			session.Updates-before.Updates,
		)
		what := fmt.Sprintf("%d prefixes: ", b.Prefixes)
		b.AddTime(Row{What: what + "start to the last route", Router: s.name}, last.Sub(start))
		b.AddTime(Row{What: what + "first to last route", Router: s.name, Percentile: 100, Goal: 500}, last.Sub(first))
		b.Add(Row{What: what + "UPDATEs", Router: s.name}, float64(session.Updates-before.Updates))
		if round == 0 {
			err = b.oneOf(ctx, r, what)
		}
		if err := errors.Join(err, r.Stop(0), s.AwaitKernel(ctx, settleLimit, router.VIP4(0))); err != nil {
			return err
		}
		if err := wire.Pause(ctx, 2*time.Second); err != nil { // FRR still removes routes
			return err
		}
	}
	return nil
}

// allRoutes waits for the routes to all prefixes, and returns the times of the first and the last route after start.
func (b *bench) allRoutes(ctx context.Context, s *site, start time.Time) (first, last time.Time, err error) {
	err = router.Await(ctx, settleLimit, "routes", func(context.Context) error {
		have := make(map[netip.Prefix]bool)
		first, last = time.Time{}, time.Time{}
		for _, e := range s.watch.Events() {
			if e.At.Before(start) || e.Deleted || have[e.Prefix] {
				continue
			}
			if len(have) == 0 {
				first = e.At
			}
			have[e.Prefix], last = true, e.At
		}
		if len(have) < b.Prefixes {
			return fmt.Errorf("%d of %d routes", len(have), b.Prefixes)
		}
		return nil
	})
	return first, last, err
}

// oneOf removes and restores the endpoint of one Service among many, and counts the messages.
func (b *bench) oneOf(ctx context.Context, r *rig, what string) error {
	s, node := r.sites[0], wire.LANAddress(0).Addr()
	one := many(b.Prefixes/2, router.VIP4)
	for round := range 2 * b.most(10) {
		before, err := s.Session(ctx, node)
		if err != nil {
			return err
		}
		start := time.Now()
		gone := round%2 == 0
		endpoints := router.On(0)
		if gone {
			endpoints = nil
		}
		if err := r.PutEndpoints(one, endpoints); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, settleLimit)
		event, err := s.watch.Await(limited, start, func(e router.RouteEvent) bool {
			return e.Prefix == router.HostPrefix(one.Addr) && e.Deleted == gone
		})
		cancel()
		if err := errors.Join(err, wire.Pause(ctx, after)); err != nil {
			return err
		}
		now, err := s.Session(ctx, node)
		if err != nil {
			return err
		}
		b.Say("one of %d, gone %t: %v, %d messages", b.Prefixes, gone, event.At.Sub(start), now.Updates-before.Updates)
		if gone {
			b.AddTime(Row{What: what + "one goes", Router: s.name, Percentile: 99, Goal: 100}, event.At.Sub(start))
		}
		b.Add(
			Row{What: what + "UPDATEs for one change", Router: s.name, Percentile: 100, Goal: 1},
			float64(now.Updates-before.Updates),
		)
	}
	return nil
}

// memory compares a speaker that announces to two routers with a speaker that owns the same number of addresses by
// layer 2.
func (b *bench) memory(ctx context.Context) error {
	var sizes [2]float64
	for i, places := range [][]place{nil, both()} {
		size, err := b.size(ctx, places)
		if err != nil {
			return err
		}
		sizes[i] = size
	}
	what := fmt.Sprintf("memory, %d addresses: ", b.MemoryPrefixes)
	b.Add(Row{What: what + "layer 2 only", Unit: "MB"}, sizes[0])
	b.Add(Row{What: what + "BGP, two routers", Unit: "MB"}, sizes[1])
	b.Add(Row{What: what + "difference", Unit: "MB", Percentile: 100, Goal: 3}, sizes[1]-sizes[0])
	return nil
}

// lanAddress returns a free address of the LAN.
func lanAddress(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 99, byte(128 + (number+1)>>8), byte(number + 1)})
}

// size returns the resident memory of a speaker with many addresses; by layer 2 without routers.
func (b *bench) size(ctx context.Context, places []place) (float64, error) {
	r, err := b.newRig(ctx, options{nodes: 2, places: places})
	if err != nil {
		return 0, err
	}
	defer r.close()
	addr := router.VIP4
	if len(places) == 0 {
		addr = lanAddress
		err = r.Configure("address-pools: [{name: routed, protocol: layer2, addresses: [10.99.128.0/17]}]\n")
	}
	if err := errors.Join(err, r.putMany(b.MemoryPrefixes, addr), r.Start(0, nil)); err != nil {
		return 0, err
	}
	err = router.Await(ctx, settleLimit, "addresses", func(ctx context.Context) error {
		said, err := r.Says(ctx, 0)
		if len(places) == 0 && len(said.Owned) < b.MemoryPrefixes {
			return fmt.Errorf("%d addresses owned, %w", len(said.Owned), err)
		}
		for _, s := range r.sites {
			all, err := s.Kernel(ctx)
			if len(all) < b.MemoryPrefixes {
				return fmt.Errorf("%d routes, %w", len(all), err)
			}
		}
		return nil
	})
	if err := errors.Join(err, wire.Pause(ctx, 10*time.Second)); err != nil {
		return 0, err // the garbage of the start is collected
	}
	size, err := resident(r.Process(0))
	b.Say("%d routers: %.1f MB", len(places), size)
	return size, err
}

// resident returns the resident memory of a process in megabytes.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024 / 1e6, err
		}
	}
	return 0, errors.New("the kernel tells no VmRSS")
}

// quiet lists everything again and again.
func (b *bench) quiet(ctx context.Context) error {
	const every = 5 * time.Second
	r, err := b.newRig(
		ctx,
		options{nodes: 2, places: []place{{kind: router.FRR}}, service: service(false), endpoints: router.On(0)},
	)
	if err != nil {
		return err
	}
	defer r.close()
	if err := errors.Join(r.putMany(100, func(n int) netip.Addr { return router.VIP4(n + 1) }), r.start(ctx), wire.Pause(ctx, every)); err != nil {
		return err
	}
	updates := func() (n int, err error) {
		all, err := r.sites[0].Sessions(ctx)
		for _, s := range all {
			n += s.Updates
		}
		return n, err
	}
	before, err := updates()
	if err != nil {
		return err
	}
	events := len(r.sites[0].watch.Events())
	for end := time.Now().Add(b.Quiet); time.Now().Before(end); {
		r.API().Forget() // so that all watches list again
		r.API().HangUp()
		if err := wire.Pause(ctx, every); err != nil {
			return err
		}
	}
	now, err := updates()
	b.Add(
		Row{What: fmt.Sprintf("resyncs for %v: UPDATEs", b.Quiet), Router: r.sites[0].name, Percentile: 100},
		float64(now-before),
	)
	b.Add(Row{What: fmt.Sprintf("resyncs for %v: route events", b.Quiet), Router: r.sites[0].name, Percentile: 100},
		float64(len(r.sites[0].watch.Events())-events))
	return err
}

// busy counts the BFD sessions that end in a healthy network.
func (b *bench) busy(ctx context.Context) error {
	const fast = 50 * time.Millisecond
	r, err := b.newRig(ctx, options{nodes: 2, service: service(false), endpoints: router.On(0),
		places: []place{{kind: router.FRR, bfd: fast}, {kind: router.BIRD, bfd: fast}}})
	if err != nil {
		return err
	}
	defer r.close()
	if err := errors.Join(r.start(ctx), wire.Pause(ctx, 3*time.Second)); err != nil {
		return err
	}
	before := make(map[*site]map[netip.Addr]time.Time)
	events := make(map[*site]int)
	for _, s := range r.sites {
		if before[s], err = s.since(ctx); err != nil {
			return err
		}
		events[s] = len(s.watch.Events())
	}
	err = errors.Join(r.Busy(), wire.Pause(ctx, b.Busy))
	if err := errors.Join(err, r.Idle(), r.rest(ctx)); err != nil {
		return err
	}
	for _, s := range r.sites {
		now, err := s.since(ctx)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("busy CPUs for %v: ", b.Busy)
		b.Add(Row{What: what + "sessions anew", Router: s.name, Percentile: 100}, float64(resets(before[s], now)))
		b.Add(
			Row{What: what + "route events", Router: s.name, Percentile: 100},
			float64(len(s.watch.Events())-events[s]),
		)
	}
	return nil
}
