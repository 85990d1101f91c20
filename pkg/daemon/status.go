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
	// statusPath is the path of the status as JSON.
	statusPath = "/status.json"
	// statusTimeout is the time in which Status must receive the whole answer. maxStatus is the greatest size in bytes
	// of a status that this package reads.
	statusTimeout = 10 * time.Second
	maxStatus     = 64 << 20
	// statusRetry is the time from a failure to listen for the status page to the next attempt.
	statusRetry = 30 * time.Second
)

// Status gets the status of the process of a pod on this host, and writes the JSON to stdout. Status connects to the
// socket of ServerOptions.Pod. Status returns an error if the answer does not arrive within ten seconds or before ctx
// ends.
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

// pathPath is the path of the probe of a path to an address.
const pathPath = "/path.json"

// PathCommand runs the command "path ADDRESS" of a command line: the process in the same pod probes the path from its
// node to the address, and PathCommand prints the finding as JSON. It returns a *UsageError unless args is one IP address.
func PathCommand(ctx context.Context, pod string, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return &UsageError{fmt.Sprintf("path takes one word, an IP address, not %d", len(args))}
	}
	addr, err := netip.ParseAddr(args[0])
	switch {
	case err != nil || addr.Zone() != "":
		return &UsageError{fmt.Sprintf("path takes an IP address, and not %q", args[0])}
	case pod == "":
		return errNoPod
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	answer, err := ask(ctx, probeSocket(pod), pathPath+"?address="+addr.String(), maxStatus)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, answer); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// serveStatus serves the status page until ctx ends. If serveStatus cannot listen, serveStatus tries again later: a
// missing status page is no reason to end the process.
func (s *Server) serveStatus(ctx context.Context, config net.ListenConfig) {
	handler := s.options.Status
	if isLoopback(s.options.StatusListen) {
		handler = LoopbackOnly(handler)
	}
	handler = s.named(handler)
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

// LoopbackOnly refuses requests for another host name than this host. A foreign web page can make a browser send such
// requests, if the name of the page resolves to this address (DNS rebinding), and could read the answers.
func LoopbackOnly(next http.Handler) http.Handler {
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

// errNoPod means that the pod of the process is unknown.
var errNoPod = errors.New("POD_NAME is not set, so no process of this Pod can be asked for its status")

// StatusCommand runs the command "status ..." of a command line: StatusCommand prints the status of the process in the
// same pod. It returns a *UsageError if args is not empty.
func StatusCommand(ctx context.Context, pod string, args []string, stdout io.Writer) error {
	switch {
	case len(args) > 0:
		return &UsageError{fmt.Sprintf("status takes no more words, and not %q", args[0])}
	case pod == "":
		return errNoPod
	}
	return Status(ctx, pod, stdout)
}
