package bfd

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a Monitor. All fields are optional.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Changed is called after each change of the state of a session, by the thread that keeps the sessions: Changed
	// must not block.
	Changed func(Status)
	// Adopt holds the sessions of the previous process. Until the first Set they are the targets. Run closes the files.
	Adopt []Detached
}

// Monitor keeps BFD sessions. All methods may be called from any goroutine, Run only once.
type Monitor struct {
	log     *slog.Logger
	changed func(Status)
	metrics *metrics
	wanted  atomic.Pointer[[]Target]
	status  atomic.Pointer[[]entry]
	stop    atomic.Bool
	detach  atomic.Bool
	// reports carries what the loop has to say in the log.
	reports  chan report
	detached []Detached
	ended    chan struct{}
	// mutex guards waker and adopt. The loop never takes mutex: the file descriptor must not be closed, and used again
	// by others, while Set writes to the descriptor.
	mutex sync.Mutex
	waker *waker
	adopt []Detached
}

// entry is a session in the published status.
type entry struct {
	Status
	counts *counts
}

// report is a line of the log.
type report struct {
	level   slog.Level
	message string
	status  Status
	err     error
}

// New returns a Monitor that does nothing before Run.
func New(o Options) *Monitor {
	m := &Monitor{log: o.Log, changed: o.Changed, adopt: o.Adopt, reports: make(chan report, 256),
		ended: make(chan struct{})}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.changed == nil {
		m.changed = func(Status) {}
	}
	m.metrics = newMetrics(o.Registerer, m)
	return m
}

// Set replaces the targets. A session whose target was removed tells its peer AdminDown. A changed profile does not
// reset the session. Of several targets with equal keys the first counts.
func (m *Monitor) Set(targets []Target) {
	targets = slices.Clone(targets)
	m.wanted.Store(&targets)
	m.wake()
}

// Status returns the sessions in the order of the targets, as of the last change. The caller may change the result.
func (m *Monitor) Status() []Status {
	entries := m.status.Load()
	if entries == nil {
		return nil
	}
	list := make([]Status, len(*entries))
	for i, e := range *entries {
		list[i] = e.Status
	}
	return list
}

// Detach stops sending and receiving, and returns the sessions for another process. Run then ends without telling the
// peers, who see nothing when a Monitor adopts the sessions within their detection times. The caller closes the files.
// Detach returns nil after the end of Run.
func (m *Monitor) Detach() []Detached {
	m.mutex.Lock()
	if m.waker == nil { // Run has not begun, or has ended
		defer m.mutex.Unlock()
		m.detach.Store(true)
		adopt := m.adopt
		m.adopt = nil
		return adopt
	}
	m.detach.Store(true)
	m.waker.wake()
	m.mutex.Unlock()
	<-m.ended
	m.mutex.Lock()
	defer m.mutex.Unlock()
	list := m.detached
	m.detached = nil
	return list
}

// Run keeps the sessions until ctx ends or Detach is called, and returns nil then. At the end of ctx the peers are told
// AdminDown. Run locks its goroutine to a thread, whose priority is raised for that time.
func (m *Monitor) Run(ctx context.Context) error {
	defer close(m.ended)
	m.mutex.Lock()
	adopt := m.adopt
	m.adopt = nil
	if m.detach.Load() {
		m.mutex.Unlock()
		return nil
	}
	w, err := newWaker()
	m.waker = w
	m.mutex.Unlock()
	if err != nil {
		return err
	}
	defer m.closeWaker()
	defer context.AfterFunc(ctx, func() {
		m.stop.Store(true)
		m.wake()
	})()
	var logging sync.WaitGroup
	logging.Go(func() {
		for r := range m.reports {
			m.write(r)
		}
	})
	defer logging.Wait()
	defer close(m.reports)
	return runLoop(m, w, adopt)
}

func (m *Monitor) wake() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.waker != nil {
		m.waker.wake()
	}
}

func (m *Monitor) closeWaker() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.waker.close()
	m.waker = nil
}

// say passes a report to the goroutine that writes the log, and drops the report when that goroutine is far behind.
func (m *Monitor) say(r report) {
	select {
	case m.reports <- r:
	default:
	}
}

func (m *Monitor) write(r report) {
	attributes := []slog.Attr{}
	if r.status.Remote.IsValid() {
		attributes = append(attributes, slog.String("peer", r.status.Remote.String()), slog.String("state",
			r.status.State.String()),
			slog.String("diagnostic", r.status.Diagnostic.String()), slog.String("remoteDiagnostic",
				r.status.RemoteDiagnostic.String()),
			slog.Duration("interval", r.status.TransmitInterval.Round(time.Millisecond)))
	}
	if r.err != nil {
		attributes = append(attributes, slog.Any("err", r.err))
	}
	m.log.LogAttrs(context.Background(), r.level, r.message, attributes...)
}
