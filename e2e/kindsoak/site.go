package kindsoak

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lanlord/lanlord/e2e/apiserver"
	"github.com/lanlord/lanlord/e2e/lab"
	"github.com/lanlord/lanlord/e2e/soak"
	"github.com/lanlord/lanlord/e2e/wire"
)

const (
	systemNamespace = "lanlord-system"
	appNamespace    = "soak"
	// patience is for what the cluster does by itself, on a busy machine: a kubelet waits up to 5 minutes to start what was killed often.
	patience = 8 * time.Minute
)

// Nodes is how many nodes faults happen to: all but the control plane.
const Nodes = 3

// site is the cluster.
type site struct {
	*soak.Soak
	deploy  string
	cluster *lab.Cluster
	// nodes are the workers, in the order of macs, and then the control plane.
	nodes, workers []lab.Node
	control        lab.Node
	macs           []wire.MAC
	// ids are the nodes' containers, by name.
	ids   map[string]string
	pools pools

	observer *wire.Observer
	watcher  *watcher
	users    *users
	clients  *clients
	logs     *logs
	stop     context.CancelFunc
	running  sync.WaitGroup

	// known are the nodes' speakers' processes, 0 where a fault has happened that ends it. Whoever keeps
	// faults from the node may use it.
	known []int
	// ended are those ends of controllers that were told of; [site.Sample] has them.
	ended map[string]bool
}

// New returns the Site of the cluster that cluster.sh has made, for one soak. deploy is the folder of the manifests.
func New(deploy string) soak.Site { return &site{deploy: deploy, ended: make(map[string]bool)} }

// Rules implements [soak.Site].
func (*site) Rules() soak.Rules { return rules() }

// Start implements [soak.Site].
func (s *site) Start(ctx context.Context, of *soak.Soak) (err error) {
	s.Soak = of
	if s.cluster, err = lab.Find(); err != nil {
		return err
	}
	if err := s.findNodes(ctx); err != nil {
		return err
	}
	if err := s.observe(ctx); err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.install(ctx); err != nil {
		return err
	}
	s.logs = newLogs(s.Logs)
	s.running.Go(func() { s.logs.follow(ctx, s.roots) })
	// A soak that was killed has left its own.
	for _, command := range [][]string{
		{"delete", "namespace", appNamespace, "--ignore-not-found", "--timeout", "110s"}, {"create", "namespace", appNamespace},
	} {
		if _, err := s.cluster.Kubectl(ctx, command...); err != nil {
			return err
		}
	}
	if s.watcher, err = watch(ctx, s.cluster.Clientset); err != nil {
		return err
	}
	s.clients = newClients(s.observer, s.Soak)
	s.running.Go(func() { s.clients.run(ctx, s.watcher.targets) })
	if s.users, err = newUsers(ctx, s); err != nil {
		return err
	}
	return nil
}

// findNodes finds out which there are.
func (s *site) findNodes(ctx context.Context) error {
	nodes, err := s.cluster.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if strings.HasSuffix(n.Name, "-control-plane") {
			s.control = n
			continue
		}
		mac, err := parseMAC(n.MAC)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		s.workers, s.macs = append(s.workers, n), append(s.macs, mac)
	}
	if len(s.workers) != s.Nodes {
		return fmt.Errorf("%d nodes run beside the control plane, want %d: recreate the cluster", len(s.workers), s.Nodes)
	}
	s.nodes = append(slices.Clone(s.workers), s.control)
	s.known, s.ids = make([]int, len(nodes)), make(map[string]string)
	for _, n := range nodes {
		id, err := s.cluster.Docker(ctx, "inspect", "--format", "{{.Id}}", n.Name)
		if err != nil {
			return err
		}
		s.ids[n.Name] = strings.TrimSpace(id)
	}
	return nil
}

// observe begins to listen in the client.
func (s *site) observe(ctx context.Context) error {
	process, err := s.processOf(ctx, lab.ClientName)
	if err != nil {
		return err
	}
	if s.pools, err = findPools(ctx, s.cluster); err != nil {
		return err
	}
	s.observer, err = wire.Observe(process, "eth0", s.pools.contains)
	if err == nil {
		s.observer.Tap(s.Saw)
	}
	return err
}

// install applies the manifests as a user does, and waits for the pods.
func (s *site) install(ctx context.Context) error {
	_, err := s.cluster.Kubectl(ctx, "apply", "-f", s.manifest())
	if err == nil {
		err = s.configure(ctx, s.pools.configuration("", ""))
	}
	for _, what := range []string{"daemonset/speaker", "deployment/controller"} {
		if err == nil {
			_, err = s.cluster.Kubectl(ctx, "-n", systemNamespace, "rollout", "status", what, "--timeout", "110s")
		}
	}
	return err
}

// roots are the file systems of those nodes that run, as this host sees them.
func (s *site) roots() map[string]string {
	all := make(map[string]string)
	for _, n := range s.nodes {
		if pid, err := s.processOf(context.Background(), n.Name); err == nil {
			all[n.Name] = fmt.Sprintf("/proc/%d/root", pid)
		}
	}
	return all
}

// Close implements [soak.Site].
func (s *site) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	if s.observer != nil {
		s.observer.Close()
	}
	if s.cluster == nil || s.workers == nil {
		return
	}
	ctx := context.Background()
	_, gone := s.cluster.Kubectl(ctx, "delete", "namespace", appNamespace, "--ignore-not-found", "--timeout", "110s")
	_, failed := s.cluster.Kubectl(ctx, "delete", "-f", s.manifest(), "--ignore-not-found", "--timeout", "110s")
	if err := errors.Join(gone, failed); err != nil {
		fmt.Fprintf(s.Progress, "not all could be removed: %v\n", err)
	}
}

// MACs implements [soak.Site].
func (s *site) MACs() []wire.MAC { return s.macs }

// Changes implements [soak.Site].
func (s *site) Changes() ([]apiserver.Change, error) { return s.watcher.changes(), nil }

// Claims implements [soak.Site].
func (s *site) Claims() []wire.Claim { return s.observer.Claims() }

// Ask implements [soak.Site].
func (s *site) Ask(addrs []netip.Addr) error { return s.observer.Ask(addrs) }

// Pools implements [soak.Site]. Every node may have every address here.
func (*site) Pools() map[netip.Prefix][]wire.MAC { return nil }

// Places implements [soak.Site].
func (s *site) Places() map[types.NamespacedName][]wire.MAC {
	byName := make(map[string]wire.MAC, len(s.workers))
	for i, n := range s.workers {
		byName[n.Name] = s.macs[i]
	}
	return s.watcher.places(byName)
}

// Deed implements [soak.Site].
func (s *site) Deed() (bool, error) { return s.users.step(), nil }

// Events implements [soak.Site].
func (s *site) Events() (map[string]int, error) { return s.watcher.events(), nil }

func parseMAC(text string) (mac wire.MAC, err error) {
	_, err = fmt.Sscanf(text, "%02x:%02x:%02x:%02x:%02x:%02x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5])
	return mac, err
}

// until calls condition until it returns nil, or its last error when that takes longer than the patience.
func until(ctx context.Context, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if wire.Pause(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}
