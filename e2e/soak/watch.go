package soak

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/e2e/wire"
)

// watch asks the LAN, hears the answers, reads what was written, and does what users do once they may.
func (r *Soak) watch(ctx context.Context, users <-chan struct{}) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var lastChurn, lastEvents time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		if err := r.look(now); err != nil {
			return err
		}
		select {
		case <-users:
			if now.Sub(lastChurn) < churnEvery || now.Sub(r.begun) > r.Duration-calm {
				break
			}
			lastChurn = now
			done, err := r.site.Deed()
			if err != nil {
				return err
			}
			if done {
				r.Count(func(p *Report) { p.Deeds++ })
			}
		default:
		}
		if now.Sub(lastEvents) > time.Minute {
			lastEvents = now
			count, err := r.site.Events()
			if err != nil {
				return err
			}
			r.Count(func(p *Report) {
				for reason, n := range count {
					p.Events[reason] += n
				}
			})
		}
	}
}

// look does that once.
func (r *Soak) look(now time.Time) error {
	changes, err := r.site.Changes()
	if err != nil {
		return err
	}
	claims, places, pools := r.site.Claims(), r.site.Places(), r.site.Pools()
	r.mu.Lock()
	for _, c := range changes {
		at := now
		if s, ok := c.After.(*corev1.Service); ok && c.Before == nil {
			at = s.CreationTimestamp.Time // to the second
			if now.Sub(at) < time.Second {
				at = now
			}
		}
		for _, broken := range r.ledger.Note(c, at) {
			r.violation(now, broken)
		}
	}
	overdue := func(since time.Time) bool { return now.Sub(since) > r.rules.LongestWait || r.judge.Overdue(since, now) }
	for _, w := range r.ledger.Waiting(overdue) {
		r.violation(now, w)
	}
	addrs := r.ledger.Addrs()
	r.judge.Want(addrs, now)
	for a := range addrs {
		for pool, nodes := range pools {
			if pool.Contains(a) {
				r.judge.Confine(a, nodes, now)
			}
		}
	}
	for key, nodes := range places {
		for _, a := range r.ledger.Of(key) {
			r.judge.Confine(a, nodes, now)
		}
	}
	for _, c := range claims {
		r.judge.Claimed(c)
	}
	questions := r.judge.Questions(now)
	r.judge.Tick(now)
	r.mu.Unlock()
	return r.ask(questions)
}

// ask asks for all of the addresses, as many at once as the queues of sockets take.
func (r *Soak) ask(addrs []netip.Addr) error {
	const atOnce = 50
	for len(addrs) > 0 {
		n := min(len(addrs), atOnce)
		now := time.Now()
		if err := r.site.Ask(addrs[:n]); err != nil {
			return err
		}
		r.mu.Lock()
		for _, a := range addrs[:n] {
			r.judge.Asked(a, now)
		}
		r.mu.Unlock()
		addrs = addrs[n:]
	}
	return nil
}

// sample looks at all processes that no fault happens to.
func (r *Soak) sample(ctx context.Context) error {
	for wire.Pause(ctx, sampleEvery) == nil {
		r.site.Sample(ctx)
	}
	return nil
}

// Measure takes one sample of a process, whose metrics are had by get. A process that cannot be reached now is left out: it may just have been started.
func (r *Soak) Measure(ctx context.Context, name string, pid int, get func(context.Context) (string, error)) {
	u, err := measure(ctx, pid, get)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u.At = time.Since(r.begun)
	r.report.Usage[name] = append(r.report.Usage[name], u)
}

// supervise looks whether all processes run.
func (r *Soak) supervise(ctx context.Context) error {
	for wire.Pause(ctx, time.Second) == nil {
		if err := r.site.Supervise(ctx); err != nil {
			return err
		}
	}
	return nil
}

const (
	// tardy is by how much this process may be late and still judge, and starving how long the threads of a speaker may have
	// waited for a CPU in half a second, together.
	tardy    = 250 * time.Millisecond
	starving = 500 * time.Millisecond
)

// punctual finds out when this process or what it watches gets too little of the CPUs for a verdict.
func (r *Soak) punctual(ctx context.Context) error {
	waited := make(map[int]time.Duration)
	last := time.Now()
	for lastLook := last; ; {
		if wire.Pause(ctx, 20*time.Millisecond) != nil {
			return nil
		}
		now := time.Now()
		late := now.Sub(last) > 20*time.Millisecond+tardy
		from := last
		last = now
		if now.Sub(lastLook) > 500*time.Millisecond {
			from, lastLook = lastLook, now
			for _, pid := range r.site.Speakers() {
				total := wire.Starved(pid)
				late = late || total-waited[pid] > starving && waited[pid] > 0
				waited[pid] = total
			}
		}
		if late {
			r.mu.Lock()
			r.judge.Late(from.Add(-time.Second), now.Add(time.Second))
			r.report.Late += now.Sub(from)
			r.mu.Unlock()
		}
	}
}
