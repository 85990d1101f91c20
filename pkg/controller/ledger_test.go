package controller

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// wide holds configurations in which many Services can get the requested addresses.
var wide = []string{
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.30, "fd00::1-fd00::14"]}
- {name: b, protocol: layer2, addresses: [10.0.0.31-10.0.0.40], quota: {each: 3}, namespaces: [default]}
- {name: c, protocol: layer2, addresses: [10.0.0.41-10.0.0.60], priority: 1, quota: {namespaces: {other: 2}}}
`,
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.3-10.0.0.20], reserve: {10.0.0.5: default/s1, 10.0.0.9: [default/s2, other/s30]}}
- {name: c, protocol: layer2, addresses: [10.0.0.21-10.0.0.40, "fd00::1-fd00::9"], avoid-buggy-ips: true,
   service-selectors: [{match-labels: {tier: front}}]}
allocation: {release-delay: 1s}
`,
}

// town is a cluster with random changes.
type town struct {
	*testing.T
	random  *rand.Rand
	configs []*config.Config
	cluster.Snapshot
	resting []allocator.Rest
	now     time.Time
	version int
}

func newTown(t *testing.T, seed uint64, documents []string) *town {
	w := &town{T: t, random: rand.New(rand.NewPCG(seed, 11)), now: time.Unix(100, 0)}
	for _, d := range documents {
		cfg, err := config.Parse([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		w.configs = append(w.configs, cfg)
	}
	w.Config = w.configs[0]
	w.Namespaces = []cluster.Namespace{{Name: "default"}, {Name: "other", Labels: map[string]string{"team": "a"}}}
	return w
}

// put adds svc to the cluster, or replaces the Service with the same Key.
func (w *town) put(svc cluster.Service) {
	w.version++
	svc.Version = fmt.Sprint(w.version)
	w.Services = slices.Clone(w.Services)
	i, found := slices.BinarySearchFunc(w.Services, svc.Key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	if found {
		w.Services[i] = &svc
	} else {
		w.Services = slices.Insert(w.Services, i, &svc)
	}
}

// happen makes one random change, most often to a Service.
func (w *town) happen(plan Plan, names int) {
	random := w.random
	number := random.IntN(names)
	key := cluster.Key{Namespace: []string{"default", "other"}[2*number/names], Name: fmt.Sprint("s", number)}
	i, found := slices.BinarySearchFunc(w.Services, key, func(s *cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	svc := cluster.Service{Key: key, UID: fmt.Sprint("uid-", w.version), Created: time.Unix(int64(random.IntN(20)), 0)}
	if found {
		svc = *w.Services[i]
	}
	switch what := random.IntN(40); {
	case what < 22:
		w.carryOut(plan.Updates)
	case what < 28:
		choose(random, &svc)
		chooseWishes(random, &svc)
		w.put(svc)
	case what < 32:
		if random.IntN(3) > 0 { // most Services are plain
			svc.Managed, svc.FamilyPolicy, svc.Families = true, cluster.SingleStack, []cluster.Family{cluster.IPv4}
			svc.Requested, svc.RequestedPool, svc.RequestProblem, svc.SharingKey, svc.Ports = nil, "", "", "", nil
			svc.ExternalIPs, svc.GatewayAddresses = nil, nil
		}
		w.put(svc)
	case what < 34:
		if found {
			w.Services = slices.Delete(slices.Clone(w.Services), i, i+1)
			for _, addr := range svc.Ingress {
				w.resting = append(w.resting, allocator.Rest{Addr: addr, Holder: key, Firm: random.IntN(4) == 0})
			}
		}
	case what < 36: // a user edits the status
		svc.Ingress = nil
		for range random.IntN(3) {
			svc.Ingress = append(svc.Ingress, w.anyAddr())
		}
		if svc.ForeignIngress = random.IntN(9) == 0; random.IntN(3) == 0 {
			svc.AllocatedFrom = ""
		}
		w.put(svc)
	case what < 38:
		w.resting = w.resting[random.IntN(len(w.resting)+1):]
		for range random.IntN(3) {
			w.resting = append(w.resting, allocator.Rest{Addr: w.anyAddr(), Holder: key, Firm: random.IntN(2) == 0})
		}
	case what < 39:
		if random.IntN(3) == 0 {
			chooseNetwork(random, &w.Snapshot)
		} else {
			// The same values in new slices.
			w.Nodes, w.Taken, w.Subnets = slices.Clone(w.Nodes), slices.Clone(w.Taken), slices.Clone(w.Subnets)
			w.Namespaces, w.Conflicts = slices.Clone(w.Namespaces), slices.Clone(w.Conflicts)
		}
	default:
		if random.IntN(3) == 0 {
			was := w.Config.WithPast(nil)
			w.Config = w.configs[random.IntN(len(w.configs))]
			if random.IntN(2) == 0 {
				w.Config = w.Config.WithPast([]config.Past{{Config: was, Until: time.Unix(int64(1000+w.version), 0)}})
			}
		}
	}
}

func (w *town) anyAddr() netip.Addr {
	for _, svc := range w.Services {
		if len(svc.Ingress) > 0 && w.random.IntN(len(w.Services)) == 0 {
			return svc.Ingress[0]
		}
	}
	return randomAddr(w.random)
}

// carryOut executes all writes of a plan, or some of them.
func (w *town) carryOut(updates []cluster.Update) {
	all := w.random.IntN(3) > 0
	for _, u := range updates {
		if !all && w.random.IntN(2) == 0 {
			continue
		}
		for _, svc := range w.Services {
			if svc.Key == u.Key {
				w.now = w.now.Add(time.Second)
				after := *svc
				write(&after, u, w.now)
				w.put(after)
				break
			}
		}
	}
}

// TestLedgerLaw runs random histories, and checks after each step that the ledger, which examines only the open
// Services, returns the same plan as Decide.
func TestLedgerLaw(t *testing.T) {
	for _, c := range []struct {
		name             string
		documents        []string
		histories, names int
		// settled is the minimum percentage of settled Services in all decisions. With fewer settled Services the test
		// would prove little.
		settled int
	}{
		{"scarce", documents[:validDocuments], 80, 12, 5},
		{"plenty", wide, 30, 60, 40},
		{"both", append(slices.Clone(wide), documents[:validDocuments]...), 30, 30, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			settled, all := 0, 0
			for seed := range uint64(c.histories) {
				w, l := newTown(t, seed, c.documents), ledger{}
				var plan Plan
				for step := range 150 {
					for range 1 + w.random.IntN(3) {
						w.happen(plan, c.names)
					}
					if w.random.IntN(30) == 0 {
						if got := l.decide(cluster.Snapshot{Services: w.Services}, w.resting); !reflect.DeepEqual(got, Plan{}) {
							t.Fatalf("without a configuration: %s", got.text())
						}
					}
					settled, all = settled+l.settled, all+len(w.Services)
					got := l.decide(w.Snapshot, w.resting)
					plan = Decide(w.Snapshot, w.resting)
					if !reflect.DeepEqual(got, plan) {
						t.Fatalf("seed %d, step %d: of all %d Services\n%s%+v\nof those that are not settled\n%s%+v", seed, step, len(w.Services),
							plan.text(), plan.Summary, got.text(), got.Summary)
					}
					if len(l.open)+l.settled != len(w.Services) {
						t.Fatalf("seed %d, step %d: %d open and %d settled of %d", seed, step, len(l.open), l.settled, len(w.Services))
					}
				}
			}
			if settled*100 < all*c.settled {
				t.Errorf("%d of %d Services were settled", settled, all)
			}
			t.Logf("%d of %d Services were settled", settled, all)
		})
	}
}
