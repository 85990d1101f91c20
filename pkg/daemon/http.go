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
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	// profileTimeout is long enough for a CPU profile or trace of a few minutes.
	profileTimeout = 5 * time.Minute
	// idleTimeout is shorter than the usual interval of two scrapes: a scraper connects again.
	idleTimeout    = 15 * time.Second
	maxHeaderBytes = 16 << 10
	// installedPath is the path of ServerOptions.Installed.
	installedPath = "/installed"
	// shutdownTimeout is the time in which started answers must finish when the server stops.
	shutdownTimeout = 2 * time.Second
)

// Check is one condition for readiness. Ready returns nil, or an error that describes the missing condition. Several
// goroutines call Ready, on every request of /readyz. Ready must not block.
type Check struct {
	Name  string
	Ready func() error
}

// ServerOptions configures a Server.
type ServerOptions struct {
	// Listen is host:port. An empty Listen opens no TCP port.
	Listen string
	// Rebindable lets another process of the same user listen on the same port (SO_REUSEPORT, socket(7)), if that
	// process sets Rebindable too. While both processes listen, the kernel gives each connection to one of them.
	Rebindable bool
	// Installation is the namespace of this Lanlord. With Rebindable, the server shares its ports only with processes of
	// the same installation, and waits while another installation uses a port. An empty Installation shares with all.
	Installation string
	// Pod is the name of this process's pod, for Probe. An empty Pod opens no socket for probes.
	Pod string
	// Status serves the status page, and the status as JSON under /status.json. The server uses Status on StatusListen,
	// an address like Listen, and on the socket of Pod for /status.json only. A nil Status serves no status.
	Status       http.Handler
	StatusListen string
	// Path probes the path to an address, under /path.json on the socket of Pod only. A nil Path serves nothing there.
	Path http.Handler
	// Key returns the secret for the encryption of the status. With Key and Status, Listen serves the encrypted status
	// under /status.sealed. Several goroutines call Key. A nil Key serves no encrypted status.
	Key func(context.Context) ([]byte, error)
	// Statuses serves /statuses.sealed. A nil Statuses serves nothing there.
	Statuses http.Handler
	// Installed serves /installed, for a test of the installation. A nil Installed serves nothing there.
	Installed http.Handler
	// Metrics are served under /metrics.
	Metrics prometheus.Gatherer
	// Checks decide the answer of /readyz.
	Checks []Check
	// Busy is called before each answer but those of /healthz and /readyz. Busy must not block. A nil Busy is not called.
	Busy func()
	// PProf adds /debug/pprof/.
	PProf bool
	Log   *slog.Logger
}

// Server serves /metrics, /healthz and /readyz over HTTP. On the socket of a pod, Server serves /healthz and /readyz
// for Probe and the status for Status. Server serves the status page on an address of its own.
type Server struct {
	options ServerOptions
	handler http.Handler
	health  http.Handler
	ports   *ports
}

// memProfileRate is Go's default: one sample for each 512 KiB of allocations on average.
const memProfileRate = 512 * 1024

// NewServer returns a server that does nothing until Run.
func NewServer(options ServerOptions) *Server {
	s := &Server{options: options, ports: newPorts()}
	if options.Rebindable && options.Installation != "" {
		pages := []string{options.Listen}
		if options.Status != nil {
			pages = append(pages, options.StatusListen)
		}
		s.ports = newPorts(pages...)
	}
	checks := append([]Check{{Name: "ports", Ready: s.PortProblem}}, options.Checks...)
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	health.HandleFunc("GET /readyz", readiness(checks))
	if options.Status != nil {
		health.Handle("GET "+statusPath, options.Status)
	}
	if options.Path != nil {
		health.Handle("GET "+pathPath, options.Path)
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
	if options.Installed != nil {
		mux.Handle("GET "+installedPath, options.Installed)
	}
	if options.PProf {
		// The heap profile includes the allocations from here on.
		runtime.MemProfileRate = memProfileRate
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	s.handler, s.health = s.named(mux), health
	return s
}

// announced calls Busy before each answer that takes long to write.
func (s *Server) announced(handler http.Handler) http.Handler {
	if s.options.Busy == nil {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			s.options.Busy()
		}
		handler.ServeHTTP(w, r)
	})
}

// readiness answers 200, or 503 with a line for each failed check.
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

// answer writes plain text. answer ignores a failed write, because the client asks again.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// Run listens and serves until ctx ends, gives started answers a moment to finish, and returns nil. Run returns an
// error if it cannot listen.
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

// listen opens an address and serves on it until ctx ends.
func (s *Server) listen(ctx context.Context, config net.ListenConfig, network, address string, handler http.Handler) error {
	var listener net.Listener
	var err error
	if network == "tcp" {
		listener, err = s.open(ctx, config, address)
	} else {
		listener, err = config.Listen(ctx, network, address)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		// The error below already names the operation and the address.
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	return s.serve(ctx, listener, handler)
}

// serve serves on listener until ctx ends, and closes listener.
func (s *Server) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           s.announced(handler),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         new(connections).note,
		// A client's invalid request is no event of the server.
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
		_ = server.Close() // the warning above has reported the failure
	}
	<-failed
	return nil
}
