package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// statusPath is where the status is told as JSON.
	statusPath = "/status.json"
	// statusTimeout is how long Status waits for the whole answer, and maxStatus is as much of it in bytes as it repeats.
	statusTimeout = 10 * time.Second
	maxStatus     = 64 << 20
	// statusRetry is how long after a failure it is tried again to listen for the status page.
	statusRetry = 30 * time.Second
)

// Status asks the process of a pod on this host, over the socket that ServerOptions.Pod makes it listen on, for its status, and writes
// the JSON to stdout. It returns an error when there is no answer within ten seconds or before ctx ends.
func Status(ctx context.Context, pod string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answer, err := ask(ctx, probeSocket(pod), statusPath, maxStatus)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, answer); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// serveStatus serves the status page until ctx ends. That its address cannot be had is no reason to end what the page tells of.
func (s *Server) serveStatus(ctx context.Context, config net.ListenConfig) {
	handler := s.options.Status
	if isLoopback(s.options.StatusListen) {
		handler = loopbackOnly(handler)
	}
	for said := ""; ; {
		err := s.listen(ctx, config, "tcp", s.options.StatusListen, handler)
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			s.options.Log.Warn("no status page", "err", err, "retry", statusRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(statusRetry):
		}
	}
}

// isLoopback reports whether only this host can connect to a listen address.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// loopbackOnly refuses requests that name another host than this one: a page of somebody else's could have made a browser send them,
// by letting its own name stand for this address (DNS rebinding), and read the answers.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !isLoopbackHost(host) {
			answer(w, http.StatusForbidden, fmt.Sprintf("this page is for http://localhost and loopback addresses, not for host %q; "+
				"--status-listen can bind it to another address\n", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// errNoPod says that there is nobody to ask.
var errNoPod = errors.New("POD_NAME is not set, so no process of this Pod can be asked for its status")

// StatusCommand is what the words "status ..." of a command line do: it prints the status of the process in the same pod. It returns a
// *UsageError when there are more words.
func StatusCommand(ctx context.Context, pod string, args []string, stdout io.Writer) error {
	switch {
	case len(args) > 0:
		return &UsageError{fmt.Sprintf("status takes no more words, and not %q", args[0])}
	case pod == "":
		return errNoPod
	}
	return Status(ctx, pod, stdout)
}
