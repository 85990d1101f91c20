package kube

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watchMethod is the method label of a watch request, because the answer to a watch has no end.
const watchMethod = "WATCH"

// noAnswer is the code label of a request without an answer.
const noAnswer = "none"

// requestMetrics counts and times the requests of a client. The metrics belong to the client's transport, because
// client-go's own hooks are global to the process and shared by all clients.
type requestMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newRequestMetrics(r prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanlord_api_requests_total",
			Help: "Requests to the API server, by method (WATCH for a GET that watches) and the answer's HTTP status, which is \"none\" for no answer.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lanlord_api_request_seconds",
			Help:    "Time from a request to the API server until the header of its answer, or until it failed.",
			Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}, []string{"method"}),
	}
	for _, method := range []string{http.MethodGet, watchMethod, http.MethodPost, http.MethodPut, http.MethodPatch} {
		m.requests.WithLabelValues(method, noAnswer)
		m.seconds.WithLabelValues(method)
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}

// wrap returns a transport that counts the requests to next.
func (m *requestMetrics) wrap(next http.RoundTripper) http.RoundTripper {
	return countingTransport{m, next}
}

type countingTransport struct {
	metrics *requestMetrics
	next    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	method := r.Method
	if method == http.MethodGet && r.URL.Query().Has("watch") {
		method = watchMethod
	}
	began := time.Now()
	response, err := t.next.RoundTrip(r)
	t.metrics.seconds.WithLabelValues(method).Observe(time.Since(began).Seconds())
	code := noAnswer
	if err == nil {
		code = strconv.Itoa(response.StatusCode)
	}
	t.metrics.requests.WithLabelValues(method, code).Inc()
	return response, err
}

// WrappedRoundTripper returns the inner transport for client-go.
func (t countingTransport) WrappedRoundTripper() http.RoundTripper { return t.next }
