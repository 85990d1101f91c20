package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestPoolKeepsNamespacesApart has two Services with one sharing key and traffic policy Cluster. In a pool that forbids
// sharing across namespaces, the Services share an address only within a namespace, even when one Service requests the
// address of the other Service.
func TestPoolKeepsNamespacesApart(t *testing.T) {
	for _, c := range []struct {
		key      string
		other    string
		requests bool
		share    bool
	}{
		{"", "two", false, true},
		{"", "two", true, true},
		{", share-across-namespaces: false", "two", false, false},
		{", share-across-namespaces: false", "two", true, false},
		{", share-across-namespaces: false", "one", false, true},
		{", share-across-namespaces: false", "one", true, true},
	} {
		cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.0/24]" + c.key + "}\n"))
		if err != nil {
			t.Fatal(err)
		}
		svc := func(namespace, name string, port uint16) *cluster.Service {
			return &cluster.Service{
				Key: cluster.Key{Namespace: namespace, Name: name}, UID: name, Version: "1", Created: time.Unix(int64(port), 0),
				Managed: true, Families: []cluster.Family{cluster.IPv4}, SharingKey: "edge", Ports: []cluster.Port{{Number: port}},
			}
		}
		first, second := svc("one", "a", 80), svc(c.other, "b", 443)
		if c.requests {
			second.Requested = []netip.Addr{netip.MustParseAddr("10.0.0.0")}
		}
		plan := Decide(cluster.Snapshot{Config: cfg, Services: []*cluster.Service{first, second}}, nil)
		got := map[string]string{}
		for _, u := range plan.Updates {
			got[u.Key.Name] = listed(u.Ingress) + " " + u.Condition.Reason
		}
		want := "10.0.0.0 Assigned"
		switch {
		case !c.share && c.requests:
			want = " AddressInUse"
		case !c.share:
			want = "10.0.0.1 Assigned"
		}
		if got["a"] != "10.0.0.0 Assigned" || got["b"] != want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestLocalServicesOfTwoNamespacesDoNotShare has two Services in two namespaces with one sharing key and the same
// selector. With the traffic policy Local the Services get two addresses: a selector chooses Pods of its own namespace,
// so no node has the endpoints of both Services, and a shared address would stay unannounced. With the policy Cluster
// the Services share one address.
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
