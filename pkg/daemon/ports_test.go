package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// lines is a log that signals each line with a text.
type lines struct {
	t    *testing.T
	text string
	once sync.Once
	seen chan struct{}
}

// Write runs under the lock of the handler.
func (l *lines) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(l.text)) {
		l.once.Do(func() { close(l.seen) })
	}
	return l.t.Output().Write(line)
}

// TestPortsOfAnotherInstallation starts a server on the port of another installation: the server waits, says so in the log
// and to a probe, and continues when the processes of the other installation are gone. Meanwhile the other installation
// exchanges its process.
func TestPortsOfAnotherInstallation(t *testing.T) {
	address := freeAddress(t)
	stopOld := start(t, ServerOptions{Listen: address, Rebindable: true, Installation: "first"})

	pod := "speaker-" + rand.Text()
	log := &lines{t: t, text: "another Lanlord uses a port", seen: make(chan struct{})}
	second := NewServer(ServerOptions{
		Listen: address, Status: teller(1), StatusListen: freeAddress(t), Rebindable: true, Installation: "second", Pod: pod,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}()
	<-log.seen
	want := "the Lanlord in the namespace first uses " + address + ": give one of the two ports of its own (--listen, "
	if err := second.PortProblem(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the problem is %v, want %s...", err, want)
	}
	for {
		var out bytes.Buffer
		err := Probe(t.Context(), pod, "ready", &out)
		if strings.HasPrefix(out.String(), "nobody listens") {
			continue // the socket for probes opens at the same time as the port
		}
		if !errors.Is(err, ErrFailed) || !strings.Contains(out.String(), "ports: "+want) {
			t.Errorf("the probe says %q, %v", out.String(), err)
		}
		break
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := second.WaitForPorts(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait for the ports ends with %v", err)
	}

	stopNew := start(t, ServerOptions{Listen: address, Rebindable: true, Installation: "first"})
	stopOld()
	if err := second.PortProblem(); err == nil {
		t.Error("the second installation has the port after an update of the first one")
	}
	stopNew()
	if err := second.WaitForPorts(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.PortProblem(); err != nil {
		t.Errorf("with the port, the problem is %v", err)
	}
	if got := installationAt(t.Context(), netip.MustParseAddrPort(address)); got != "second" {
		t.Errorf("%s answers for the installation %q", address, got)
	}
}

// TestPortsTogether starts servers of two installations at the same time, again and again: one of them gets the port.
func TestPortsTogether(t *testing.T) {
	for range 10 {
		address := freeAddress(t)
		ctx, cancel := context.WithCancel(t.Context())
		var servers []*Server
		var group sync.WaitGroup
		settled := make(chan struct{}, 4)
		for _, name := range []string{"first", "second"} {
			log := &lines{t: t, text: "another Lanlord uses a port", seen: make(chan struct{})}
			s := NewServer(ServerOptions{Listen: address, Rebindable: true, Installation: name, Metrics: prometheus.NewRegistry(),
				Log: slog.New(slog.NewTextHandler(log, nil))})
			servers = append(servers, s)
			group.Go(func() {
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			group.Go(func() {
				select {
				case <-log.seen:
				case <-s.ports.free:
				}
				settled <- struct{}{}
			})
		}
		<-settled
		<-settled
		if a, b := servers[0].PortProblem(), servers[1].PortProblem(); (a == nil) == (b == nil) {
			t.Errorf("both or none have the port: %v, %v", a, b)
		}
		cancel()
		group.Wait()
	}
}

func TestPortTarget(t *testing.T) {
	for listen, want := range map[string]string{
		":7572": "127.0.0.1:7572", "0.0.0.0:7572": "127.0.0.1:7572", "localhost:1": "127.0.0.1:1", "[::]:7572": "[::1]:7572",
		"192.0.2.1:7572": "192.0.2.1:7572", "[2001:db8::1]:7572": "[2001:db8::1]:7572", ":0": "", "127.0.0.1:0": "", "": "",
	} {
		target, ok := portTarget(listen)
		if got := target.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q is reached at %s, %v, want %q", listen, got, ok, want)
		}
	}
}
