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
	if err := t.renew(); err != nil {
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
	// texts are what the files had when next was made.
	texts []string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper. A request that fails for what is in a file fails all the same: those who make requests
// repeat them.
func (t *fileTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.WrappedRoundTripper().RoundTrip(r)
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return response, errors.Join(err, t.renew())
	}
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		_ = t.renew() // the answer says more than that the file cannot be read
	}
	return response, err
}

// renew makes the transport anew if a file has changed.
func (t *fileTransport) renew() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	texts := make([]string, len(t.paths))
	for i, path := range t.paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		texts[i] = string(text)
	}
	if t.next != nil && slices.Equal(texts, t.texts) {
		return nil
	}
	next, err := rest.TransportFor(t.cfg)
	if err != nil {
		return err
	}
	if t.next != nil {
		utilnet.CloseIdleConnectionsFor(t.next)
	}
	t.texts, t.next = texts, next
	return nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (t *fileTransport) WrappedRoundTripper() http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}
