package speaker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// TestNodeWaitsForProxy boots the elected node, whose speaker starts before kube-proxy, and lets the other nodes fail
// one after the other. The address stays on nodes with the rules of kube-proxy, and goes to the booted node once that
// node has the rules.
func TestNodeWaitsForProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
		time.Sleep(moveBound)
		booted := v.succession(addr6)[0]
		booted.crash()
		time.Sleep(moveBound)
		booted.proxyless.Store(true)
		v.lan.Cut(booted.name+"/eth0", false)
		booted.boot()
		time.Sleep(2 * defaultFailback)
		for range 2 {
			owner := v.only(addr6)
			if owner == booted {
				t.Fatalf("%s has the address, and its kube-proxy has no rules", owner.name)
			}
			owner.crash()
			time.Sleep(moveBound)
		}
		time.Sleep(10 * time.Second)
		if owner := v.owner(addr6); owner != "" {
			t.Errorf("%s has the address, without a kube-proxy that has rules", owner)
		}
		if lacks := booted.speaker().Status().Lacks; len(lacks) != 1 || !strings.Contains(lacks[0], "kube-proxy") {
			t.Errorf("it waits for %q, want kube-proxy alone", lacks)
		}
		booted.proxyless.Store(false)
		booted.poke()
		time.Sleep(moveBound)
		if owner := v.only(addr6); owner != booted {
			t.Errorf("%s has the address, and %s is the last one", owner.name, booted.name)
		}
		if lacks := booted.speaker().Status().Lacks; len(lacks) > 0 {
			t.Errorf("it is ready, and waits for %q", lacks)
		}
	})
}

// TestNewAddressWaitsForRules assigns addresses to Services, and removes and adds endpoints of one Service: before any
// node has seen them, and shortly after. Only new addresses wait until kube-proxy can have its rules.
func TestNewAddressWaitsForRules(t *testing.T) {
	for _, seen := range []time.Duration{0, time.Millisecond, rulesDelay / 4} {
		t.Run(seen.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newAddressWaits(t, seen) })
		})
	}
}

// newAddressWaits shows the endpoints of a new address to the nodes for the duration seen, and then removes them for a
// while.
func newAddressWaits(t *testing.T, seen time.Duration) {
	v := newTestCluster(t, "", []string{"a", "b", "c"}, addr6)
	time.Sleep(moveBound)
	v.only(addr6) // which its Service had before
	time.Sleep(10 * time.Second)
	serves := func(is bool) { v.change(func(s *cluster.Snapshot) { s.Services[0].HasServing = is }) }
	frames := len(v.lan.Trace())
	v.assign(addr4)
	time.Sleep(seen)
	serves(false)
	time.Sleep(rulesDelay/2 - seen)
	serves(true)
	time.Sleep(rulesDelay/2 - time.Millisecond)
	synctest.Wait()
	if n := v.claims(frames); n > 0 {
		t.Errorf("the nodes have claimed the address %d times before kube-proxy can have its rules\n%s", n, v.lan)
	}
	time.Sleep(moveBound)
	owner := v.only(addr4)

	for range 2 { // without endpoints for less than the delay, and for longer
		serves(false)
		time.Sleep(yieldBound)
		if now := v.owner(addr4); now != "" {
			t.Fatalf("%s has the address of a Service without endpoints", now)
		}
		serves(true)
		time.Sleep(moveBound / 2)
		if now := v.only(addr4); now != owner {
			t.Errorf("%s has the address of a Service that has endpoints again, want %s", now.name, owner.name)
		}
		time.Sleep(2 * rulesDelay)
	}
}
