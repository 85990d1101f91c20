package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	// profileTimeout leaves room for a CPU profile or trace of a few minutes.
	profileTimeout = 5 * time.Minute
	// idleTimeout is shorter than the usual interval of two scrapes: a scraper connects again.
	idleTimeout    = 15 * time.Second
	maxHeaderBytes = 16 << 10
	// shutdownTimeout is how long answers that have begun may take when the server stops.
	shutdownTimeout = 2 * time.Second
)

// Check is one condition for being ready. Ready returns nil, or what is missing. It is called on every request of
// /readyz, from several goroutines, and must not block.
type Check struct {
	Name  string
	Ready func() error
}

// ServerOptions are what a Server is made of.
type ServerOptions struct {
	// Listen is host:port; empty for no TCP port.
	Listen string
	// Rebindable lets another process of the same user listen on the same port (SO_REUSEPORT, socket(7)), if that one says so
	// too. While both do, the kernel gives each connection to one of them.
	Rebindable bool
	// Pod is the name of this process's pod, for Probe; empty when nobody is going to probe.
	Pod string
	// Status serves the status page, and the status as JSON under /status.json. It is served on StatusListen, which is like Listen,
	// and with Pod under /status.json alone. nil for none.
	Status       http.Handler
	StatusListen string
	// Key returns the secret to encrypt the status with. With Key and Status, Listen serves the encrypted status under
	// /status.sealed. Key is called from several goroutines. nil for no encrypted status.
	Key func(context.Context) ([]byte, error)
	// Statuses is served under /statuses.sealed; nil for none.
	Statuses http.Handler
	// Metrics are served under /metrics.
	Metrics prometheus.Gatherer
	// Checks decide on /readyz.
	Checks []Check
	// PProf adds /debug/pprof/.
	PProf bool
	Log   *slog.Logger
}

// Server serves /metrics, /healthz and /readyz over HTTP, the latter two also for Probe, and the status on an address of its own and for
// the function Status.
type Server struct {
	options ServerOptions
	handler http.Handler
	health  http.Handler
}

// memProfileRate is Go's own: one allocation is noted in so many bytes.
const memProfileRate = 512 * 1024

// NewServer returns a server that does nothing until Run.
func NewServer(options ServerOptions) *Server {
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	health.HandleFunc("GET /readyz", readiness(options.Checks))
	if options.Status != nil {
		health.Handle("GET "+statusPath, options.Status)
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", health)
	mux.Handle("/readyz", health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(options.Metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(options.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxScrapes,
	}))
	if options.Status != nil && options.Key != nil {
		mux.Handle("GET "+SealedPath, newSealer(&options))
	}
	if options.Statuses != nil {
		mux.Handle("GET "+StatusesPath, options.Statuses)
	}
	if options.PProf {
		// The profile of the heap knows what is allocated from here on.
		runtime.MemProfileRate = memProfileRate
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return &Server{options: options, handler: mux, health: health}
}

// readiness answers 200, or 503 with a line for each check that fails.
func readiness(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var missing strings.Builder
		for _, check := range checks {
			if err := check.Ready(); err != nil {
				fmt.Fprintf(&missing, "%s: %v\n", check.Name, err)
			}
		}
		if missing.Len() > 0 {
			answer(w, http.StatusServiceUnavailable, "not ready\n"+missing.String())
			return
		}
		answer(w, http.StatusOK, "ok\n")
	}
}

// answer writes plain text. What the client does not receive it asks for again, so there is nobody to tell.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// Run listens and serves until ctx ends, lets answers that have begun finish for a moment, and returns nil. It returns an
// error when it cannot listen.
func (s *Server) Run(ctx context.Context) error {
	group, serving := errgroup.WithContext(ctx)
	var config net.ListenConfig
	if s.options.Rebindable {
		config.Control = sharePort
	}
	if s.options.Status != nil && s.options.StatusListen != "" {
		group.Go(func() error {
			s.serveStatus(serving, config)
			return nil
		})
	}
	if s.options.Listen != "" {
		group.Go(func() error { return s.listen(serving, config, "tcp", s.options.Listen, s.handler) })
	}
	if s.options.Pod != "" {
		group.Go(func() error {
			return s.listen(serving, net.ListenConfig{}, "unix", probeSocket(s.options.Pod), s.health)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// sharePort lets others of the same user listen on the port of a socket.
func sharePort(_, _ string, socket syscall.RawConn) error {
	var failed error
	if err := socket.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); err != nil {
		return err
	}
	return failed
}

// listen opens an address and serves on it until ctx ends.
func (s *Server) listen(ctx context.Context, config net.ListenConfig, network, address string, handler http.Handler) error {
	listener, err := config.Listen(ctx, network, address)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		// The operation and the address are in our own words already.
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	return s.serve(ctx, listener, handler)
}

// serve serves on listener until ctx ends, and closes it.
func (s *Server) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         new(connections).note,
		// A client that speaks nonsense is no event of ours.
		ErrorLog: slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
		// A running profile ends with the server.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	if s.options.PProf {
		server.WriteTimeout = profileTimeout
	}
	s.options.Log.Info("HTTP server listening", "address", listener.Addr().String())

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.options.Log.Warn("HTTP server closed before all answers were finished", "err", err)
		_ = server.Close() // what it would say was said
	}
	<-failed
	return nil
}
