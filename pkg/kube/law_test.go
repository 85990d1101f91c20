package kube

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// naive converts every object of the API server from scratch into the expected snapshot.
func naive(api *fakeAPI) (services []*cluster.Service, nodes []cluster.Node) {
	api.mu.Lock()
	defer api.mu.Unlock()
	for _, o := range api.objects["services"] {
		row, found := convertService(o.(*corev1.Service), "")
		if !found {
			continue
		}
		for _, o := range api.objects["endpointslices"] {
			if e, found := convertSlice(o.(*discoveryv1.EndpointSlice)); found && e.service == row.service.Key {
				row.service.HasServing = true
				row.service.ServingNodes = append(row.service.ServingNodes, e.nodes...)
				row.service.ReadyNodes = append(row.service.ReadyNodes, e.ready...)
			}
		}
		slices.Sort(row.service.ServingNodes)
		row.service.ServingNodes = slices.Compact(row.service.ServingNodes)
		slices.Sort(row.service.ReadyNodes)
		row.service.ReadyNodes = slices.Compact(row.service.ReadyNodes)
		services = append(services, &row.service)
	}
	slices.SortFunc(services, func(a, b *cluster.Service) int { return a.Key.Compare(b.Key) })
	for _, o := range api.objects["nodes"] {
		nodes = append(nodes, convertNode(o.(*corev1.Node)))
	}
	slices.SortFunc(nodes, func(a, b cluster.Node) int { return cluster.Key{Name: a.Name}.Compare(cluster.Key{Name: b.Name}) })
	return services, nodes
}

// TestLaws checks four laws for random events in random order: the last snapshot equals the objects of the API server;
// a change of the snapshot wakes the reader; an own write never vanishes from one snapshot to the next; and no snapshot
// changes after Snapshot has returned it.
func TestLaws(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			api := newFakeAPI(configMap(""))
			inBubble(t, api, func(t *testing.T, s *Store, wakes *counter, _ *lines) {
				for range 60 {
					before := s.Snapshot()
					copied := slices.Clone(before.Services)
					for i, svc := range copied {
						copied[i] = new(*svc)
					}
					wakes.take()
					api.hold("services")
					for range 1 + random.IntN(5) {
						change(t, random, api, s)
					}
					broken := random.IntN(10) == 0
					if broken {
						api.fail(nil) // ends all watches
					}
					api.release("services")
					if broken {
						time.Sleep(time.Minute) // the watches begin again
					}
					woken := wakes.take() > 0
					after := s.Snapshot()
					services, nodes := naive(api)
					if !equal(after.Services, services) || !equal(after.Nodes, nodes) {
						t.Fatalf("snapshot\n%+v\n%+v\nwant\n%+v\n%+v", after.Services, after.Nodes, services, nodes)
					}
					if !equal(before.Services, copied) {
						t.Fatal("a snapshot has changed after it was handed out")
					}
					if same := slices.EqualFunc(before.Services, after.Services, sameService) && equal(before.Nodes, after.Nodes); !same && !woken {
						t.Fatalf("no wake-up from\n%+v\nto\n%+v", before, after)
					}
				}
			})
		})
	}
}

func equal[T any](a, b []T) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// change makes one random change.
func change(t *testing.T, random *rand.Rand, api *fakeAPI, s *Store) {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	name := pick("p", "q", "r", "s")
	switch random.IntN(6) {
	case 0:
		o := service(name)
		o.Spec.Type = corev1.ServiceType(pick("LoadBalancer", "LoadBalancer", "ClusterIP"))
		o.Annotations = map[string]string{pick("x", AddressesAnnotation): pick("10.0.0.1", "10.0.0.2")}
		api.put(o)
	case 1:
		api.mu.Lock()
		there := api.objects["services"]["a/"+name] != nil
		api.mu.Unlock()
		if there {
			api.remove(service(name))
		}
	case 2:
		o := slice(pick("1", "2", "3"), name, pick("n1", "n2"), pick("n2", "n3"))
		if random.IntN(2) == 0 { // a Pod is stopped
			o.Endpoints[0].Conditions = terminating()
		}
		api.put(o)
	case 3:
		api.put(slice(pick("1", "2", "3"), name))
	case 4:
		api.put(node(pick("n1", "n2"), pick("10.0.0.1", "10.0.0.2")))
	case 5:
		services := s.Snapshot().Services
		if len(services) == 0 {
			return
		}
		seen := services[random.IntN(len(services))]
		u := assign(seen, pick("10.0.0.1", "10.0.0.2"))
		if s.Write(t.Context(), u) != nil {
			return // the Service has changed meanwhile
		}
		for _, now := range s.Snapshot().Services {
			if now.UID == seen.UID && !slices.Equal(now.Ingress, u.Ingress) {
				t.Errorf("%s has %v right after %v was written", now.Key, now.Ingress, u.Ingress)
			}
		}
	}
}
