package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/wire"
)

// Options say what is to be soaked, and for how long.
type Options struct {
	// Speaker and Controller are the paths of the programs.
	Speaker, Controller string
	// Seed decides about the faults and about what users do.
	Seed     uint64
	Duration time.Duration
	// Nodes is at least 3. Services is how many there are at most, a third of which stay for the whole time; at least 6.
	Nodes, Services int
	// Kinds are the faults that may happen.
	Kinds []Kind
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
	// settleLimit is how long the cluster may take to be at rest, before the first fault and after the last.
	settleLimit = 90 * time.Second
	// longestWait is how long a Service may wait for its address whatever happens, but for a Lease that must run out first.
	longestWait = 90 * time.Second
)

// run is a soak that goes on.
type run struct {
	Options
	schedule Schedule
	begun    time.Time
	lab      *wire.Lab
	server   *server
	churn    *churn
	trace    trace
	http     *http.Client
	// cgroups are the nodes', none where this machine has no such; copies is where the programs are that run in them.
	cgroups []*cgroup
	copies  string

	// nodes and scopes are held while a fault lasts, so that two that came late do not get in each other's way.
	nodes  []sync.Mutex
	scopes [cluster + 1]sync.Mutex
	// manager is the controller that stays, managers how many were started; scopes[controller] guards both.
	manager  *manager
	managers int

	// mu guards the rest.
	mu     sync.Mutex
	judge  *Judge
	ledger *Ledger
	report *Report
}

// Run soaks, and returns what was found. An error means that the soak could not go on.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Nodes < 3 || o.Services < 6 || o.Duration < time.Minute {
		return nil, errors.New("a soak needs at least 3 nodes, 6 Services and a minute")
	}
	r := &run{
		Options: o, schedule: Plan(o.Seed, o.Duration, o.Nodes, o.Kinds), nodes: make([]sync.Mutex, o.Nodes), ledger: NewLedger(),
		server: &server{api: apiserver.New(), dir: o.Logs}, report: newReport(o),
	}
	r.judge = NewJudge(r.judged)
	if err := r.start(); err != nil {
		return nil, err
	}
	defer r.close()
	r.begun = time.Now()
	if err := r.soak(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.report.readLogs(o.Logs)
}

// start makes the cluster.
func (r *run) start() (err error) {
	for _, name := range []string{appNamespace, systemNamespace} {
		if err := r.server.api.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	if err := r.makeCgroups(); err != nil {
		return err
	}
	r.lab, err = wire.New(wire.Options{Speaker: r.Speaker, Nodes: r.Nodes, Logs: r.Logs, Server: r.server, Prepare: r.prepare})
	if err != nil {
		r.close()
		return err
	}
	r.lab.Tap(r.trace.add)
	r.http = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: r.lab.Host().Dial}}
	err = r.restoreConfiguration()
	if err == nil {
		err = r.startManager()
	}
	if err == nil {
		r.churn, err = newChurn(r.Seed, r.server.api, r.lab.Nodes(), r.Services/3, r.Services-r.Services/3)
	}
	if err != nil {
		r.close()
	}
	return err
}

// makeCgroups makes a cgroup for each node, or notes why there can be none.
func (r *run) makeCgroups() (err error) {
	if r.copies, err = os.MkdirTemp("", "soaked-"); err != nil {
		return err
	}
	names := make([]string, r.Nodes)
	for n := range names {
		names[n] = fmt.Sprintf("node-%d", n)
	}
	if r.cgroups, err = newCgroups(names, r.Speaker, r.copies); err != nil {
		r.report.NoCgroups = err.Error()
	}
	return nil
}

// prepare has a node's speaker start in the node's cgroup.
func (r *run) prepare(number int, speaker *exec.Cmd) error {
	if len(r.cgroups) == 0 {
		return nil
	}
	return r.cgroups[number].enter(speaker, r.Speaker)
}

// close removes the cluster.
func (r *run) close() {
	if r.lab != nil {
		r.lab.Close()
	}
	closeCgroups(r.cgroups)
	_ = os.RemoveAll(r.copies) // nobody needs them
}

// soak lets all happen.
func (r *run) soak(ctx context.Context) error {
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
		r.begun = time.Now()
		close(users)
		r.report.Settled = true
		err = r.happen(watching)
	}
	if err == nil {
		err = r.settle(watching)
	}
	if err == nil {
		err = pause(watching, 3*sampleEvery) // the last samples
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
func (r *run) happen(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var faults sync.WaitGroup
	for i, f := range r.schedule {
		if pause(ctx, time.Until(r.begun.Add(f.At))) != nil {
			break
		}
		fmt.Fprintf(r.Progress, "%s\n", f)
		faults.Go(func() {
			if err := r.fault(ctx, i, f); err != nil {
				stop(fmt.Errorf("%s: %w", f, err))
			}
		})
	}
	_ = pause(ctx, time.Until(r.begun.Add(r.Duration-calm)))
	faults.Wait()
	return context.Cause(ctx)
}

// fault lets one happen.
func (r *run) fault(ctx context.Context, _ int, f Fault) error {
	rule := ruleOf(f.Kind)
	if f.Node >= 0 {
		r.nodes[f.Node].Lock()
		defer r.nodes[f.Node].Unlock()
	}
	r.scopes[rule.scope].Lock()
	defer r.scopes[rule.scope].Unlock()
	if ctx.Err() != nil || needsCgroups(f.Kind) && len(r.cgroups) == 0 {
		return nil
	}
	begun := time.Now()
	r.mu.Lock()
	ended := r.judge.Begin(f.Kind, r.mac(f.Node), begun)
	r.report.Faults[f.Kind].Count++
	r.mu.Unlock()
	end, err := deeds[f.Kind](ctx, r, f)
	if err == nil {
		_ = pause(ctx, time.Until(begun.Add(f.For)))
	}
	// It is ended also where it could not begin as a whole.
	err = errors.Join(err, end())
	r.mu.Lock()
	defer r.mu.Unlock()
	ended(time.Now())
	return err
}

// mac is the MAC address of a node, none's for -1.
func (r *run) mac(number int) (m wire.MAC) {
	if number >= 0 {
		m = r.lab.MACs()[number]
	}
	return m
}

// settle waits until every Service has its addresses, and one node answers for each of them.
func (r *run) settle(ctx context.Context) error {
	limit := time.Now().Add(settleLimit)
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
			r.violate(time.Now(), fmt.Sprintf("not at rest after %v: %q", settleLimit, open))
			return nil
		}
		if err := pause(ctx, askEvery); err != nil {
			return err
		}
	}
}

// judged takes a span from the judge; mu is held.
func (r *run) judged(s Span) {
	r.report.add(s)
	if s.Broken() {
		r.violation(s.From, s.String())
	}
}

// violate reports what must not be.
func (r *run) violate(at time.Time, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violation(at, what)
}

// mostKept is of how many violations the trace and the ends of the logs are kept.
const mostKept = 10

// violation does that with mu held, and keeps what may explain it.
func (r *run) violation(at time.Time, what string) {
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
func (r *run) keep(path string, at time.Time, v Violation) error {
	text, err := os.Create(path + ".txt")
	if err != nil {
		return err
	}
	defer text.Close()
	fmt.Fprintf(text, "%s\n\nseed %d; what had begun by then:\n", v, r.Seed)
	for _, f := range r.schedule {
		if f.At <= v.After+settling {
			fmt.Fprintln(text, f)
		}
	}
	err = wire.WriteLogs(text, r.Logs)
	packets, failed := os.Create(path + ".pcap")
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer packets.Close()
	return errors.Join(err, r.trace.write(packets, at.Add(-5*time.Second), time.Now()))
}
