package controller

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// fakeAPI simulates an API server and the caches of one controller. fakeAPI rejects a write that was decided on an old
// version. The caches receive changes only by deliver, except the successful writes of the controller, which the
// snapshots show at once. fakeAPI fails the test when two Services get one address.
type fakeAPI struct {
	*testing.T
	wake func()
	// registry is for the controller; nil for none.
	registry prometheus.Registerer

	// mu is a mutex because several goroutines call Write at once.
	mu     sync.Mutex
	served map[cluster.Key]cluster.Service
	cached map[cluster.Key]cluster.Service
	shown  map[cluster.Key]*cluster.Service
	cfg    *config.Config
	hash   uint64
	state  cluster.ConfigState
	writes int
	// version is the newest resourceVersion. made counts the Services.
	version, made int
	// network holds all parts of a snapshot but the configuration and the Services.
	network cluster.Snapshot
	// known maps each Service to the specifications since the Service got its current addresses.
	known map[cluster.Key][]cluster.Service
	// leaders is the number of controllers that run at once without knowing of each other.
	leaders int
	// fault returns the fault of each write.
	fault func(cluster.Update) fault
	// log records one line per write or Event.
	log []string
}

// fault is the outcome of a write.
type fault uint8

const (
	// works is a write that succeeds.
	works fault = iota
	// fails is a write without effect that ends with an error.
	fails
	// answerLost is a write that takes effect but returns an error.
	answerLost
	// hangs is a write without effect that returns when its context ends.
	hangs
)

var (
	_ Source = (*fakeAPI)(nil)
	_ Writer = (*fakeAPI)(nil)
)

func newFakeAPI(t *testing.T, document string) *fakeAPI {
	f := &fakeAPI{
		T: t, wake: func() {}, served: map[cluster.Key]cluster.Service{}, cached: map[cluster.Key]cluster.Service{},
		shown: map[cluster.Key]*cluster.Service{}, fault: func(cluster.Update) fault { return works }, known: map[cluster.Key][]cluster.Service{}, leaders: 1,
	}
	f.configure(document)
	return f
}

// configure puts a document into the caches, as the kube package does: an invalid document leaves the last valid
// configuration in use.
func (f *fakeAPI) configure(document string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cfg, err := config.Parse([]byte(document))
	if err == nil {
		f.cfg = cfg
		h := fnv.New64a()
		h.Write([]byte(document))
		f.hash = h.Sum64()
	}
	f.version++
	f.state = cluster.ConfigState{
		Object:  cluster.ObjectRef{Kind: "ConfigMap", Namespace: "lanlord-system", Name: "config", UID: "config-uid"},
		Version: fmt.Sprint(f.version), Problem: err, Known: true,
	}
}

// refuse puts a set of objects with problems into the caches. The last valid configuration stays in use.
func (f *fakeAPI) refuse(err error, problems ...cluster.ObjectProblem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.state = cluster.ConfigState{
		Object:  cluster.ObjectRef{Kind: "Namespace", Name: "metallb-system"},
		Version: fmt.Sprint(f.version), Problem: err, Objects: problems,
	}
}

// apply creates a Service, or changes the specification of a Service, as users do.
func (f *fakeAPI) apply(name string, change func(*cluster.Service)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := cluster.Key{Namespace: "default", Name: name}
	svc, known := f.served[key]
	if !known {
		f.made++
		svc = cluster.Service{
			Key: key, UID: fmt.Sprint("uid-", f.made), Managed: true,
			Created:  time.Now().Truncate(time.Second).Add(time.Duration(f.made) * time.Millisecond),
			Families: []cluster.Family{cluster.IPv4},
		}
	}
	if change != nil {
		change(&svc)
	}
	f.version++
	svc.Version = fmt.Sprint(f.version)
	f.served[key] = svc
	f.known[key] = append(f.known[key], svc)
}

// rewire changes the namespaces and the network.
func (f *fakeAPI) rewire(random *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	chooseNetwork(random, &f.network)
}

// breakWrites sets the function that returns the fault of each further write.
func (f *fakeAPI) breakWrites(how func(cluster.Update) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = how
}

func (f *fakeAPI) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.served, cluster.Key{Namespace: "default", Name: name})
}

// deliver updates the caches and wakes the controller.
func (f *fakeAPI) deliver() {
	f.mu.Lock()
	f.cached = maps.Clone(f.served)
	f.mu.Unlock()
	f.wake()
}

// deliverOnly updates the caches for one Service and wakes the controller.
func (f *fakeAPI) deliverOnly(name string) {
	f.mu.Lock()
	key := cluster.Key{Namespace: "default", Name: name}
	if svc, ok := f.served[key]; ok {
		f.cached[key] = svc
	} else {
		delete(f.cached, key)
	}
	f.mu.Unlock()
	f.wake()
}

// Snapshot implements Source.
func (f *fakeAPI) Snapshot() cluster.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot(f.cached)
}

func (f *fakeAPI) snapshot(cached map[cluster.Key]cluster.Service) cluster.Snapshot {
	s := f.network
	s.Config, s.ConfigState, s.Versions.Config.Hash = f.cfg, f.state, f.hash
	for _, key := range slices.SortedFunc(maps.Keys(cached), cluster.Key.Compare) {
		if svc := cached[key]; svc.Managed || svc.Marked() {
			// Snapshots share the unchanged Services.
			if was := f.shown[key]; was == nil || !reflect.DeepEqual(*was, svc) {
				f.shown[key] = &svc
			}
			s.Services = append(s.Services, f.shown[key])
		}
	}
	return s
}

// Write implements Writer.
func (f *fakeAPI) Write(ctx context.Context, u cluster.Update) error {
	return f.writeFor(ctx, u, func() map[cluster.Key]cluster.Service { return f.cached })
}

// writeFor executes the write of a controller with the given caches.
func (f *fakeAPI) writeFor(ctx context.Context, u cluster.Update, cached func() map[cluster.Key]cluster.Service) error {
	f.mu.Lock()
	fault := f.fault(u)
	f.writes++
	f.mu.Unlock()
	switch fault {
	case fails:
		return errors.New("the server is out to lunch")
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	svc, ok := f.served[u.Key]
	if !ok || svc.UID != u.UID || svc.Version != u.Version {
		return fmt.Errorf("write %s: %w", u.Key, cluster.ErrChanged)
	}
	given := slices.DeleteFunc(slices.Clone(u.Ingress), func(a netip.Addr) bool { return slices.Contains(svc.Ingress, a) })
	write(&svc, u, time.Now())
	f.version++
	svc.Version = fmt.Sprint(f.version)
	f.served[u.Key] = svc
	f.log = append(f.log, fmt.Sprintf("%s = %v", u.Key.Name, u.Ingress))
	if f.writes > 10_000 {
		panic("the controller writes without end:\n" + strings.Join(f.log[len(f.log)-20:], "\n"))
	}
	f.checkGiven(svc, given)
	f.known[u.Key] = []cluster.Service{svc}
	if fault == answerLost {
		return errors.New("connection reset by peer")
	}
	cached()[u.Key] = svc
	return nil
}

// Event implements Writer.
func (f *fakeAPI) Event(e cluster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf("%s %s: %s", e.Object.Name, e.Reason, e.Message))
}

// checkGiven fails the test when svc gets an address of another Service, unless the other Service has shared the
// address at any time since it got the address. The controller may not know yet that the other Service no longer
// shares. The caller holds mu.
func (f *fakeAPI) checkGiven(svc cluster.Service, given []netip.Addr) {
	if f.leaders > 1 {
		return
	}
	for _, addr := range given {
		for key, other := range f.served {
			shares := slices.ContainsFunc(f.known[key], func(o cluster.Service) bool { return allocator.MayShare(&svc, &o) })
			if key != svc.Key && slices.Contains(other.Ingress, addr) && !shares {
				f.Errorf("%s is given to %s and is at %s", addr, svc.Key, key)
			}
		}
	}
}

// checkShares fails the test when two Services have one address and do not share the address.
func (f *fakeAPI) checkShares() {
	f.mu.Lock()
	defer f.mu.Unlock()
	holders := map[netip.Addr][]cluster.Service{}
	for _, svc := range f.served {
		for _, addr := range svc.Ingress {
			for _, other := range holders[addr] {
				if !allocator.MayShare(&svc, &other) {
					f.Errorf("%s is at %s and at %s", addr, svc.Key, other.Key)
				}
			}
			holders[addr] = append(holders[addr], svc)
		}
	}
}

// follower gives another controller access to the API server, with separate caches.
type follower struct {
	*fakeAPI
	own map[cluster.Key]cluster.Service
}

// newFollower returns a follower with caches that are up to date, like the caches of a new leader.
func newFollower(f *fakeAPI) *follower {
	n := &follower{fakeAPI: f}
	n.deliver()
	return n
}

func (f *follower) deliver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own = maps.Clone(f.served)
}

// Snapshot implements Source.
func (f *follower) Snapshot() cluster.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot(f.own)
}

// Write implements Writer.
func (f *follower) Write(ctx context.Context, u cluster.Update) error {
	return f.writeFor(ctx, u, func() map[cluster.Key]cluster.Service { return f.own })
}

// took returns the log since the last call, and empties the log.
func (f *fakeAPI) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := strings.Join(f.log, "\n")
	f.log = nil
	return text
}

// status returns one line per Service with the addresses of the Service.
func (f *fakeAPI) status() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text []string
	for _, key := range slices.SortedFunc(maps.Keys(f.served), cluster.Key.Compare) {
		text = append(text, fmt.Sprintf("%s %v", key.Name, f.served[key].Ingress))
	}
	return strings.Join(text, "\n")
}
