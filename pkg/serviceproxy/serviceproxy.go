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
	// proxyPause is how long it is from one question to kube-proxy to the next, and proxyTimeout how long an answer may take.
	proxyPause   = 200 * time.Millisecond
	proxyTimeout = time.Second
	// proxySilence is how long kube-proxy is waited for where nobody has answered yet: it comes up a few seconds after or before the
	// speaker when a node has booted, and many clusters have none.
	proxySilence = 15 * time.Second
	// proxyBound is how long its rules are waited for once it has answered.
	proxyBound = 30 * time.Second
	// proxySettle is how long after the rules of one family those of the other are waited for: older ones do not tell which family they have
	// written, and some serve a single one.
	proxySettle = 2 * time.Second
	// maxProxyMetrics is as much of its metrics in bytes as is read. There are some 100 kB.
	maxProxyMetrics = 4 << 20
)

// Check finds out whether kube-proxy has written its rules on this node. After a node has booted the speaker may be the first of the
// two, and what clients send to an address before the rules are there is lost.
type Check struct {
	address string // host:port of its metrics, empty for none
	ask     func(ctx context.Context, address string) (rules, error)
	log     *slog.Logger
	// settled is true once it has its rules, or is not waited for any longer.
	settled atomic.Bool
}

// New returns a check of the kube-proxy that serves its metrics at address (host:port), or, when address is empty, a check that is over at
// once.
func New(address string, log *slog.Logger) *Check {
	return &Check{address: address, ask: askProxy, log: log}
}

// Ready reports whether the node forwards what clients send to Services, as far as is known.
func (s *Check) Ready() bool { return s.settled.Load() }

// Run asks until kube-proxy has its rules, or as long as that is worth waiting for, or until ctx is done.
func (s *Check) Run(ctx context.Context) {
	defer s.settled.Store(true)
	if s.address == "" {
		return
	}
	var first time.Time // when it has answered
	var since time.Time // since when it has rules of one family at least
	began := time.Now()
	for said := false; ; said = true {
		rules, err := s.ask(ctx, s.address)
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
			if said {
				s.log.Info("kube-proxy has its rules", "address", s.address, "waited", now.Sub(began).Round(proxyPause))
			}
			return
		case first.IsZero() && now.Sub(began) >= proxySilence:
			s.log.Info("not waiting for kube-proxy any longer: nobody answers where it serves its metrics", "address", s.address, "err", err)
			return
		case !first.IsZero() && now.Sub(first) >= proxyBound:
			s.log.Warn("kube-proxy has no rules yet, and is not waited for any longer", "address", s.address, "err", err)
			return
		}
		if !said {
			s.log.Info("waiting for kube-proxy, without whose rules nothing reaches the pods", "address", s.address)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(proxyPause):
		}
	}
}

// rules is what kube-proxy tells of its rules.
type rules int

const (
	noRules rules = iota
	// someRules are those of one family, or perhaps of both.
	someRules
	allRules
)

// syncedMetric is when kube-proxy has last written its rules, in seconds of Unix time: a series for each family, in older ones a single one. What
// its health server tells is no use: it says that all is well, also of each family, before the first rules are written.
const syncedMetric = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"

// askProxy asks for kube-proxy's metrics at an address once. An error is that nobody has answered.
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

// rulesOf reads kube-proxy's metrics as far as they can be read.
func rulesOf(metrics io.Reader) rules {
	families := 0
	for lines := bufio.NewScanner(metrics); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if name, _, _ := strings.Cut(series, "{"); name != syncedMetric {
			continue
		}
		if at, err := strconv.ParseFloat(value, 64); err == nil && at > 0 {
			families++
		}
	}
	return min(rules(families), allRules)
}
