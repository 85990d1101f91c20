package soak

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/wire"
)

// watch asks the LAN, hears the answers, reads what was written, and does what users do once they may.
func (r *run) watch(ctx context.Context, users <-chan struct{}) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var version uint64
	var lastChurn, lastEvents time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		var err error
		if version, err = r.look(version, now); err != nil {
			return err
		}
		select {
		case <-users:
			if now.Sub(lastChurn) < churnEvery || now.Sub(r.begun) > r.Duration-calm {
				break
			}
			lastChurn = now
			if _, err := r.churn.step(); err != nil {
				return err
			}
			r.report.Deeds++
		default:
		}
		if now.Sub(lastEvents) > time.Minute {
			lastEvents = now
			count, err := r.server.api.DeleteEvents()
			if err != nil {
				return err
			}
			for reason, n := range count {
				r.report.Events[reason] += n
			}
		}
	}
}

// look does that once, for what has happened after a version of the API server's.
func (r *run) look(version uint64, now time.Time) (uint64, error) {
	changes, version, err := r.server.api.Changes("services", version)
	if err != nil {
		return version, err
	}
	claims := r.lab.Claims()
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
	overdue := func(since time.Time) bool { return now.Sub(since) > longestWait || r.judge.Overdue(since, now) }
	for _, w := range r.ledger.Waiting(overdue) {
		r.violation(now, w)
	}
	r.judge.Want(r.ledger.Addrs(), now)
	r.confine(now)
	for _, c := range claims {
		r.judge.Claimed(c)
	}
	questions := r.judge.Questions(now)
	r.judge.Tick(now)
	r.mu.Unlock()
	return version, r.ask(questions)
}

// confine tells the judge which nodes may have the addresses of Services with externalTrafficPolicy Local; mu is held.
func (r *run) confine(now time.Time) {
	macs := r.lab.MACs()
	for name, places := range r.churn.places {
		var nodes []wire.MAC
		for _, n := range places {
			nodes = append(nodes, macs[n])
		}
		for _, a := range r.ledger.Of(types.NamespacedName{Namespace: appNamespace, Name: name}) {
			r.judge.Confine(a, nodes, now)
		}
	}
}

// ask asks for all of the addresses, as many at once as the queues of sockets take.
func (r *run) ask(addrs []netip.Addr) error {
	const atOnce = 50
	for len(addrs) > 0 {
		n := min(len(addrs), atOnce)
		now := time.Now()
		if err := r.lab.Ask(addrs[:n]); err != nil {
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
func (r *run) sample(ctx context.Context) error {
	names := r.lab.Nodes()
	for pause(ctx, sampleEvery) == nil {
		for n, name := range names {
			if !r.nodes[n].TryLock() {
				continue
			}
			if r.lab.Running(n) {
				r.take(ctx, name, r.lab.Process(n), func(ctx context.Context) (string, error) { return r.lab.Get(ctx, n, "/metrics") })
			}
			r.nodes[n].Unlock()
		}
		if !r.scopes[controller].TryLock() {
			continue
		}
		if r.manager.running() {
			r.take(ctx, "controller", r.manager.cmd.Process.Pid, func(ctx context.Context) (string, error) { return r.manager.metrics(ctx, r.http) })
		}
		r.scopes[controller].Unlock()
	}
	return nil
}

// take takes one sample. A process that cannot be reached now is left out: it may just have been started.
func (r *run) take(ctx context.Context, name string, pid int, get func(context.Context) (string, error)) {
	u, err := measure(ctx, pid, get)
	if err != nil {
		return
	}
	u.At = time.Since(r.begun)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Usage[name] = append(r.report.Usage[name], u)
}

// supervise does what kubelets do: who ends by itself is started again; that it does is a violation.
func (r *run) supervise(ctx context.Context) error {
	for pause(ctx, time.Second) == nil {
		for n := range r.Nodes {
			if !r.nodes[n].TryLock() {
				continue
			}
			var err error
			if !r.lab.Running(n) {
				r.violate(time.Now(), fmt.Sprintf("the speaker of node-%d ended by itself: %s", n, r.lab.Exit(n)))
				err = r.lab.Start(n, nil)
			}
			r.nodes[n].Unlock()
			if err != nil {
				return err
			}
		}
		if !r.scopes[controller].TryLock() {
			continue
		}
		var err error
		if !r.manager.running() {
			// It may lose its Lease when it cannot reach the API server, and then has to end.
			r.mu.Lock()
			r.report.Lost++
			r.mu.Unlock()
			err = r.startManager()
		}
		r.scopes[controller].Unlock()
		if err != nil {
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
func (r *run) punctual(ctx context.Context) error {
	waited := make(map[int]time.Duration)
	last := time.Now()
	for lastLook := last; ; {
		if pause(ctx, 20*time.Millisecond) != nil {
			return nil
		}
		now := time.Now()
		late := now.Sub(last) > 20*time.Millisecond+tardy
		from := last
		last = now
		if now.Sub(lastLook) > 500*time.Millisecond {
			from, lastLook = lastLook, now
			for _, pid := range r.speakers() {
				total := starved(pid)
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

// speakers are the processes of those speakers that no fault happens to at the moment.
func (r *run) speakers() (pids []int) {
	for n := range r.nodes {
		if !r.nodes[n].TryLock() {
			continue
		}
		if r.lab.Running(n) {
			pids = append(pids, r.lab.Process(n))
		}
		r.nodes[n].Unlock()
	}
	return pids
}
