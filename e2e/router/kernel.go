package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanlord/lanlord/e2e/wire"
)

// Kernel returns the daemon's routes in the kernel with their sorted next hops.
func (r *Router) Kernel(ctx context.Context) (map[netip.Prefix][]netip.Addr, error) {
	all := make(map[netip.Prefix][]netip.Addr)
	for _, family := range []string{"-4", "-6"} {
		var found []struct {
			To       string     `json:"dst"`
			Gateway  netip.Addr `json:"gateway"`
			Via      via        `json:"via"`
			Protocol string     `json:"protocol"`
			Hops     []struct {
				Gateway netip.Addr `json:"gateway"`
				Via     via        `json:"via"`
			} `json:"nexthops"`
		}
		if err := r.asJSON(ctx, &found, "ip", "-j", family, "route", "show"); err != nil {
			return nil, err
		}
		for _, one := range found {
			if one.Protocol != "bgp" && one.Protocol != "bird" {
				continue
			}
			p, err := routePrefix(one.To)
			if err != nil {
				return nil, err
			}
			hops := []netip.Addr{one.Gateway, one.Via.Host}
			for _, h := range one.Hops {
				hops = append(hops, h.Gateway, h.Via.Host)
			}
			all[p] = append(all[p], slices.DeleteFunc(hops, func(a netip.Addr) bool { return !a.IsValid() })...)
			slices.SortFunc(all[p], netip.Addr.Compare)
		}
	}
	return all, nil
}

// AwaitKernel waits until the kernel sends to an address by exactly these nodes; without nodes, until the route is
// gone.
func (r *Router) AwaitKernel(ctx context.Context, limit time.Duration, a netip.Addr, nodes ...int) error {
	return Await(ctx, limit, fmt.Sprintf("kernel route of %s to %s", r.Kind, a), func(ctx context.Context) error {
		all, err := r.Kernel(ctx)
		if got, want := all[HostPrefix(a)], Hops(a, nodes...); err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("by %v, want %v", got, want)
		}
		return err
	})
}

// via is a next hop of another family.
type via struct {
	Host netip.Addr `json:"host"`
}

// routePrefix reads the destination of a route: a host's has no length.
func routePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// RouteEvent is a change of a kernel route, from "ip monitor route".
type RouteEvent struct {
	At      time.Time
	Prefix  netip.Prefix
	Deleted bool
	// Hops are the next hops of the new route, sorted.
	Hops []netip.Addr
}

// RouteWatch notes the changes of routes.
type RouteWatch struct {
	cmd    *exec.Cmd
	within netip.Prefix
	ended  chan struct{}

	// mu guards what the reader of the output appends to.
	mu     sync.Mutex
	events []RouteEvent
	seen   map[netip.Prefix]bool
}

// signpost is added and removed until the watch sees the route.
const signpost = "192.0.2.255"

// WatchRoutes notes the changes of kernel routes within a prefix until Close. The zero prefix stands for all prefixes.
func (r *Router) WatchRoutes(ctx context.Context, within netip.Prefix) (*RouteWatch, error) {
	w := &RouteWatch{
		cmd:    exec.Command("ip", "-ts", "-o", "monitor", "route"),
		within: within,
		ended:  make(chan struct{}),
		seen:   make(map[netip.Prefix]bool),
	}
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = r.Start(w.cmd)
	}
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(w.ended)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			w.note(scanner.Text())
		}
	}()
	if err := r.signpost(ctx, w); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// signpost changes a route until the watch has seen it.
func (r *Router) signpost(ctx context.Context, w *RouteWatch) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	p, err := routePrefix(signpost)
	if err != nil {
		return err
	}
	for {
		_, err := r.Output(ctx, "ip", "route", "add", "blackhole", signpost)
		if err == nil {
			_, err = r.Output(ctx, "ip", "route", "del", "blackhole", signpost)
		}
		if err == nil {
			err = wire.Pause(ctx, 20*time.Millisecond)
		}
		w.mu.Lock()
		seen := w.seen[p]
		w.mu.Unlock()
		if err != nil || seen {
			return err
		}
	}
}

// note reads a line: [time] [Deleted] [unicast|...] prefix ... nexthop via address ...
func (w *RouteWatch) note(line string) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return
	}
	at, err := time.ParseInLocation("[2006-01-02T15:04:05.000000]", fields[0], time.Local)
	if err != nil {
		return
	}
	e := RouteEvent{At: at}
	if fields = fields[1:]; fields[0] == "Deleted" {
		e.Deleted, fields = true, fields[1:]
	}
	for i, f := range fields {
		if p, err := routePrefix(f); err == nil && i < 2 && !e.Prefix.IsValid() {
			e.Prefix = p
		}
		if f == "via" && i+1 < len(fields) {
			hop := fields[i+1]
			if hop == "inet6" && i+2 < len(fields) {
				hop = fields[i+2]
			}
			if a, err := netip.ParseAddr(hop); err == nil {
				e.Hops = append(e.Hops, a)
			}
		}
	}
	slices.SortFunc(e.Hops, netip.Addr.Compare)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[e.Prefix] = true
	if e.Prefix.IsValid() && e.Prefix.Addr().String() != signpost &&
		(!w.within.IsValid() || w.within.Overlaps(e.Prefix)) {
		w.events = append(w.events, e)
	}
}

// Events returns the changes so far.
func (w *RouteWatch) Events() []RouteEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// Await waits for an event, and returns the first wanted event since a time.
func (w *RouteWatch) Await(ctx context.Context, since time.Time, wanted func(RouteEvent) bool) (RouteEvent, error) {
	for {
		for _, e := range w.Events() {
			if !e.At.Before(since.Truncate(time.Microsecond)) && wanted(e) {
				return e, nil
			}
		}
		if err := wire.Pause(ctx, 2*time.Millisecond); err != nil {
			return RouteEvent{}, errors.Join(fmt.Errorf("no such change of a route; there were %+v", w.Events()), err)
		}
	}
}

// Close ends the watch.
func (w *RouteWatch) Close() {
	_ = w.cmd.Process.Kill() // fails only if it has ended
	<-w.ended
	_ = w.cmd.Wait() // "signal: killed"
}
