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
	// writers is the number of concurrent writes. A write spends most of its time waiting for the disk of the API
	// server.
	writers = 8
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
	// planTime bounds the wait for the writes of one plan. After planTime, the loop decides again about writes that
	// have not begun, and no longer waits for writes that hang, because the cluster can change while an API server is
	// slow.
	planTime = 2 * time.Second
	// pauseFactor and maxPause bound the processor time for decisions while thousands of Services arrive. The loop
	// pauses for pauseFactor times the duration of the last decision, but at most for maxPause. In a small cluster the
	// pause is negligible.
	pauseFactor = 4
	maxPause    = 50 * time.Millisecond
	// minBackoff and maxBackoff bound the delay before the next write to a Service after a failed write.
	minBackoff = 100 * time.Millisecond
	maxBackoff = time.Minute
)

// Source returns the current known state of the cluster. A snapshot contains all successful writes.
type Source interface{ Snapshot() cluster.Snapshot }

// Writer changes the cluster. Several goroutines call the methods of a Writer.
type Writer interface {
	// Write changes the Service as described by the Update. The caller sends the Events of the Update. An error that
	// wraps cluster.ErrChanged means that nothing was written. After any other error, the result of the write is
	// unknown.
	Write(context.Context, cluster.Update) error
	// Event sends an Event. Event never blocks.
	Event(cluster.Event)
}

// Options holds the dependencies of a Controller. All fields but Registerer and AddressMetrics are required.
type Options struct {
	Source     Source
	Writer     Writer
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// AddressMetrics adds a time series for each address of each Service.
	AddressMetrics bool
}

// Controller runs the loop that assigns addresses to Services.
type Controller struct {
	Options
	wake    chan struct{}
	summary atomic.Pointer[Summary]
	metrics *metrics
	view    atomic.Pointer[view]

	// Only the goroutine of Run uses the fields below.

	// pausing is the end of the current pause of the loop.
	pausing  time.Time
	memory   memory
	arrivals arrivals
	ledger   ledger
	retries  map[cluster.Key]retry
	// turn counts the turns of the loop. writing maps each Service with a write in progress to the turn that began the
	// write. Each write ends with a result.
	turn    int
	writing map[cluster.Key]int
	results chan result
	// announced holds the losses announced before a write until the write succeeds, so that a retry does not repeat the
	// Events.
	announced map[cluster.Key]announcement
	// reported describes the last ConfigMap that was reported.
	reported report
	contests contests
	// delayed is the hash of the last configuration with a reported withdraw-delay, or 0.
	delayed     uint64
	withdrawals withdrawalLog
}

// result holds the outcome of a write.
type result struct {
	update cluster.Update
	err    error
}

// announcement holds the lost addresses that were announced before a write to the Service with this UID.
type announcement struct {
	uid   string
	addrs []netip.Addr
}

// retry holds the earliest time of the next write to a Service.
type retry struct {
	// uid and version identify the Service at the time of the last write. A Service with another UID or version may be
	// written at once.
	uid, version string
	failures     int
	after        time.Time
}

// New returns a Controller. The Controller does nothing before Run.
func New(o Options) *Controller {
	c := &Controller{
		Options: o,
		wake:    make(chan struct{}, 1),
	}
	c.forget()
	c.metrics = newMetrics(o.Registerer, c)
	return c
}

// forget resets the state of the loop to the state after a start of the process, because another controller may have
// decided in the meantime.
func (c *Controller) forget() {
	c.pausing, c.turn, c.reported, c.delayed = time.Time{}, 0, report{}, 0
	c.withdrawals = withdrawalLog{losing: map[cluster.Key]struct{}{}, lost: map[cluster.Key]struct{}{}}
	c.memory, c.arrivals, c.ledger = newMemory(), arrivals{}, ledger{}
	c.retries, c.writing, c.results = map[cluster.Key]retry{}, map[cluster.Key]int{}, make(chan result)
	c.announced, c.contests = map[cluster.Key]announcement{}, contests{of: map[cluster.Key]*contest{}}
}

// Wake makes the loop decide again. Wake never blocks.
func (c *Controller) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Summary returns the counts of the last plan. The caller must not change the result.
func (c *Controller) Summary() Summary {
	if s := c.summary.Load(); s != nil {
		return *s
	}
	return Summary{}
}

// Run decides and writes until ctx is cancelled, and then returns nil. The Source must be up to date when Run is
// called, because Run treats the addresses of a missing Service as free. Run may be called again after Run has
// returned.
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

// pause waits until c.pausing. The next turn handles all changes during the pause together.
func (c *Controller) pause(ctx context.Context) {
	if wait := time.Until(c.pausing); wait > 0 {
		pause(ctx, wait)
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step runs one turn of the loop. step returns the time when the next turn is due without a wake-up, the zero Time for
// never.
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
		// The end of a write in progress wakes the loop anyway.
		if _, writing := c.writing[key]; !writing && (next.IsZero() || r.after.Before(next)) {
			next = r.after
		}
	}
	return next
}

// due returns the updates that may be written now. due also removes the retries and announcements that belong to none
// of the updates.
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

// contest returns the update to write if another controller changes the status of the Service back, and the time before
// which the update must not be written. For any other Service, contest returns u and the zero Time.
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

// apply begins the writes and waits for their results, at most for planTime. apply reports whether the loop must decide
// again at once, because a write succeeded and may have released an address for another Service, or because a write was
// not begun.
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

// unannounced returns the Events that are due before the write of u and were not sent yet.
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

// write executes one write, sends the Events of a successful write, and passes the result to the loop.
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

// tell logs and sends Events about Services.
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

// ended records the outcome of a write, and reports whether the write succeeded. The next write to the Service may
// begin as soon as the snapshot shows another version of the Service, or after the backoff if the version stays the
// same.
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
