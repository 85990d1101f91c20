package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// fakeAPI is an API server and the caches of one controller. A write that was decided on an old version is refused; what
// anybody writes reaches the caches only by deliver, except the controller's own successful writes, which its snapshots
// show at once. It fails the test when an address is at two Services.
type fakeAPI struct {
	*testing.T
	wake func()
	// registry is given to the controller; nil for none.
	registry prometheus.Registerer

	// A mutex, since Write is called from several goroutines at once.
	mu     sync.Mutex
	served map[cluster.Key]cluster.Service
	cached map[cluster.Key]cluster.Service
	cfg    *config.Config
	state  cluster.ConfigState
	writes int
	// version is the newest resourceVersion, made counts the Services.
	version, made int
	// fault is asked before each write what is to become of it.
	fault func(cluster.Update) fault
	// log is what happened, a line each.
	log []string
}

// fault is what becomes of a write.
type fault uint8

const (
	// works is a write that succeeds.
	works fault = iota
	// fails is a write without effect that ends with an error.
	fails
	// answerLost is a write that takes effect and ends with an error nevertheless.
	answerLost
	// hangs is a write that ends when its context does, without effect.
	hangs
)

var (
	_ Source = (*fakeAPI)(nil)
	_ Writer = (*fakeAPI)(nil)
)

func newFakeAPI(t *testing.T, document string) *fakeAPI {
	f := &fakeAPI{
		T: t, wake: func() {}, served: map[cluster.Key]cluster.Service{}, cached: map[cluster.Key]cluster.Service{},
		fault: func(cluster.Update) fault { return works },
	}
	f.configure(document)
	return f
}

// configure puts a document into the caches, as the kube package does it: a bad one leaves the last good one in use.
func (f *fakeAPI) configure(document string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cfg, err := config.Parse([]byte(document))
	if err == nil {
		f.cfg = cfg
	}
	f.version++
	f.state = cluster.ConfigState{
		Object:  cluster.ObjectRef{Kind: "ConfigMap", Namespace: "lanlord-system", Name: "config", UID: "config-uid"},
		Version: fmt.Sprint(f.version), Problem: err,
	}
}

// apply makes a Service, or gives it another specification, as users do.
func (f *fakeAPI) apply(name string, change func(*cluster.Service)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := cluster.Key{Namespace: "default", Name: name}
	svc, known := f.served[key]
	if !known {
		f.made++
		svc = cluster.Service{
			Key: key, UID: fmt.Sprint("uid-", f.made), Created: time.Unix(int64(f.made), 0), Managed: true,
			Families: []cluster.Family{cluster.IPv4},
		}
	}
	if change != nil {
		change(&svc)
	}
	f.version++
	svc.Version = fmt.Sprint(f.version)
	f.served[key] = svc
}

// breakWrites makes writes end as how says from now on.
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

// deliver brings the caches up to date, and wakes the controller.
func (f *fakeAPI) deliver() {
	f.mu.Lock()
	f.cached = maps.Clone(f.served)
	f.mu.Unlock()
	f.wake()
}

// deliverOnly does that for one Service.
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
	s := cluster.Snapshot{Config: f.cfg, ConfigState: f.state}
	for _, key := range slices.SortedFunc(maps.Keys(f.cached), cluster.Key.Compare) {
		if svc := f.cached[key]; svc.Managed || svc.AllocatedFrom != "" || svc.Condition != nil {
			s.Services = append(s.Services, svc)
		}
	}
	return s
}

// Write implements Writer.
func (f *fakeAPI) Write(ctx context.Context, u cluster.Update) error {
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
	svc.Ingress, svc.AllocatedFrom, svc.Condition, svc.ForeignIngress = u.Ingress, u.AllocatedFrom, u.Condition, false
	f.version++
	svc.Version = fmt.Sprint(f.version)
	f.served[u.Key] = svc
	f.log = append(f.log, fmt.Sprintf("%s = %v", u.Key.Name, u.Ingress))
	if f.writes > 10_000 {
		panic("the controller writes without end:\n" + strings.Join(f.log[len(f.log)-20:], "\n"))
	}
	f.checkUnique()
	if fault == answerLost {
		return errors.New("connection reset by peer")
	}
	f.cached[u.Key] = svc
	return nil
}

// Event implements Writer.
func (f *fakeAPI) Event(e cluster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf("%s %s: %s", e.Object.Name, e.Reason, e.Message))
}

// checkUnique is called with mu held.
func (f *fakeAPI) checkUnique() {
	holders := map[netip.Addr]cluster.Key{}
	for key, svc := range f.served {
		for _, addr := range svc.Ingress {
			if other, twice := holders[addr]; twice {
				f.Errorf("%s is at %s and at %s", addr, key, other)
			}
			holders[addr] = key
		}
	}
}

// took returns what happened since it was last called, and forgets it.
func (f *fakeAPI) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := strings.Join(f.log, "\n")
	f.log = nil
	return text
}

// status returns who has which address, a Service each.
func (f *fakeAPI) status() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text []string
	for _, key := range slices.SortedFunc(maps.Keys(f.served), cluster.Key.Compare) {
		text = append(text, fmt.Sprintf("%s %v", key.Name, f.served[key].Ingress))
	}
	return strings.Join(text, "\n")
}
