package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pipes is a listener with pipes as connections, so that synctest controls the time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// TestIdleConnectionsEnd checks that the server closes a connection without a request after 5 s, and a connection after
// an answer after 15 s.
func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerOptions{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		listener := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.serve(ctx, listener, s.handler) }()
		for _, c := range []struct {
			name, request string
			lasts         time.Duration
		}{
			{"says nothing", "", readTimeout},
			{"begins a request", "GET /healthz HTTP/1.1\r\nHost: x\r\n", readTimeout},
			{"has had an answer", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
		} {
			client, server := net.Pipe()
			listener.conns <- server
			if _, err := io.WriteString(client, c.request); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(client)
			if c.lasts == idleTimeout {
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_, err := io.Copy(io.Discard, reader)
			if lasted := time.Since(began); err != nil || lasted > c.lasts+time.Second || lasted < c.lasts-time.Second {
				t.Errorf("a client that %s is connected for %v, want %v (%v)", c.name, lasted, c.lasts, err)
			}
			client.Close()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// slowMetric blocks each collection until released is closed. slowMetric sends to entered at the start of each
// collection.
type slowMetric struct {
	entered  chan struct{}
	released chan struct{}
}

func (s *slowMetric) Describe(chan<- *prometheus.Desc) {}

func (s *slowMetric) Collect(chan<- prometheus.Metric) {
	s.entered <- struct{}{}
	<-s.released
}

// TestScrapesAreFew checks that the server answers some requests for metrics at a time, and refuses the others.
func TestScrapesAreFew(t *testing.T) {
	const clients = 5 * maxScrapes
	slow := &slowMetric{entered: make(chan struct{}, clients), released: make(chan struct{})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(slow)
	s := NewServer(ServerOptions{Metrics: registry, Log: slog.New(slog.DiscardHandler)})
	codes := make(chan int, clients)
	for range clients {
		go func() {
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			codes <- w.Code
		}()
	}
	for range clients - maxScrapes {
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Errorf("one scrape too many is answered with %d", code)
		}
	}
	close(slow.released)
	for range maxScrapes {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a scrape is answered with %d", code)
		}
	}
	if n := len(slow.entered); n != maxScrapes {
		t.Errorf("%d scrapes were computed, want %d", n, maxScrapes)
	}
}

// TestSealedStatusesAreFew checks that the server computes few encrypted statuses at a time. The other requests wait
// until their clients give up.
func TestSealedStatusesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, released := 0, make(chan struct{})
		var mu sync.Mutex
		s := newSealer(&ServerOptions{
			Pod: "a", Status: http.NotFoundHandler(),
			Key: func(context.Context) ([]byte, error) {
				mu.Lock()
				entered++
				mu.Unlock()
				<-released
				return nil, errors.New("no key")
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 5 * maxSeals {
			clients.Go(func() {
				s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, SealedPath, nil))
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(released)
		clients.Wait()
		if entered != maxSeals {
			t.Errorf("%d statuses were computed, want %d", entered, maxSeals)
		}
	})
}
