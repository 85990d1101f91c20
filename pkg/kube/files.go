package kube

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// clientFor returns the HTTP client of a configuration. client-go reads the file of the certificate authorities again every five
// minutes, and that of the token every 50 seconds; for as long the API server would be out of reach when either is exchanged. This
// client also does so when it is refused, or refuses.
func clientFor(cfg *rest.Config) (*http.Client, error) {
	cfg = rest.CopyConfig(cfg)
	var paths []string
	if cfg.CAFile != "" && len(cfg.CAData) == 0 {
		paths = append(paths, cfg.CAFile)
	}
	if cfg.BearerTokenFile != "" {
		paths = append(paths, cfg.BearerTokenFile)
	}
	if len(paths) == 0 {
		return rest.HTTPClientFor(cfg)
	}
	if cfg.Proxy == nil {
		// With a function for the proxy client-go makes a transport anew each time; this one is what it takes without.
		cfg.Proxy = http.ProxyFromEnvironment
	}
	t := &fileTransport{cfg: cfg, paths: paths}
	if _, err := t.renew(0); err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, Timeout: cfg.Timeout}, nil
}

// fileTransport is a transport that is made anew when files that it depends on have changed.
type fileTransport struct {
	cfg   *rest.Config
	paths []string

	// mu guards the rest. Requests are made by many goroutines, and any of them may be the one that is refused.
	mu sync.Mutex
	// texts are what the files had when next was made; it is the made-th.
	texts []string
	next  http.RoundTripper
	made  int
}

// RoundTrip implements http.RoundTripper. A request that fails for what is in a file is made again if that has changed.
func (t *fileTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next, made := t.current()
	response, err := next.RoundTrip(r)
	distrusted := errors.As(err, new(*tls.CertificateVerificationError))
	if !distrusted && (err != nil || response.StatusCode != http.StatusUnauthorized) {
		return response, err
	}
	renewed, failed := t.renew(made)
	if distrusted && failed != nil {
		return nil, errors.Join(err, failed)
	}
	again, ok := repeat(r)
	if !renewed || !ok {
		return response, err
	}
	if err == nil {
		_ = response.Body.Close() // it is not read
	}
	next, _ = t.current()
	return next.RoundTrip(again)
}

// repeat returns a request that can be made after r was, if there can be one.
func repeat(r *http.Request) (*http.Request, bool) {
	again := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return again, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	again.Body = body
	return again, err == nil
}

// renew makes the transport anew if a file has changed, and tells whether there is another one than the made-th.
func (t *fileTransport) renew(made int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made != made {
		return true, nil
	}
	texts := make([]string, len(t.paths))
	for i, path := range t.paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		texts[i] = string(text)
	}
	if made > 0 && slices.Equal(texts, t.texts) {
		return false, nil
	}
	next, err := rest.TransportFor(t.cfg)
	if err != nil {
		return false, err
	}
	if made > 0 {
		utilnet.CloseIdleConnectionsFor(t.next)
	}
	t.texts, t.next, t.made = texts, next, made+1
	return true, nil
}

func (t *fileTransport) current() (next http.RoundTripper, made int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next, t.made
}

// WrappedRoundTripper lets client-go find the transport below.
func (t *fileTransport) WrappedRoundTripper() http.RoundTripper {
	next, _ := t.current()
	return next
}
