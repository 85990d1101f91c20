package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// start runs a server until the test ends or the caller calls stop.
func start(t *testing.T, options ServerOptions) (stop func()) {
	t.Helper()
	options.Metrics = prometheus.NewRegistry()
	listening := &announced{t: t, want: min(1, len(options.Listen)) + min(1, len(options.Pod)), all: make(chan struct{})}
	options.Log = slog.New(slog.NewTextHandler(listening, nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- NewServer(options).Run(ctx) }()
	select {
	case <-listening.all:
	case err := <-done:
		cancel()
		t.Fatalf("the server ended with %v", err)
	}
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

// announced is a log that waits for the line "listening" of each address of the server.
type announced struct {
	t    *testing.T
	want int
	all  chan struct{}
}

// Write runs under the lock of the handler.
func (a *announced) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("listening")) {
		if a.want--; a.want == 0 {
			close(a.all)
		}
	}
	return a.t.Output().Write(line)
}

func probe(t *testing.T, pod, what string) (string, error) {
	var stdout bytes.Buffer
	err := Probe(t.Context(), pod, what, &stdout)
	return stdout.String(), err
}

func TestProbe(t *testing.T) {
	var missing atomic.Bool
	missing.Store(true)
	pod := "speaker-" + rand.Text()
	stop := start(t, ServerOptions{Pod: pod, Checks: []Check{{"sockets", func() error {
		if missing.Load() {
			return errors.New("none is open")
		}
		return nil
	}}}})
	for _, test := range []struct {
		what    string
		missing bool
		stdout  string
		err     error
	}{
		{"live", true, "ok\n", nil},
		{"ready", true, "not ready\nsockets: none is open\n", ErrFailed},
		{"ready", false, "ok\n", nil},
	} {
		missing.Store(test.missing)
		if got, err := probe(t, pod, test.what); got != test.stdout || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v, want %q, %v", test.what, got, err, test.stdout, test.err)
		}
	}
	if _, err := probe(t, pod, "alive"); err == nil || err.Error() != `invalid probe "alive": must be live or ready` {
		t.Errorf("alive: %v", err)
	}
	if got, err := probe(t, pod+"x", "live"); got != "nobody listens on @lanlord/"+pod+"x\n" || !errors.Is(err, ErrFailed) {
		t.Errorf("another pod: %q, %v", got, err)
	}
	stop()
	if got, err := probe(t, pod, "live"); got != "nobody listens on @lanlord/"+pod+"\n" || !errors.Is(err, ErrFailed) {
		t.Errorf("after its end: %q, %v", got, err)
	}
}

// TestProbeServesHealthAlone checks that the socket for probes serves only health. Any process in the host's network
// namespace can reach that socket.
func TestProbeServesHealthAlone(t *testing.T) {
	pod := "speaker-" + rand.Text()
	start(t, ServerOptions{Pod: pod, PProf: true})
	for _, path := range []string{"/metrics", "/debug/pprof/", "/"} {
		if _, err := ask(t.Context(), probeSocket(pod), path, maxProbeAnswer); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("%s: %v, want 404", path, err)
		}
	}
}

// TestProbeOfHungProcess connects to a socket that nobody serves.
func TestProbeOfHungProcess(t *testing.T) {
	pod := "speaker-" + rand.Text()
	listener, err := net.Listen("unix", probeSocket(pod))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began := time.Now()
	got, err := probe(t, pod, "live")
	if got != "no answer on @lanlord/"+pod+" within 2s\n" || !errors.Is(err, ErrFailed) || time.Since(began) < probeTimeout {
		t.Errorf("%q, %v after %v", got, err, time.Since(began))
	}
}

func TestProbeSocket(t *testing.T) {
	long := strings.Repeat("a", 100)
	for _, test := range []struct{ pod, want string }{
		{"speaker-x7k2p", "@lanlord/speaker-x7k2p"},
		{long[:99], "@lanlord/" + long[:99]},
		{long, "@lanlord/28165978"},
	} {
		if got := probeSocket(test.pod); !strings.HasPrefix(got, test.want) || len(got) > 1+maxProbeSocket {
			t.Errorf("%s: %s, want %s", test.pod, got, test.want)
		}
	}
	for _, pod := range []string{long[:99], strings.Repeat("b", 253)} {
		start(t, ServerOptions{Pod: pod})
		if got, err := probe(t, pod, "live"); err != nil {
			t.Errorf("%s: %s, %v", pod, got, err)
		}
	}
}

// TestRebindable checks that one server can follow another server on a port, and that a server without Rebindable
// cannot take the port.
func TestRebindable(t *testing.T) {
	reserved, err := (&net.ListenConfig{Control: sharePort}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	stop := start(t, ServerOptions{Listen: address, Rebindable: true})
	reserved.Close()
	start(t, ServerOptions{Listen: address, Rebindable: true})
	server := NewServer(ServerOptions{Listen: address, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	if err := server.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a third that is not rebindable: %v", err)
	}
	stop()
	if status, _ := get(t, "http://"+address+"/healthz"); status != http.StatusOK {
		t.Errorf("the one that is left answers %d", status)
	}
}

// TestOneAddressFails checks that Run ends both listeners if one address cannot be opened.
func TestOneAddressFails(t *testing.T) {
	pod := "speaker-" + rand.Text()
	taken, err := net.Listen("unix", probeSocket(pod))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := NewServer(ServerOptions{
		Listen: "127.0.0.1:0", Pod: pod, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	want := "listen on @lanlord/" + pod + ": bind: address already in use"
	if err := server.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}
