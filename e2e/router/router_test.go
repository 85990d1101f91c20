package router_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	nodeASN   = router.NodeASN
	routerASN = router.RouterASN
)

var vip4, vip6 = router.VIP4(0), router.VIP6(0)

// needs skips the test without root, in short mode, and without one of the daemons.
func needs(t *testing.T, kinds ...router.Kind) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("starts router daemons; this is -short")
	case os.Geteuid() != 0:
		t.Skip("network namespaces are made by root")
	}
	for _, k := range kinds {
		if why := k.Missing(); why != "" {
			t.Skip(why)
		}
	}
}

// environment is a laboratory with routers.
type environment struct {
	*router.Cluster
	t *testing.T
	// senders are the addresses of the nodes whose packets tshark checks; nil for no check of the LAN.
	senders []netip.Addr
}

// newEnvironment makes an environment. A failed test shows the logs.
func newEnvironment(t *testing.T, o wire.Options) *environment {
	t.Helper()
	o.Logs = t.TempDir()
	t.Cleanup(func() {
		if t.Failed() {
			if err := wire.WriteLogs(t.Output(), o.Logs); err != nil {
				t.Error(err)
			}
		}
	})
	c, err := router.NewCluster(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	e := &environment{Cluster: c, t: t}
	e.capture()
	return e
}

// in returns the environment for a part of the test.
func (e *environment) in(t *testing.T) *environment {
	return &environment{Cluster: e.Cluster, t: t}
}

// must ends the test on an error.
func (e *environment) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// bound limits each wait, on a busy machine.
const bound = 20 * time.Second

// eventually waits until check returns nil, and ends the test after bound.
func (e *environment) eventually(what string, check func(context.Context) error) {
	e.t.Helper()
	e.must(router.Await(e.t.Context(), bound, what, check))
}

// router starts a router until the end of the test. A failed test shows the log.
func (e *environment) router(o router.Options) *router.Router {
	e.t.Helper()
	r, err := router.Start(e.t.Context(), e.Lab, o)
	e.must(err)
	e.t.Cleanup(func() {
		if e.t.Failed() {
			e.t.Logf("log of %s: %s", r.Kind, r.Log())
		}
		r.Close()
	})
	return r
}

// sessionsUp waits until the router has a session with each of its neighbours.
func (e *environment) sessionsUp(r *router.Router) {
	e.t.Helper()
	e.eventually("sessions of "+r.Kind.String(), func(ctx context.Context) error {
		all, err := r.Sessions(ctx)
		if err != nil {
			return err
		}
		if len(all) != len(r.Neighbors) {
			return fmt.Errorf("%d neighbours, want %d", len(all), len(r.Neighbors))
		}
		for _, s := range all {
			if !s.Established {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
}

// awaitPaths waits until the router has a number of paths to an address, and returns them.
func (e *environment) awaitPaths(r *router.Router, a netip.Addr, number int) (paths []router.Path) {
	e.t.Helper()
	e.eventually(fmt.Sprintf("%d paths of %s to %s", number, r.Kind, a), func(ctx context.Context) (err error) {
		if paths, err = r.Paths(ctx, router.HostPrefix(a)); err == nil && len(paths) != number {
			err = fmt.Errorf("%+v", paths)
		}
		return err
	})
	return paths
}

// awaitKernel waits until the kernel of the router sends to an address by exactly these nodes.
func (e *environment) awaitKernel(r *router.Router, a netip.Addr, nodes ...int) {
	e.t.Helper()
	e.must(r.AwaitKernel(e.t.Context(), bound, a, nodes...))
}

// watch watches the routes of a router to the pools.
func (e *environment) watch(r *router.Router) *router.RouteWatch {
	e.t.Helper()
	w, err := r.WatchRoutes(e.t.Context(), netip.Prefix{})
	e.must(err)
	e.t.Cleanup(w.Close)
	return w
}

// client makes a host behind a router, with a route from each node.
func (e *environment) client(r *router.Router) *wire.Station {
	e.t.Helper()
	client, err := e.Client(r)
	e.must(err)
	return client
}

// The load of a prober.
const (
	flows = 40
	rate  = 2000
)

// probe sends datagrams from a client to an address, and waits for the first answers.
func (e *environment) probe(client *wire.Station, to netip.Addr) *router.Prober {
	e.t.Helper()
	p, err := router.Probe(client, router.Load{Target: to, Flows: flows, Rate: rate})
	e.must(err)
	ctx, cancel := context.WithTimeout(e.t.Context(), bound)
	defer cancel()
	e.must(p.AwaitAnswers(ctx, 5*flows))
	return p
}

// canCapture reports whether tcpdump and tshark are installed.
func canCapture(t *testing.T) bool {
	t.Helper()
	for _, program := range []string{"tcpdump", "tshark"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("not looked at by tshark: %v", err)
			return false
		}
	}
	return true
}

// capture captures the LAN until the test ends. Each fault found by tshark in packets of the nodes fails the test.
func (e *environment) capture() {
	e.t.Helper()
	if !canCapture(e.t) {
		return
	}
	file := filepath.Join(e.t.TempDir(), "lan.pcap")
	c, err := router.NewCapture(e.t.Context(), e.Lab, file)
	e.must(err)
	for i := range e.Nodes() {
		e.senders = append(e.senders, wire.LANAddress(i).Addr(), wire.LANAddress6(i).Addr())
	}
	e.t.Cleanup(func() {
		c.Close()
		if e.senders != nil {
			faultless(e.t, file, e.senders)
		}
	})
}

// faultless fails the test for each fault found by tshark in packets of hosts, and without any packet.
func faultless(t *testing.T, file string, from []netip.Addr) {
	t.Helper()
	faults, packets, err := router.Faults(context.WithoutCancel(t.Context()), file, from)
	switch {
	case err != nil:
		t.Error(err)
	case packets == 0:
		t.Error("no packet of a node was captured")
	}
	for _, f := range faults {
		t.Error(f)
	}
}
