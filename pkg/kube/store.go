package kube

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Options configure a Store.
type Options struct {
	// Client comes from [Connect].
	Client Client
	// Namespace is the namespace of Lanlord's ConfigMaps, Secret and Pods.
	Namespace string
	// ConfigMap is the name of the ConfigMap with the configuration.
	ConfigMap string
	// MetalLB is the namespace of MetalLB's resources that make up the configuration. If MetalLB is empty, the
	// ConfigMap holds the configuration. The Secrets with the passwords of routers are in the namespace of the
	// configuration.
	MetalLB string
	// LoadBalancerClass is the spec.loadBalancerClass of Lanlord's Services; empty for Services without a class.
	LoadBalancerClass string
	// Nodes, Namespaces, Endpoints and Secret enable further watches besides the watches of Services and the two
	// ConfigMaps. With Namespaces, the Store also keeps the labels and the assignment records of Services: pools select
	// by the labels of Services and namespaces.
	Nodes, Namespaces, Endpoints, Secret bool
	// Passwords enables the watches of the Secrets with the passwords of routers. The configuration names these
	// Secrets.
	Passwords bool
	// Speakers enables the watch of the speakers' Pods, which report the networks of their nodes.
	Speakers bool
	// Gateways enables the watch of the Gateways of the Gateway API. The Store works without Gateways if the API server
	// does not know the kind.
	Gateways bool
	// Component is the source of Events and the field manager of writes, like "lanlord-controller".
	Component string
	// Host is the second half of the source of Events: the name of the node.
	Host string
	// Log receives the state transitions.
	Log *slog.Logger
	// Wake is called when a snapshot would differ from the previous snapshot in more than resourceVersions, and never
	// before the Store is synced. Wake must not block, and may be nil.
	Wake func()
	// Busy is called before each list and watch. Afterwards this process may read the whole cluster. Busy must not
	// block, and may be nil.
	Busy func()
	// Registerer receives the metrics of the Store. Registerer may be nil.
	Registerer prometheus.Registerer
	// Check is called before every write to a Service or to the ConfigMap lanlord-state. If Check returns an error, the
	// Store does not write. Check may be nil.
	Check func(context.Context) error
}

// Store holds the API server's objects as converted values. It includes the writes of this process that the watch has
// not shown yet.
type Store struct {
	opt     Options
	health  *health
	metrics *metrics
	events  queue
	watches []watched
	// synced is closed when every watched kind was listed once.
	synced chan struct{}

	// mu guards all fields below, and the rows of the tables. The goroutines of the watches write the fields, and the
	// loop, the metrics and the status page read them. Each goroutine holds mu only for a few map operations; an owner
	// goroutine would be slower.
	mu         sync.Mutex
	services   *table[serviceRow]
	slices     *table[sliceRow]
	nodes      *table[cluster.Node]
	namespaces *table[cluster.Namespace]
	pods       *table[podRow]
	configMaps *table[configRow]
	saved      *table[stateRow]
	secrets    *table[[][]byte]
	gateways   *table[gatewayRow]

	// own holds the results of this process's writes that the watch has not shown yet. A nil row hides the Service.
	own map[cluster.Key]ownWrite
	// slicesOf and endpoints have the Service as their key.
	slicesOf  map[cluster.Key][]cluster.Key
	endpoints map[cluster.Key]endpoints
	// dirty lists the Services whose entry in published or publishedOthers is out of date. dirtyNodes and
	// dirtyNamespaces mean that publishedNodes and publishedNamespaces are out of date.
	dirty               map[cluster.Key]struct{}
	published           []*cluster.Service
	publishedOthers     []*cluster.Service
	dirtyNodes          bool
	publishedNodes      []cluster.Node
	dirtyNamespaces     bool
	publishedNamespaces []cluster.Namespace
	// facts holds the reports of the speakers about their networks, and fading rings when a fact has a new end.
	// dirtyFacts means that publishedTaken, publishedSubnets and publishedConflicts are out of date.
	facts              map[fact]saying
	fading             bell
	dirtyFacts         bool
	publishedTaken     []cluster.Taken
	publishedSubnets   []netip.Prefix
	publishedConflicts []cluster.Stranger
	// dirtyClaims means that publishedClaims is out of date, and dirtyRouted that publishedRouted is out of date.
	dirtyClaims     bool
	publishedClaims []cluster.Claim
	dirtyRouted     bool
	publishedRouted []cluster.Routed
	config          configChoice
	set             resourceSet
	// macs holds the MAC addresses in the ConfigMap lanlord-state, and stateRead is true once lanlord-state was listed.
	// keeping rings when KeepState may have something to write.
	macs      nodeMACs
	stateRead bool
	keeping   bell
	keys      [][]byte
	// passwords maps the name of each Secret with passwords to its watch.
	passwords map[string]*passwordWatch
}

// ownWrite is the result of a write: the Service in the answer of the API server.
type ownWrite struct {
	version string
	row     *serviceRow
}

// endpoints combines all EndpointSlices of a Service.
type endpoints struct {
	serving bool
	// nodes lists the nodes of the ready or serving endpoints, and ready the nodes of the ready endpoints that do not
	// terminate. Both lists are sorted. Equal lists share memory.
	nodes, ready []string
}

// New returns a Store that is empty until Run.
func New(o Options) *Store {
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Busy == nil {
		o.Busy = func() {}
	}
	s := &Store{
		opt:       o,
		health:    newHealth(o.Log),
		events:    queue{bell: newBell()},
		synced:    make(chan struct{}),
		own:       make(map[cluster.Key]ownWrite),
		slicesOf:  make(map[cluster.Key][]cluster.Key),
		endpoints: make(map[cluster.Key]endpoints),
		dirty:     make(map[cluster.Key]struct{}),
		facts:     make(map[fact]saying),
		fading:    newBell(),
		keeping:   newBell(),
		passwords: make(map[string]*passwordWatch),
	}
	s.config = newConfigChoice(s.opt)
	s.services = newTable(s, s.serviceChanged, func(object any) (serviceRow, bool) {
		return s.convert(object.(*corev1.Service))
	})
	s.services.listing = func(back bool) {
		if back {
			clear(s.own)
			s.dirtyClaims = true
		}
	}
	s.slices = newTable(s, s.sliceChanged, func(object any) (sliceRow, bool) {
		return convertSlice(object.(*discoveryv1.EndpointSlice))
	})
	s.nodes = newTable(s, s.nodeChanged, func(object any) (cluster.Node, bool) {
		return convertNode(object.(*corev1.Node)), true
	})
	s.namespaces = newTable(s, s.namespaceChanged, func(object any) (cluster.Namespace, bool) {
		return convertNamespace(object.(*corev1.Namespace)), true
	})
	s.pods = newTable(s, s.podChanged, func(object any) (podRow, bool) {
		return convertPod(object.(*corev1.Pod))
	})
	s.makeConfigTables()
	s.makeResourceTables()
	s.secrets = newTable(s, s.secretChanged, func(object any) ([][]byte, bool) {
		secret := object.(*corev1.Secret)
		return convertKeys(secret), secret.Name == GossipSecret
	})
	s.gateways = newTable(s, s.gatewayChanged, func(object any) (gatewayRow, bool) {
		return convertGateway(object.(*gateway)), true
	})
	s.watches = s.watched()
	s.metrics = newMetrics(s, o.Registerer)
	return s
}

// makeConfigTables makes the tables of the two ConfigMaps.
func (s *Store) makeConfigTables() {
	s.configMaps = newTable(s, s.configChanged, func(object any) (configRow, bool) {
		cm := object.(*corev1.ConfigMap)
		if cm.Name != s.opt.ConfigMap {
			return configRow{}, false
		}
		return convertConfig(cm), true
	})
	s.configMaps.listing = func(back bool) {
		if !s.config.read {
			s.config.refusal = s.missingConfig()
		}
		if back {
			s.config.distrust(fromUser, fromHandover)
		}
	}
	s.configMaps.listed = func() bool {
		s.config.read = true
		return s.config.choose()
	}
	s.saved = newTable(s, s.stateChanged, func(object any) (stateRow, bool) {
		cm := object.(*corev1.ConfigMap)
		if cm.Name != StateConfigMap || s.opt.ConfigMap == StateConfigMap {
			return stateRow{}, false
		}
		return convertState(cm), true
	})
	s.saved.listing = func(back bool) {
		if back {
			s.config.distrust(fromState)
		}
	}
	s.saved.listed = func() bool {
		s.stateRead = true
		s.keeping.ring()
		return false
	}
}

// trim drops the fields of a Service that the reader of this Store does not use.
func (s *Store) trim(row *serviceRow) {
	if !s.opt.Namespaces {
		row.service.Labels, row.service.Assignment = nil, nil
	}
}

func newTable[V any](s *Store, change func(cluster.Key, string, *V, *V) bool, convert func(any) (V, bool)) *table[V] {
	return &table[V]{mu: &s.mu, convert: convert, change: change, moved: s.moved,
		rows: make(map[cluster.Key]*V), passed: make(chan struct{})}
}

// Run keeps the Store up to date until ctx ends and then returns nil. Call Run once.
func (s *Store) Run(ctx context.Context) error {
	ctx = contextWithLog(ctx, s.opt.Log)
	var wg sync.WaitGroup
	for _, w := range s.watches {
		wg.Go(func() { s.keepWatching(ctx, w) })
	}
	wg.Go(func() { s.sendEvents(ctx) })
	if s.opt.MetalLB != "" {
		wg.Go(func() { s.keepSet(ctx) })
	}
	if s.opt.Passwords {
		wg.Go(func() { s.keepPasswords(ctx) })
	}
	if s.opt.Speakers {
		wg.Go(func() { s.forgetFacts(ctx) })
	}
	wg.Wait()
	return nil
}

// Synced reports whether every watched kind was listed once, so that a Snapshot is complete.
func (s *Store) Synced() bool {
	select {
	case <-s.synced:
		return true
	default:
		return false
	}
}

// WaitSynced waits until [Store.Synced] is true. When ctx ends first, the error wraps the cause of ctx, names the
// missing kinds, and wraps the last error of a watch.
func (s *Store) WaitSynced(ctx context.Context) error {
	select {
	case <-s.synced:
		return nil
	case <-ctx.Done():
		missing := s.unsynced()
		if err := s.health.last(); err != nil {
			return fmt.Errorf("%w before %s could be listed: %w", context.Cause(ctx), strings.Join(missing, ", "), err)
		}
		return fmt.Errorf("%w before %s could be listed", context.Cause(ctx), strings.Join(missing, ", "))
	}
}

// Connected reports whether the last list or watch reached the API server.
func (s *Store) Connected() bool { return s.health.connected() }

// GossipKeys returns the entries of the Secret in the order of their names, byte by byte. The first key encrypts, and
// the speakers accept all keys. GossipKeys does not check the length of the keys. It returns none until a Secret with
// entries exists. The last keys stay after the Secret is deleted or emptied. Options.Wake is called when the keys have
// changed. The caller must not change the keys.
func (s *Store) GossipKeys() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// Snapshot returns the current state. The cost is in proportion to the changes since the last call, plus one list of
// Services if any Service has changed: snapshots share unchanged Services.
func (s *Store) Snapshot() cluster.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publishServices()
	s.publishNodes()
	s.publishNamespaces()
	s.publishFacts()
	s.publishClaims()
	s.publishRouted()
	return cluster.Snapshot{
		Config: s.config.config(), ConfigState: s.configState(), Services: s.published, Others: s.publishedOthers, Nodes: s.publishedNodes,
		Namespaces: s.publishedNamespaces, Taken: s.publishedTaken, Claims: s.publishedClaims, Subnets: s.publishedSubnets, Conflicts: s.publishedConflicts,
		Routed: s.publishedRouted,
		Versions: cluster.Versions{
			Config: s.config.versions(), EndpointSlices: s.slices.versions(), Nodes: s.nodes.versions(), Services: s.services.versions(),
		},
	}
}

// moved is called after each event of a table.
func (s *Store) moved(wake bool) {
	if !s.Synced() {
		if len(s.unsynced()) > 0 {
			return
		}
		wake = s.markSynced() || wake
	}
	if wake {
		s.opt.Wake()
	}
}

// markSynced closes synced and reports whether this call closed synced: another watch may have been faster.
func (s *Store) markSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Synced() {
		return false
	}
	close(s.synced)
	return true
}

// unsynced returns the titles of the watches that were not listed yet.
func (s *Store) unsynced() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds []string
	for _, w := range s.watches {
		if !w.synced() {
			kinds = append(kinds, w.title)
		}
	}
	slices.Sort(kinds)
	return kinds
}
