package serviceproxy

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// proxyPause is the interval between questions to kube-proxy. proxyTimeout limits the wait for an answer.
	proxyPause   = 200 * time.Millisecond
	proxyTimeout = time.Second
	// proxySilence limits the wait for a first answer: after a boot, kube-proxy starts a few seconds after or before
	// the speaker. A node without kube-proxy ends the wait sooner, by Options.Forwarded.
	proxySilence = 15 * time.Second
	// proxyBound limits the wait for the rules after the first answer.
	proxyBound = 30 * time.Second
	// proxySettle limits the wait for the rules of a second address family that kube-proxy has not queued. Older versions
	// of kube-proxy do not name the family of the written rules, and some serve one family only.
	proxySettle = 2 * time.Second
	// maxProxyMetrics limits the bytes read from the metrics. The metrics have some 100 kB.
	maxProxyMetrics = 4 << 20
)

// Options configures a Check.
type Options struct {
	// Metrics is the address (host:port) of kube-proxy's metrics. With an empty address, Run does not wait.
	Metrics string
	// Forwarded reports whether some service proxy has written rules on this node, by a sign that needs no kube-proxy.
	// Forwarded is asked while nobody answers at Metrics, until Forwarded returns no error; nil means that no such sign
	// exists.
	Forwarded func(context.Context) (bool, error)
	// Wake is called when Ready has become true. Wake must not block, and may be nil.
	Wake func()
	Log  *slog.Logger
}

// Check asks kube-proxy whether the rules of this node are written. After a boot, the speaker may run before
// kube-proxy, and packets of clients to an address are lost until the rules exist.
//
// Clusters without kube-proxy (Cilium, Calico's eBPF mode, OVN-Kubernetes, kube-router) have nobody at Metrics. There
// Forwarded ends the wait.
//
// The speaker uses only Run and Ready of a Check, so another kind of check can replace Check.
type Check struct {
	options Options
	ask     func(ctx context.Context, address string) (rules, error)
	ready   atomic.Bool
}

// New returns a Check. The Check does nothing before Run.
func New(o Options) *Check { return &Check{options: o, ask: askProxy} }

// Ready reports whether kube-proxy has its rules, or the wait is over. A true result is final.
func (c *Check) Ready() bool { return c.ready.Load() }

// Run asks until Ready is true. Run returns nil when ctx ends.
func (c *Check) Run(ctx context.Context) error {
	c.wait(ctx)
	c.ready.Store(true)
	if c.options.Wake != nil {
		c.options.Wake()
	}
	<-ctx.Done()
	return nil
}

// wait asks until kube-proxy has its rules, until a bound is reached, or until ctx ends.
func (c *Check) wait(ctx context.Context) {
	log, address := c.options.Log.With("address", c.options.Metrics), c.options.Metrics
	if address == "" {
		return
	}
	var first time.Time // time of the first answer of kube-proxy
	var since time.Time // time of the first rules, of one family at least
	began, other := time.Now(), sign{forwarded: c.options.Forwarded}
	for said := false; ; said = true {
		rules, err := c.ask(ctx, address)
		if err != nil && first.IsZero() && other.seen(ctx) {
			rules = someRules
		}
		now := time.Now()
		if err == nil && first.IsZero() {
			first = now
		}
		if rules == noRules {
			since = time.Time{}
		} else if since.IsZero() {
			since = now
		}
		switch {
		case rules == allRules, rules == someRules && now.Sub(since) >= proxySettle:
			c.sayReady(log, said, err != nil, now.Sub(began))
			return
		case first.IsZero() && now.Sub(began) >= proxySilence:
			log.Info("not waiting for kube-proxy any longer: nobody answers where it serves its metrics", "err", err)
			return
		case !first.IsZero() && now.Sub(first) >= proxyBound:
			log.Warn("kube-proxy has no rules yet, and is not waited for any longer", "err", err)
			return
		}
		if !said {
			log.Info("waiting for kube-proxy, without whose rules nothing reaches the pods")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(proxyPause):
		}
	}
}

// sayReady logs the end of a wait. other is true when the rules are those of another service proxy than kube-proxy.
func (c *Check) sayReady(log *slog.Logger, said, other bool, waited time.Duration) {
	waited = waited.Round(proxyPause)
	switch {
	case other:
		log.Info("not waiting for kube-proxy: nobody answers where it serves its metrics, and this node reaches the API "+
			"server by a cluster IP, so another service proxy has its rules", "waited", waited)
	case said:
		log.Info("kube-proxy has its rules", "waited", waited)
	}
}

// sign asks Options.Forwarded until the first answer, and keeps the answer.
type sign struct {
	forwarded     func(context.Context) (bool, error)
	answered, yes bool
}

// seen reports whether the sign of a service proxy is there.
func (s *sign) seen(ctx context.Context) bool {
	if s.forwarded == nil || s.answered {
		return s.yes
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	yes, err := s.forwarded(ctx)
	s.yes, s.answered = yes && err == nil, err == nil
	return s.yes
}

// rules classifies the rules that kube-proxy has written.
type rules int

const (
	noRules rules = iota
	// someRules means that the rules of one family are written, perhaps of both.
	someRules
	allRules
)

// syncedMetric is the time of kube-proxy's last write of rules, in seconds of Unix time: a series for each family, in
// older versions a single series. The health server of kube-proxy does not help here: the server reports each family as
// healthy before the first rules are written.
const syncedMetric = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"

// queuedMetric is the time at which kube-proxy last decided to write rules, in seconds of Unix time, by family. Of a
// kube-proxy for both families, the series of both exist before the first rules are written.
const queuedMetric = "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds"

// askProxy reads kube-proxy's metrics once. askProxy returns an error without an answer.
func askProxy(ctx context.Context, address string) (rules, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return noRules, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return noRules, err
	}
	defer response.Body.Close()
	return rulesOf(io.LimitReader(response.Body, maxProxyMetrics)), nil
}

// rulesOf evaluates the readable part of kube-proxy's metrics. A family that kube-proxy has queued and not written yet
// is waited for, so the rules of the other family alone count as none.
func rulesOf(metrics io.Reader) rules {
	queued, written := map[string]bool{}, map[string]bool{}
	for lines := bufio.NewScanner(metrics); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		name, family, _ := strings.Cut(series, "{")
		if at, err := strconv.ParseFloat(value, 64); err != nil || !(at > 0) {
			continue
		}
		switch name {
		case queuedMetric:
			queued[family] = true
		case syncedMetric:
			written[family] = true
		}
	}
	if named := !written[""]; named {
		for family := range queued {
			if !written[family] {
				return noRules
			}
		}
	}
	return min(rules(len(written)), allRules)
}
