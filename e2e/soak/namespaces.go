package soak

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/fault"
	"github.com/lanlord/lanlord/e2e/wire"
)

// namespaces is a cluster of network namespaces, with the stand-in for the API server.
type namespaces struct {
	*Soak
	speaker, controller string
	lab                 *wire.Lab
	server              *server
	churn               *churn
	version             uint64 // of what was seen of the server
	http                *http.Client
	// cgroups are the nodes', none where this machine has no such; copies is where the programs are that run in them.
	cgroups []*cgroup
	copies  string
	// manager is the controller that stays, managers how many were started; the scope Controller guards both.
	manager  *manager
	managers int
}

// Namespaces returns a Site in network namespaces for one soak, with these programs.
func Namespaces(speaker, controller string) Site {
	return &namespaces{speaker: speaker, controller: controller}
}

// Rules implements [Site].
func (*namespaces) Rules() Rules { return namespaceRules() }

// Start implements [Site].
func (r *namespaces) Start(_ context.Context, s *Soak) (err error) {
	r.Soak, r.server = s, &server{wire.NewScripted(s.Logs)}
	for _, name := range []string{appNamespace, systemNamespace} {
		if err := r.server.Put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	if err := r.makeCgroups(); err != nil {
		return err
	}
	r.lab, err = wire.New(wire.Options{Speaker: r.speaker, Nodes: r.Nodes, Logs: r.Logs, Server: r.server, Prepare: r.prepare})
	if err != nil {
		return err
	}
	r.lab.Tap(r.Saw)
	if err := r.labelNodes(); err != nil {
		return err
	}
	r.http = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: r.lab.Host().Dial}}
	if err := r.restoreConfiguration(); err != nil {
		return err
	}
	if err := r.startManager(); err != nil {
		return err
	}
	r.churn, err = newChurn(r.Seed, r.server.Server, r.lab.Nodes(), r.Services/3, r.Services-r.Services/3)
	return err
}

// makeCgroups makes a cgroup for each node, or notes why there can be none.
func (r *namespaces) makeCgroups() (err error) {
	if r.copies, err = os.MkdirTemp("", "soaked-"); err != nil {
		return err
	}
	names := make([]string, r.Nodes)
	for n := range names {
		names[n] = fmt.Sprintf("node-%d", n)
	}
	var failed error
	if r.cgroups, failed = newCgroups(names, r.speaker, r.copies); failed != nil {
		r.Count(func(p *Report) { p.LeaveOut(failed.Error(), "squeeze", "oom") })
	}
	return nil
}

// prepare has a node's speaker start in the node's cgroup.
func (r *namespaces) prepare(number int, speaker *exec.Cmd) error {
	if len(r.cgroups) == 0 {
		return nil
	}
	return r.cgroups[number].enter(speaker, r.speaker)
}

// Close implements [Site].
func (r *namespaces) Close() {
	if r.lab != nil {
		r.lab.Close()
	}
	closeCgroups(r.cgroups)
	_ = os.RemoveAll(r.copies) // nobody needs them
}

// MACs implements [Site].
func (r *namespaces) MACs() []wire.MAC { return r.lab.MACs() }

// labelNodes lets all nodes but the last announce the addresses that Services ask for.
func (r *namespaces) labelNodes() error {
	for _, name := range r.lab.Nodes()[:r.Nodes-1] {
		if _, err := r.server.Edit("nodes", types.NamespacedName{Name: name}, func(o runtime.Object) {
			metav1.SetMetaDataLabel(&o.(*corev1.Node).ObjectMeta, nodeLabel, "yes")
		}); err != nil {
			return err
		}
	}
	return nil
}

// Pools implements [Site].
func (r *namespaces) Pools() map[netip.Prefix][]wire.MAC {
	return map[netip.Prefix][]wire.MAC{askedPool: r.lab.MACs()[:r.Nodes-1]}
}

// Changes implements [Site]. Of the Service of the fault kernel-address nothing is told: that fault checks it.
func (r *namespaces) Changes() (changes []apiserver.Change, err error) {
	changes, r.version, err = r.server.Changes("services", r.version)
	return slices.DeleteFunc(changes, func(c apiserver.Change) bool {
		s, ok := c.After.(*corev1.Service)
		if !ok {
			s = c.Before.(*corev1.Service)
		}
		return s.Name == kernelService
	}), err
}

// Claims implements [Site].
func (r *namespaces) Claims() []wire.Claim { return r.lab.Claims() }

// Ask implements [Site].
func (r *namespaces) Ask(addrs []netip.Addr) error { return r.lab.Ask(addrs) }

// Places implements [Site].
func (r *namespaces) Places() map[types.NamespacedName][]wire.MAC {
	macs, all := r.lab.MACs(), make(map[types.NamespacedName][]wire.MAC)
	for name, places := range r.churn.places {
		var nodes []wire.MAC
		for _, n := range places {
			nodes = append(nodes, macs[n])
		}
		all[types.NamespacedName{Namespace: appNamespace, Name: name}] = nodes
	}
	return all
}

// Deed implements [Site].
func (r *namespaces) Deed() (bool, error) {
	_, err := r.churn.step()
	return true, err
}

// Events implements [Site].
func (r *namespaces) Events() (map[string]int, error) { return r.server.DeleteEvents() }

// Begin implements [Site].
func (r *namespaces) Begin(ctx context.Context, f Fault) (func() error, error) {
	return actions[f.Kind](ctx, r, f)
}

// Sample implements [Site].
func (r *namespaces) Sample(ctx context.Context) {
	for n, name := range r.lab.Nodes() {
		_ = r.Unhindered(n, func() error { // there is no error
			if r.lab.Running(n) {
				r.Measure(ctx, name, r.lab.Process(n), func(ctx context.Context) (string, error) { return r.lab.Get(ctx, n, "/metrics") })
			}
			return nil
		})
	}
	_ = r.WithoutFault(fault.Controller, func() error {
		if r.manager.running() {
			r.Measure(ctx, "controller", r.manager.cmd.Process.Pid, func(ctx context.Context) (string, error) { return r.manager.metrics(ctx, r.http) })
		}
		return nil
	})
}

// Supervise implements [Site]. It does what kubelets do: who ends by itself is started again; that it does is a violation.
func (r *namespaces) Supervise(context.Context) error {
	for n := range r.Nodes {
		err := r.Unhindered(n, func() error {
			if r.lab.Running(n) {
				return nil
			}
			r.Violate(time.Now(), fmt.Sprintf("the speaker of node-%d ended by itself: %s", n, r.lab.Exit(n)))
			return r.lab.Start(n, nil)
		})
		if err != nil {
			return err
		}
	}
	return r.WithoutFault(fault.Controller, func() error {
		if r.manager.running() {
			return nil
		}
		// The API server may have refused what the controller cannot do without.
		r.Count(func(p *Report) { p.Lost++ })
		return r.startManager()
	})
}

// Speakers implements [Site].
func (r *namespaces) Speakers() (pids []int) {
	for n := range r.Nodes {
		_ = r.Unhindered(n, func() error { // there is no error
			if r.lab.Running(n) {
				pids = append(pids, r.lab.Process(n))
			}
			return nil
		})
	}
	return pids
}
