package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

const (
	// maxProbeSocket is the greatest length of an abstract socket's name in bytes (unix(7)).
	maxProbeSocket = 107
	// probeTimeout is the time in which a probe must get its answer. The kubelet waits longer; if the kubelet ended the
	// probe, the kubelet would not show the reason.
	probeTimeout = 2 * time.Second
	// maxProbeAnswer is the greatest number of bytes of an answer that a probe prints.
	maxProbeAnswer = 4 << 10
)

// probeSocket returns the name of the abstract socket on which the process of a pod answers probes. A hash replaces a
// pod name that is too long.
func probeSocket(pod string) string {
	const prefix = "@lanlord/"
	if len(prefix)-1+len(pod) <= maxProbeSocket {
		return prefix + pod
	}
	sum := sha256.Sum256([]byte(pod))
	return prefix + hex.EncodeToString(sum[:])
}

// ProbeCommand runs the commands "probe live" and "probe ready" of a command line: ProbeCommand calls Probe for the
// process in the same pod. It returns a *UsageError for other words, and ErrFailed if the name of the pod is empty.
func ProbeCommand(ctx context.Context, pod string, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return &UsageError{fmt.Sprintf("probe takes one word, live or ready, not %d", len(args))}
	}
	if pod == "" {
		if _, err := io.WriteString(stdout, "POD_NAME is not set, so no speaker of this Pod can be asked\n"); err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return ErrFailed
	}
	return Probe(ctx, pod, args[0], stdout)
}

// Probe asks the process of a pod on this host whether the process is "live" or "ready", and prints the answer to
// stdout. Probe connects to the socket of ServerOptions.Pod. Probe returns nil if the answer is yes. Probe returns
// ErrFailed if the answer is no, or does not arrive within two seconds or before ctx ends, and a *UsageError if what is
// neither "live" nor "ready".
func Probe(ctx context.Context, pod, what string, stdout io.Writer) error {
	path, known := map[string]string{"live": "/healthz", "ready": "/readyz"}[what]
	if !known {
		return &UsageError{fmt.Sprintf("invalid probe %q: must be live or ready", what)}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answer, err := ask(ctx, probeSocket(pod), path, maxProbeAnswer)
	if err != nil {
		answer = err.Error() + "\n"
	}
	if _, failed := io.WriteString(stdout, answer); failed != nil {
		return fmt.Errorf("write to standard output: %w", failed)
	}
	if err != nil {
		return ErrFailed
	}
	return nil
}

// ask returns at most limit bytes of the answer to a request on an abstract socket. For every status but 200, the
// answer becomes the error.
func ask(ctx context.Context, socket, path string, limit int64) (string, error) {
	began := time.Now()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("nobody listens on %s", socket)
	case errors.Is(err, context.DeadlineExceeded):
		return "", fmt.Errorf("no answer on %s within %v", socket, time.Since(began).Round(time.Second))
	case err != nil:
		return "", fmt.Errorf("ask on %s: %w", socket, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return "", fmt.Errorf("ask on %s: %w", socket, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", errors.New(strings.TrimSuffix(string(body), "\n"))
	}
	return string(body), nil
}
