package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lanlord/lanlord/e2e/ether"
	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

// Options say what is to be soaked, and for how long.
type Options struct {
	// Seed decides about the faults and about what users do.
	Seed     uint64
	Duration time.Duration
	// Nodes are those that faults happen to, at least 3. Services is how many there are at most, a third of which stay for the
	// whole time; at least 6.
	Nodes, Services int
	// Kinds are the faults that may happen.
	Kinds []fault.Kind
	// Logs is an existing directory for all logs, and what belongs to violations.
	Logs string
	// Progress is told what happens, a line each.
	Progress io.Writer
}

const (
	// askEvery is the time between two questions for each address, churnEvery that between two deeds of users, and sampleEvery
	// that between two looks at the processes.
	askEvery    = 100 * time.Millisecond
	churnEvery  = 900 * time.Millisecond
	sampleEvery = 5 * time.Second
)

// Soak is one that goes on.
type Soak struct {
	Options
	site     Site
	rules    Rules
	schedule Schedule
	trace    ether.Trace

	// nodes and scopes are held while a fault lasts, so that two that came late do not get in each other's way.
	nodes  []sync.Mutex
	scopes [fault.Scopes]sync.Mutex

	// mu guards the rest. begun is when users and faults begin.
	mu     sync.Mutex
	begun  time.Time
	judge  *Judge
	ledger *Ledger
	report *Report
}

// Run soaks somewhere, and returns what was found. An error means that the soak could not go on.
func Run(ctx context.Context, o Options, site Site) (*Report, error) {
	if o.Nodes < 3 || o.Services < 6 || o.Duration < time.Minute {
		return nil, errors.New("a soak needs at least 3 nodes, 6 Services and a minute")
	}
	rules := site.Rules()
	r := &Soak{
		Options: o, site: site, rules: rules, schedule: Plan(rules, o.Seed, o.Duration, o.Nodes, o.Kinds), nodes: make([]sync.Mutex, o.Nodes),
		begun: time.Now(), ledger: NewLedger(), report: newReport(o, rules),
	}
	r.judge = NewJudge(rules, r.judged)
	defer site.Close()
	if err := site.Start(ctx, r); err != nil {
		return nil, err
	}
	if err := r.soak(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.report.readLogs(o.Logs)
}

// soak lets all happen.
func (r *Soak) soak(ctx context.Context) error {
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watchers sync.WaitGroup
	users := make(chan struct{})
	for _, f := range []func(context.Context) error{
		func(ctx context.Context) error { return r.watch(ctx, users) }, r.sample, r.supervise, r.punctual,
	} {
		watchers.Go(func() {
			if err := f(watching); err != nil {
				stop(err)
			}
		})
	}
	err := r.settle(watching)
	if err == nil {
		r.mu.Lock()
		r.begun, r.report.Settled = time.Now(), true
		r.mu.Unlock()
		close(users)
		err = r.happen(watching)
	}
	if err == nil {
		err = r.settle(watching)
	}
	if err == nil {
		err = wire.Pause(watching, 3*sampleEvery) // the last samples
	}
	stop(nil)
	watchers.Wait()
	if cause := context.Cause(watching); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judge.Tick(time.Now())
	r.report.finish(r.ledger, time.Since(r.begun))
	return err
}

// happen lets the faults of the schedule happen, each when it is its time, and waits for the end of the last one.
func (r *Soak) happen(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var faults sync.WaitGroup
	for _, f := range r.schedule {
		if wire.Pause(ctx, time.Until(r.begun.Add(f.At))) != nil {
			break
		}
		fmt.Fprintf(r.Progress, "%s\n", f)
		faults.Go(func() {
			if err := r.fault(ctx, f); err != nil {
				stop(fmt.Errorf("%s: %w", f, err))
			}
		})
	}
	_ = wire.Pause(ctx, time.Until(r.begun.Add(r.Duration-calm)))
	faults.Wait()
	return context.Cause(ctx)
}

// fault lets one happen.
func (r *Soak) fault(ctx context.Context, f Fault) error {
	rule := r.rules.Of(f.Kind)
	for n := range r.nodes {
		if n == f.Node || rule.Has(fault.Everywhere) {
			r.nodes[n].Lock()
			defer r.nodes[n].Unlock()
		}
	}
	r.scopes[rule.Scope].Lock()
	defer r.scopes[rule.Scope].Unlock()
	if ctx.Err() != nil || r.report.without(f.Kind) {
		return nil
	}
	if late := time.Since(r.begun) - f.At; r.rules.Punctuality > 0 && late > r.rules.Punctuality {
		r.Count(func(p *Report) { p.Skipped++ })
		return nil
	}
	var who wire.MAC
	if f.Node >= 0 {
		who = r.site.MACs()[f.Node]
	}
	begun := time.Now()
	r.mu.Lock()
	ended := r.judge.Begin(f.Kind, who, begun)
	r.report.Faults[f.Kind].Count++
	r.mu.Unlock()
	end, err := r.site.Begin(ctx, f)
	if err == nil {
		_ = wire.Pause(ctx, time.Until(begun.Add(f.For)))
	}
	// It is ended also where it could not begin as a whole.
	err = errors.Join(err, end())
	r.mu.Lock()
	defer r.mu.Unlock()
	ended(time.Now())
	return err
}

// settle waits until every Service has its addresses, and one node answers for each of them.
func (r *Soak) settle(ctx context.Context) error {
	limit := time.Now().Add(r.rules.Rest)
	for {
		r.mu.Lock()
		open := r.judge.Restless(time.Now())
		if n := r.ledger.Open(); n > 0 || r.ledger.Len() == 0 {
			open = append(open, fmt.Sprintf("%d of %d Services wait for addresses", n, r.ledger.Len()))
		}
		r.mu.Unlock()
		if len(open) == 0 {
			return nil
		}
		if time.Now().After(limit) {
			r.Violate(time.Now(), fmt.Sprintf("not at rest after %v: %q", r.rules.Rest, open))
			return nil
		}
		if err := wire.Pause(ctx, askEvery); err != nil {
			return err
		}
	}
}

// judged takes a span from the judge; mu is held.
func (r *Soak) judged(s Span) {
	r.report.add(s)
	if s.Broken() {
		r.violation(s.From, s.String())
	}
}

// Violate reports what must not be.
func (r *Soak) Violate(at time.Time, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violation(at, what)
}

// Unhindered calls f unless a fault happens to a node, and keeps faults from it meanwhile.
func (r *Soak) Unhindered(node int, f func() error) error {
	if !r.nodes[node].TryLock() {
		return nil
	}
	defer r.nodes[node].Unlock()
	return f()
}

// WithoutFault calls f unless a fault of a scope happens, and keeps such from happening meanwhile.
func (r *Soak) WithoutFault(of fault.Scope, f func() error) error {
	if !r.scopes[of].TryLock() {
		return nil
	}
	defer r.scopes[of].Unlock()
	return f()
}

// Count changes a number of the report.
func (r *Soak) Count(change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.report)
}

// Requested notes what came of a request to an address that is to be answered, which began at a time.
func (r *Soak) Requested(target netip.AddrPort, began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests++
	if err != nil {
		r.report.Failed++
	}
	r.judge.Requested(target, began, err == nil)
}

// Unrequested notes that nothing more is requested from an address.
func (r *Soak) Unrequested(target netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.judge.Unrequested(target)
}

// Saw notes a frame that has passed. It keeps no part of it.
func (r *Soak) Saw(at time.Time, frame []byte) { r.trace.Add(at, frame) }

// mostKept is of how many violations the trace and the ends of the logs are kept.
const mostKept = 10

// violation does that with mu held, and keeps what may explain it.
func (r *Soak) violation(at time.Time, what string) {
	v := Violation{After: at.Sub(r.begun), What: what}
	r.report.Violations = append(r.report.Violations, v)
	number := len(r.report.Violations)
	fmt.Fprintf(r.Progress, "violation %d: %s\n", number, v)
	if number > mostKept {
		return
	}
	if err := r.keep(filepath.Join(r.Logs, fmt.Sprintf("violation-%d", number)), at, v); err != nil {
		fmt.Fprintf(r.Progress, "what belongs to it could not be kept: %v\n", err)
	}
}

// keep writes the schedule up to a violation with the ends of the logs, and the trace around it.
func (r *Soak) keep(path string, at time.Time, v Violation) error {
	text, err := os.Create(path + ".txt")
	if err != nil {
		return err
	}
	defer text.Close()
	fmt.Fprintf(text, "%s\n\nseed %d; what had begun by then:\n", v, r.Seed)
	for _, f := range r.schedule {
		if f.At <= v.After+r.rules.Settling {
			fmt.Fprintln(text, f)
		}
	}
	err = wire.WriteLogs(text, r.Logs)
	packets, failed := os.Create(path + ".pcap")
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer packets.Close()
	return errors.Join(err, r.trace.Write(packets, at.Add(-5*time.Second), time.Now()))
}
