package router_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/router"
	"github.com/lanlord/lanlord/e2e/wire"
)

// build compiles the speaker once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "router-speaker-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "speaker")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/speaker")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the speaker: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a folder of our own
	}
	os.Exit(code)
}

// speakers makes an environment whose speakers are not started yet.
func speakers(t *testing.T, nodes int, config string) *environment {
	t.Helper()
	needs(t)
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return newEnvironment(t, wire.Options{Speaker: path, Nodes: nodes, Config: config, Unstarted: true})
}

// installed returns the installed daemons, and logs the missing ones. Without any daemon, installed skips the test.
func installed(t *testing.T, kinds ...router.Kind) (all []router.Kind) {
	t.Helper()
	needs(t)
	for _, k := range kinds {
		if why := k.Missing(); why != "" {
			t.Log(why)
			continue
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		t.Skip("no router daemon is installed")
	}
	return all
}

// startSpeakers starts all speakers, and waits until they are ready.
func (e *environment) startSpeakers() {
	e.t.Helper()
	for i := range e.Nodes() {
		e.must(e.Start(i, nil))
	}
	for i := range e.Nodes() {
		e.ready(i)
	}
}

// ready waits until the speaker of a node is ready.
func (e *environment) ready(number int) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), bound)
	defer cancel()
	e.must(e.AwaitReady(ctx, number))
}

// put creates or replaces a Service and its endpoints.
func (e *environment) put(s router.Service, endpoints []router.Endpoint) {
	e.t.Helper()
	e.must(e.Put(s, endpoints))
}

// says waits for a state of a peer in the status of a speaker.
func (e *environment) says(number int, peer string, wanted func(router.SaidPeer) bool) (found router.SaidPeer) {
	e.t.Helper()
	e.eventually(fmt.Sprintf("what node %d says of %s", number, peer), func(ctx context.Context) error {
		s, err := e.Says(ctx, number)
		if err != nil {
			return err
		}
		for _, p := range s.Peers {
			if p.Name == peer && wanted(p) {
				found = p
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Peers)
	})
	return found
}

// from waits until a router has paths to an address from exactly these nodes, and returns the paths.
func (e *environment) from(r *router.Router, a netip.Addr, nodes ...int) (paths []router.Path) {
	e.t.Helper()
	want := fmt.Sprint(router.Hops(wire.LANAddress(0).Addr(), nodes...))
	e.eventually(fmt.Sprintf("paths of %s to %s", r.Kind, a), func(ctx context.Context) (err error) {
		if paths, err = r.Paths(ctx, router.HostPrefix(a)); err != nil {
			return err
		}
		var from []netip.Addr
		for _, p := range paths {
			from = append(from, p.From)
		}
		if fmt.Sprint(from) != want {
			return fmt.Errorf("paths %+v, want from %s", paths, want)
		}
		return nil
	})
	return paths
}

// established waits for all sessions of a router, and returns their starts by neighbour.
func (e *environment) established(r *router.Router) map[netip.Addr]time.Time {
	e.t.Helper()
	e.sessionsUp(r)
	all, err := r.Sessions(e.t.Context())
	e.must(err)
	since := make(map[netip.Addr]time.Time)
	for _, s := range all {
		since[s.Neighbor] = s.Since
	}
	return since
}

// goesOn fails the test if a session of a router began anew. The times of the daemons are off by at most a second.
func (e *environment) goesOn(r *router.Router, before map[netip.Addr]time.Time) {
	e.t.Helper()
	for neighbor, since := range e.established(r) {
		if d := since.Sub(before[neighbor]); d.Abs() > 2*time.Second {
			e.t.Errorf("the session of %s with %s began anew, %v later", r.Kind, neighbor, d)
		}
	}
}

// rollout replaces the speaker of a node by a second one, which adopts the sessions.
func (e *environment) rollout(number int) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), bound)
	defer cancel()
	e.must(e.Rollout(ctx, number))
}

// none fails the test for each change of a route.
func (e *environment) none(what string, w *router.RouteWatch) {
	e.t.Helper()
	for _, v := range w.Events() {
		e.t.Errorf("%s: the route to %s changed: deleted %t, by %v", what, v.Prefix, v.Deleted, v.Hops)
	}
}

// unharmed fails the test if a datagram was lost.
func (e *environment) unharmed(what string, t router.Traffic, since time.Time) {
	e.t.Helper()
	e.t.Logf("%s: %v", what, t)
	if len(t.Lost) > 0 {
		e.t.Errorf(
			"%s: %d of %d datagrams lost, the last one %v after its begin",
			what,
			len(t.Lost),
			t.Sent,
			t.Outage(since),
		)
	}
}

// terminate sends SIGTERM to the speaker of a node.
func (e *environment) terminate(number int) {
	e.t.Helper()
	e.must(e.Signal(number, syscall.SIGTERM))
}
