package serviceproxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// The metrics of kube-proxy before and after it has written the rules of one family and of both families, and the
	// metrics of older versions.
	startingProxy = `# HELP kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds [ALPHA] ` +
		`The last time a sync of proxy rules was queued
# TYPE kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 1.7959153249808557e+09
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv6"} 1.7959153249809241e+09
`
	proxyOfOne = startingProxy + `# HELP kubeproxy_sync_proxy_rules_last_timestamp_seconds [ALPHA] ` +
		`The last time proxy rules were successfully synced
# TYPE kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge
kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 1.7959153301685512e+09
`
	proxyOfBoth = proxyOfOne + syncedMetric + `{ip_family="IPv6"} 1.7959153330279546e+09` + "\n"
	proxyForOne = queuedMetric + `{ip_family="IPv4"} 1.7959153249808557e+09` + "\n" +
		syncedMetric + `{ip_family="IPv4"} 1.7959153301685512e+09` + "\n"
	olderStarting    = syncedMetric + " 0\n"
	olderProxy       = syncedMetric + " 1.6959153301685512e+09\n"
	someOtherProgram = "ok"
)

// TestAskProxy asks a real HTTP server.
func TestAskProxy(t *testing.T) {
	var text string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = w.Write([]byte(text))
	}))
	address := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		text string
		want rules
	}{
		{startingProxy, noRules},
		{proxyOfOne, noRules},
		{proxyForOne, someRules},
		{proxyOfBoth, allRules},
		{olderStarting, noRules},
		{olderProxy, someRules},
		{someOtherProgram, noRules},
		{"", noRules},
	} {
		text = test.text
		if got, err := askProxy(t.Context(), address); got != test.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", test.text, got, err, test.want)
		}
	}
	server.Close()
	if got, err := askProxy(t.Context(), address); got != noRules || err == nil {
		t.Errorf("without a server: %v, %v", got, err)
	}
}

// FuzzRulesOf appends any text to the metrics of kube-proxy: the rules stay.
func FuzzRulesOf(f *testing.F) {
	for _, text := range []string{startingProxy, proxyOfOne, proxyForOne, proxyOfBoth, olderStarting, someOtherProgram, syncedMetric,
		syncedMetric + "{ NaN"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		more := strings.Contains(text, queuedMetric) || strings.Contains(text, syncedMetric)
		if got := rulesOf(strings.NewReader(proxyOfBoth + text)); got != allRules && !more {
			t.Errorf("%v behind the rules of both families", got)
		}
		if got := rulesOf(strings.NewReader(text)); got < noRules || got > allRules {
			t.Errorf("%d", got)
		}
	})
}

// TestWaitForProxy measures the wait of a speaker.
func TestWaitForProxy(t *testing.T) {
	refused := errors.New("connection refused")
	// answer is the answer of a kube-proxy from a time on.
	type answer struct {
		from  time.Duration
		rules rules
		err   error
	}
	second := time.Second
	for name, test := range map[string]struct {
		answers []answer
		want    time.Duration
	}{
		"has run for long": {[]answer{{0, allRules, nil}}, 0},
		"comes up later": {[]answer{{0, noRules, refused}, {6 * second, noRules, nil},
			{7 * second, someRules, nil}, {8 * second, allRules, nil}}, 8 * second},
		"comes up in the last moment": {[]answer{{0, noRules, refused}, {14 * second, noRules, nil},
			{20 * second, allRules, nil}}, 20 * second},
		"serves one family": {[]answer{{0, noRules, refused}, {second, noRules, nil},
			{3 * second, someRules, nil}}, 3*second + proxySettle},
		"tells nothing": {[]answer{{0, someRules, nil}}, proxySettle},
		"starts twice": {[]answer{{0, someRules, nil}, {second, noRules, refused},
			{4 * second, someRules, nil}}, 4*second + proxySettle},
		"is not there": {[]answer{{0, noRules, refused}}, proxySilence},
		"never has rules": {[]answer{{0, noRules, refused}, {4 * second, noRules, nil}},
			4*second + proxyBound},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := New(Options{Metrics: "127.0.0.1:10249", Log: slog.New(slog.DiscardHandler)})
				s.ask = func(context.Context, string) (rules, error) {
					var now answer
					for _, a := range test.answers {
						if time.Since(began) >= a.from {
							now = a
						}
					}
					return now.rules, now.err
				}
				woken := make(chan time.Duration, 1)
				s.options.Wake = func() { woken <- time.Since(began) }
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				time.Sleep(max(test.want-1, 0))
				if test.want > 0 && s.Ready() {
					t.Errorf("ready before %v", test.want)
				}
				if got := <-woken; got != test.want || !s.Ready() {
					t.Errorf("waited %v, want %v; ready: %v", got, test.want, s.Ready())
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
	// Nobody answers at the address of kube-proxy's metrics.
	unsure := errors.New("the API server does not answer")
	for name, test := range map[string]struct {
		answers []answer // of Forwarded; rules other than noRules mean yes
		comes   time.Duration
		want    time.Duration
		asked   int
	}{
		"another service proxy":        {[]answer{{0, someRules, nil}}, 0, proxySettle, 1},
		"another one, a little later":  {[]answer{{0, noRules, unsure}, {second, someRules, nil}}, 0, second + proxySettle, 6},
		"the API server has no proxy":  {[]answer{{0, noRules, nil}}, 0, proxySilence, 1},
		"the API server never answers": {[]answer{{0, noRules, unsure}}, 0, proxySilence, 76},
		"kube-proxy comes meanwhile":   {[]answer{{0, someRules, nil}}, second, second + proxyBound, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), 0
				now := func() (now answer) {
					for _, a := range test.answers {
						if time.Since(began) >= a.from {
							now = a
						}
					}
					return now
				}
				woken := make(chan time.Duration, 1)
				s := New(Options{
					Metrics: "127.0.0.1:10249", Log: slog.New(slog.DiscardHandler),
					Wake: func() { woken <- time.Since(began) },
					Forwarded: func(context.Context) (bool, error) {
						asked++
						return now().rules != noRules, now().err
					},
				})
				s.ask = func(context.Context, string) (rules, error) {
					if test.comes > 0 && time.Since(began) >= test.comes {
						return noRules, nil
					}
					return noRules, refused
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				if got := <-woken; got != test.want || asked != test.asked {
					t.Errorf("waited %v and asked %d times, want %v and %d times", got, asked, test.want, test.asked)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("no address", func(t *testing.T) {
		woken := make(chan struct{})
		s := New(Options{Wake: func() { close(woken) }, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { <-woken; cancel() }()
		if err := s.Run(ctx); err != nil || !s.Ready() {
			t.Errorf("%v, ready: %v", err, s.Ready())
		}
	})
	t.Run("told to stop", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := New(Options{Metrics: "127.0.0.1:1", Log: slog.New(slog.DiscardHandler)}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}
