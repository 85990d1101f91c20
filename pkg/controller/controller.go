package controller

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// writers is the number of concurrent writes. A write mostly waits for the disk of the API server.
	writers = 8
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
	// planTime bounds the wait for the writes of one plan. Writes that have not begun by then are decided anew, and
	// writes that hang are left alone: the cluster changes while an API server is slow.
	planTime = 2 * time.Second
	// pauseFactor and maxPause bound how much of a processor deciding takes while Services come by the thousand: the loop
	// pauses this many times as long as the last decision took. In a small cluster that is nothing.
	pauseFactor = 4
	maxPause    = 50 * time.Millisecond
	// minBackoff and maxBackoff bound how long a Service whose write has failed is left alone.
	minBackoff = 100 * time.Millisecond
	maxBackoff = time.Minute
)

// Source gives the cluster as it is known now. What was written successfully is in it.
type Source interface{ Snapshot() cluster.Snapshot }

// Writer changes the cluster. Its methods are called from several goroutines.
type Writer interface {
	// Write makes the Service as the Update says, and leaves the Update's Events to the caller. An error that wraps
	// cluster.ErrChanged means that nothing was written; after any other it is not known.
	Write(context.Context, cluster.Update) error
	// Event never blocks.
	Event(cluster.Event)
}

// Options are what a Controller works with. All but Registerer are required.
type Options struct {
	Source     Source
	Writer     Writer
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// AddressMetrics adds a series for each address of each Service.
	AddressMetrics bool
}

// Controller is the loop that gives addresses to Services.
type Controller struct {
	Options
	wake    chan struct{}
	summary atomic.Pointer[Summary]
	metrics *metrics
	view    atomic.Pointer[view]

	// The rest is Run's alone.

	// pausing is until when the loop pauses.
	pausing  time.Time
	memory   memory
	arrivals arrivals
	ledger   ledger
	retries  map[cluster.Key]retry
	// turn counts the turns of the loop. writing are the Services that a write is under way for, and the turn that began
	// it; each ends with a result.
	turn    int
	writing map[cluster.Key]int
	results chan result
	// announced holds what was announced before a write until the write succeeds, so that a retry sends no Event again.
	announced map[cluster.Key]announcement
	// reported is the ConfigMap that was last reported about.
	reported report
	contests contests
	// delayed is the hash of the configuration whose withdraw-delay was last reported about, 0 for none.
	delayed     uint64
	withdrawals withdrawalLog
}

// result is the outcome of a write.
type result struct {
	update cluster.Update
	err    error
}

// announcement holds the addresses whose loss was announced before a write to the Service of this UID.
type announcement struct {
	uid   string
	addrs []netip.Addr
}

// retry holds when a Service may be written again.
type retry struct {
	// uid and version are of the Service as it was. Once it is another one, it may be written at once.
	uid, version string
	failures     int
	after        time.Time
}

// New returns a Controller, which does nothing before Run.
func New(o Options) *Controller {
	c := &Controller{
		Options: o,
		wake:    make(chan struct{}, 1),
	}
	c.forget()
	c.metrics = newMetrics(o.Registerer, c)
	return c
}

// forget makes the loop know as little as after a start of the process: another controller may have decided meanwhile.
func (c *Controller) forget() {
	c.pausing, c.turn, c.reported, c.delayed = time.Time{}, 0, report{}, 0
	c.withdrawals = withdrawalLog{losing: map[cluster.Key]struct{}{}, lost: map[cluster.Key]struct{}{}}
	c.memory, c.arrivals, c.ledger = newMemory(), arrivals{}, ledger{}
	c.retries, c.writing, c.results = map[cluster.Key]retry{}, map[cluster.Key]int{}, make(chan result)
	c.announced, c.contests = map[cluster.Key]announcement{}, contests{of: map[cluster.Key]*contest{}}
}

// Wake makes the loop decide anew. It never blocks.
func (c *Controller) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Summary returns the counts of the last plan. The caller must not change them.
func (c *Controller) Summary() Summary {
	if s := c.summary.Load(); s != nil {
		return *s
	}
	return Summary{}
}

// Run decides and writes until ctx is cancelled, and then returns nil. The Source must be up to date when Run is called:
// a Service that it does not show yet counts for nothing, and neither do its addresses. Run may be called again after it
// has returned.
func (c *Controller) Run(ctx context.Context) error {
	c.forget()
	var writes sync.WaitGroup
	defer writes.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-c.results:
			c.ended(r)
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
		if c.pause(ctx); ctx.Err() != nil {
			return nil
		}
		if next := c.step(ctx, &writes); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// pause waits until c.pausing. What changes meanwhile is decided on together.
func (c *Controller) pause(ctx context.Context) {
	wait := time.Until(c.pausing)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step is one turn of the loop. It returns when the next one is due even if nobody wakes the loop, the zero Time for never.
func (c *Controller) step(ctx context.Context, writes *sync.WaitGroup) time.Time {
	now := time.Now()
	snapshot := c.Source.Snapshot()
	c.report(snapshot)
	c.memory.observe(snapshot.Services, now)
	c.arrivals.observe(snapshot.Services, now)
	if snapshot.Config == nil {
		c.view.Store(&view{snapshot: snapshot, decided: now})
		return time.Time{}
	}
	delay := snapshot.Config.Allocation.ReleaseDelay
	plan := c.ledger.decide(snapshot, c.memory.resting(now, delay))
	c.summary.Store(&plan.Summary)
	c.view.Store(&view{snapshot, plan, slices.Clone(c.memory.rests), now})
	c.reportWithdrawals(snapshot, &plan)
	decided := time.Now()
	c.pausing = decided.Add(min(pauseFactor*decided.Sub(now), maxPause))
	if c.apply(ctx, writes, c.due(ctx, plan.Updates, snapshot, now)) {
		return now
	}
	next := c.memory.expiry(delay)
	for key, r := range c.retries {
		// A write that is under way wakes the loop when it ends.
		if _, writing := c.writing[key]; !writing && (next.IsZero() || r.after.Before(next)) {
			next = r.after
		}
	}
	return next
}

// due returns the updates that may be written now, and forgets of the others what nothing is waiting for.
func (c *Controller) due(ctx context.Context, updates []cluster.Update, snapshot cluster.Snapshot, now time.Time) []cluster.Update {
	c.contests.forget(now)
	due := make([]cluster.Update, 0, len(updates))
	waiting, announced := make(map[cluster.Key]retry), make(map[cluster.Key]announcement)
	for _, u := range updates {
		r, ok := c.retries[u.Key]
		if ok && (r.uid != u.UID || r.version != u.Version) {
			ok = false
		}
		if ok {
			waiting[u.Key] = r
		}
		if a, ok := c.announced[u.Key]; ok && a.uid == u.UID {
			announced[u.Key] = a
		}
		if _, writing := c.writing[u.Key]; writing || ok && now.Before(r.after) {
			continue
		}
		u, hold := c.contest(ctx, u, snapshot, now)
		if now.Before(hold) {
			waiting[u.Key] = retry{uid: u.UID, version: u.Version, after: hold}
			continue
		}
		due = append(due, u)
	}
	c.retries = waiting
	c.announced = announced
	return due
}

// contest returns the update to write where another controller changes the status back, and the time before which it must
// not be written; u and zero for any other Service.
func (c *Controller) contest(
	ctx context.Context, u cluster.Update, snapshot cluster.Snapshot, now time.Time,
) (cluster.Update, time.Time) {
	if c.contests.of[u.Key] == nil {
		return u, time.Time{}
	}
	svc := snapshot.Service(u.Key)
	v := c.contests.judge(u, svc, now)
	if v.contested {
		if v.begins {
			c.tell(ctx, []cluster.Event{contestEvent(u, svc)})
		}
		u = contested(u, svc)
	}
	return u, v.hold
}

// apply begins the writes and waits for them, at most for planTime. It reports whether to decide again at once: a write
// succeeded, so that a released address can be assigned, or a write was not begun.
func (c *Controller) apply(ctx context.Context, writes *sync.WaitGroup, updates []cluster.Update) (again bool) {
	c.turn++
	timeout := time.NewTimer(planTime)
	defer timeout.Stop()
	before := len(c.writing)
	for len(updates) > 0 || len(c.writing) > before {
		if len(updates) > 0 && len(c.writing) < writers {
			u := updates[0]
			updates = updates[1:]
			c.writing[u.Key] = c.turn
			c.memory.doubt(u)
			before := c.unannounced(u)
			writes.Go(func() {
				c.tell(ctx, before)
				c.write(ctx, u)
			})
			continue
		}
		select {
		case r := <-c.results:
			if c.writing[r.update.Key] != c.turn {
				before--
			}
			again = c.ended(r) || again
		case <-timeout.C:
			return again || len(updates) > 0
		case <-ctx.Done():
			return false
		}
	}
	return again
}

// unannounced returns what is to be told before u is written and has not been told yet.
func (c *Controller) unannounced(u cluster.Update) []cluster.Event {
	if len(u.Before) == 0 {
		return nil
	}
	known := c.announced[u.Key]
	known.uid = u.UID
	var events []cluster.Event
	for _, e := range u.Before {
		if !slices.Contains(known.addrs, e.Addr) {
			known.addrs = append(known.addrs, e.Addr)
			events = append(events, e)
		}
	}
	c.announced[u.Key] = known
	return events
}

// write makes one write, tells of it when it is done, and hands the result to the loop.
func (c *Controller) write(ctx context.Context, u cluster.Update) {
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := c.Writer.Write(bounded, u)
	if err == nil {
		c.tell(ctx, u.Events)
	}
	select {
	case c.results <- result{u, err}:
	case <-ctx.Done():
	}
}

// tell logs Events about Services and sends them.
func (c *Controller) tell(ctx context.Context, events []cluster.Event) {
	for _, e := range events {
		level := slog.LevelInfo
		if e.Warning {
			level = slog.LevelWarn
		}
		key := cluster.Key{Namespace: e.Object.Namespace, Name: e.Object.Name}
		c.Log.Log(ctx, level, e.Message, "service", key, "reason", e.Reason)
		c.Writer.Event(e)
	}
}

// ended notes how a write ended, and returns whether it succeeded. A Service that was written, or that has changed
// meanwhile, is written again when the snapshot shows that, or after the backoff should it never do so.
func (c *Controller) ended(r result) bool {
	u := r.update
	delete(c.writing, u.Key)
	if r.err == nil {
		delete(c.announced, u.Key)
		c.contests.wrote(u, time.Now())
		c.withdrawals.wrote(u.Key)
		if waited, ok := c.arrivals.served(u, time.Now()); ok {
			c.metrics.assignment.Observe(waited.Seconds())
		}
	}
	failures := c.retries[u.Key].failures + 1
	backoff := min(minBackoff<<min(failures-1, 16), maxBackoff)
	c.retries[u.Key] = retry{u.UID, u.Version, failures, time.Now().Add(backoff)}
	if r.err != nil && !errors.Is(r.err, cluster.ErrChanged) {
		c.Log.Warn("Service not written", "service", u.Key, "err", r.err, "retry_in", backoff)
	}
	return r.err == nil
}
