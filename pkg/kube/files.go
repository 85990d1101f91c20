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

// clientFor returns the HTTP client of a configuration. client-go reads the file of the certificate authorities again
// every five minutes, and the file of the token every 50 seconds. After a replacement of either file, the API server
// would be unreachable for so long. Therefore this client also reads the files again when the client refuses the
// server's certificate, or the server answers 401 Unauthorized.
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
		// client-go makes a new transport on each call if cfg.Proxy is set. ProxyFromEnvironment is client-go's
		// default.
		cfg.Proxy = http.ProxyFromEnvironment
	}
	t := &fileTransport{cfg: cfg, paths: paths}
	if _, err := t.renew(0); err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, Timeout: cfg.Timeout}, nil
}

// fileTransport replaces its transport when files of the configuration have changed.
type fileTransport struct {
	cfg   *rest.Config
	paths []string

	// mu guards the fields below. Many goroutines make requests, and any request may be refused.
	mu sync.Mutex
	// texts holds the contents of the files from which next was made. made counts the transports that were made so far.
	texts []string
	next  http.RoundTripper
	made  int
}

// RoundTrip implements http.RoundTripper. If a request fails because of the content of a file, and the file has
// changed, RoundTrip repeats the request once.
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
		_ = response.Body.Close() // the body is not read
	}
	next, _ = t.current()
	return next.RoundTrip(again)
}

// repeat returns a copy of r to send again, and false if the body of r cannot be read again.
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

// renew makes a new transport if a file has changed. It reports whether the current transport is newer than transport
// number made.
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

// WrappedRoundTripper returns the inner transport for client-go.
func (t *fileTransport) WrappedRoundTripper() http.RoundTripper {
	next, _ := t.current()
	return next
}
