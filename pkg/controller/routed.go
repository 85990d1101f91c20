package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// routedPoll is the interval between two checks of the reports of the speakers.
	routedPoll = 5 * time.Second
	// routedTurn is the time for which a Service must be announced, or unannounced, before the condition says so.
	// routedCount is the time for which the numbers of nodes must stay the same before the condition shows the numbers,
	// so that a restart of a node does not cause a write to every Service.
	routedTurn  = 2 * routedPoll
	routedCount = time.Minute
	// routedPace is the interval between two writes, and routedBatch the maximum number of writes between two checks.
	routedPace  = 100 * time.Millisecond
	routedBatch = 50
)

// notRouted is the reason of the condition about routers when no node announces an address of the Service.
const notRouted = "NotRouted"

// RoutesWriter writes the condition about routers. [github.com/lanlord/lanlord/pkg/kube.Store] implements RoutesWriter.
type RoutesWriter interface {
	// WriteRoutes writes the condition in the RoutesUpdate. An error that wraps cluster.ErrChanged means that nothing
	// was written.
	WriteRoutes(context.Context, cluster.RoutesUpdate) error
}

// RoutesReporter writes a condition to each Service that has an address in a BGP pool. The condition says how many
// nodes announce the addresses to which peers. The speakers report their announcements every few seconds.
type RoutesReporter struct {
	Source Source
	Writer RoutesWriter
	Log    *slog.Logger
}

// Run writes until ctx ends, and then returns nil.
func (r *RoutesReporter) Run(ctx context.Context) error {
	p := routedPlanner{}
	timer := time.NewTicker(routedPoll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-timer.C:
			if err := r.write(ctx, p.plan(now, r.Source.Snapshot())); err != nil && ctx.Err() == nil {
				r.Log.Warn("the condition about routers is not written; trying again", "err", err)
			}
		}
	}
}

// write executes the writes one after the other, and returns the first error. A Service that has changed waits for the
// next plan.
func (r *RoutesReporter) write(ctx context.Context, updates []cluster.RoutesUpdate) error {
	for _, u := range updates {
		bounded, cancel := context.WithTimeout(ctx, writeTimeout)
		err := r.Writer.WriteRoutes(bounded, u)
		cancel()
		if err != nil && !errors.Is(err, cluster.ErrChanged) {
			return err
		}
		pause(ctx, routedPace)
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// routedPlanner decides which Services are due for a write.
type routedPlanner struct {
	// pending maps each Service with an outdated condition to the new condition, and to the time since when the new
	// condition has been the same.
	pending map[cluster.Key]pendingRoutes
	// last is the input of the last plan.
	last cluster.Snapshot
}

type pendingRoutes struct {
	condition *cluster.Condition
	since     time.Time
}

// plan returns the writes that are due at now.
func (p *routedPlanner) plan(now time.Time, s cluster.Snapshot) (due []cluster.RoutesUpdate) {
	if len(p.pending) == 0 && cluster.SameList(s.Services, p.last.Services) && cluster.SameList(s.Routed, p.last.Routed) &&
		cluster.SameList(s.Nodes, p.last.Nodes) && s.Config == p.last.Config {
		return nil
	}
	p.last = s
	pending := map[cluster.Key]pendingRoutes{}
	for _, svc := range s.Services {
		is, known := routesOf(svc, &s)
		if !known || sameCondition(svc.Routes, is) {
			continue
		}
		change, before := p.pending[svc.Key]
		if !before || !sameCondition(change.condition, is) {
			change = pendingRoutes{is, now}
		}
		if now.Sub(change.since) < delayOf(svc.Routes, is) {
			pending[svc.Key] = change
			continue
		}
		pending[svc.Key] = change // until a snapshot shows the write
		due = append(due, cluster.RoutesUpdate{Key: svc.Key, UID: svc.UID, Version: svc.Version, Condition: is})
	}
	p.pending = pending
	// A Service that has become announced or unannounced goes first.
	turns := func(u cluster.RoutesUpdate) int {
		if delayOf(s.Service(u.Key).Routes, u.Condition) == routedCount {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(due, func(x, y cluster.RoutesUpdate) int { return turns(x) - turns(y) })
	return due[:min(len(due), routedBatch)]
}

// delayOf returns how long a change of the condition must last before the change is written.
func delayOf(was, is *cluster.Condition) time.Duration {
	switch {
	case is == nil:
		return 0
	case was == nil || was.True != is.True:
		return routedTurn
	}
	return routedCount
}

// routesOf returns the condition of a Service, or nil for no condition. known is false when the reports are not
// sufficient.
func routesOf(svc *cluster.Service, s *cluster.Snapshot) (is *cluster.Condition, known bool) {
	if !svc.Managed || s.Config == nil {
		return nil, false // a Service that is no longer Lanlord's loses the condition with its addresses
	}
	var addrs []netip.Addr
	for _, a := range svc.Ingress {
		// Lanlord does not announce the address of a Node to routers.
		if pool := s.Config.PoolOf(a); pool != nil && pool.BGP && s.OwnAddress(a) == nil {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, true
	}
	if len(s.Routed) == 0 {
		return nil, false
	}
	is = &cluster.Condition{True: true, Reason: reason.Routed.String()}
	var told []string // told[i] is the text about the addresses of[i]
	var of [][]netip.Addr
	for _, a := range addrs {
		text, known := announced(a, s.Config.Peers, s.Routed)
		if !known {
			return nil, false
		}
		if text == "" {
			is.True, is.Reason = false, notRouted
		}
		at := slices.Index(told, text)
		if at < 0 {
			at = len(told)
			told, of = append(told, text), append(of, nil)
		}
		of[at] = append(of[at], a)
	}
	for i, text := range told {
		told[i] = routesText(svc, of[i], text)
	}
	is.Message = strings.Join(told, "; ")
	return is, true
}

// routesText returns a sentence about addresses with the same result of announced.
func routesText(svc *cluster.Service, addrs []netip.Addr, by string) string {
	switch {
	case by == "":
		return fmt.Sprintf("no node announces %s to a router; kubectl lanlord why %s -n %s says why",
			listed(addrs), svc.Key.Name, svc.Key.Namespace)
	case len(addrs) == 1:
		return fmt.Sprintf("%s is announced by %s", addrs[0], by)
	}
	return fmt.Sprintf("%s are announced by %s", listed(addrs), by)
}

// announced returns how many nodes announce a to which peers, like "3 nodes to tor-a and tor-b". text is empty if no
// node announces a. known is false when a report is partial and may leave out a.
func announced(a netip.Addr, peers []config.Peer, reports []cluster.Routed) (text string, known bool) {
	counts := map[string]int{}
	for i := range reports {
		told := reports[i].PeersOf(a)
		if told == nil && reports[i].Partial {
			return "", false
		}
		for _, name := range told {
			counts[name]++
		}
	}
	type group struct {
		nodes int
		peers []string
	}
	var groups []group // one group per number of nodes, in the order of the configuration
	for i := range peers {
		n := counts[peers[i].Name]
		if n == 0 {
			continue
		}
		at := slices.IndexFunc(groups, func(g group) bool { return g.nodes == n })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{nodes: n})
		}
		groups[at].peers = append(groups[at].peers, peers[i].Name)
	}
	var parts []string
	for _, g := range groups {
		nodes := "1 node"
		if g.nodes > 1 {
			nodes = fmt.Sprintf("%d nodes", g.nodes)
		}
		parts = append(parts, nodes+" to "+joined(g.peers))
	}
	return strings.Join(parts, ", and by "), true
}

// joined returns "a", "a and b", or "a, b and c".
func joined(words []string) string {
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}
