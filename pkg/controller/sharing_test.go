package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestLocalServicesOfTwoNamespacesDoNotShare has two Services of two namespaces with one sharing key and the same selector.
// With the policy Local they get two addresses, because a selector chooses Pods of its own namespace: no node has the
// endpoints of both, and the address would be dark. With the policy Cluster they share one.
func TestLocalServicesOfTwoNamespacesDoNotShare(t *testing.T) {
	cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for policy, share := range map[cluster.TrafficPolicy]bool{cluster.TrafficLocal: false, cluster.TrafficCluster: true} {
		svc := func(namespace string, port uint16) *cluster.Service {
			s := &cluster.Service{
				Key: cluster.Key{Namespace: namespace, Name: "web"}, UID: namespace, Version: "1",
				Created: time.Unix(int64(port), 0), Managed: true, Families: []cluster.Family{cluster.IPv4},
				SharingKey: "edge", TrafficPolicy: policy, Ports: []cluster.Port{{Number: port}},
			}
			if policy == cluster.TrafficLocal {
				s.Selector = "app=web"
			}
			return s
		}
		plan := Decide(cluster.Snapshot{Config: cfg, Services: []*cluster.Service{svc("one", 80), svc("two", 443)}}, nil)
		got := map[string]netip.Addr{}
		for _, u := range plan.Updates {
			if len(u.Ingress) == 1 {
				got[u.Key.Namespace] = u.Ingress[0]
			}
		}
		if len(got) != 2 || (got["one"] == got["two"]) != share {
			t.Errorf("policy %s: %v, want one address for both: %t", policy, got, share)
		}
	}
}
