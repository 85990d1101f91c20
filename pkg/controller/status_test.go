package controller

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// TestStatus compares the status of pools, Services and held-back addresses with testdata/status.json.
func TestStatus(t *testing.T) {
	cfg, err := config.Parse([]byte(`address-pools:
- {name: lan, protocol: layer2, priority: 1, addresses: [10.0.0.1-10.0.0.4, "2001:db8::/64"]}
- {name: old, protocol: layer2, disabled: true, addresses: [10.1.0.0/30]}
`))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 1, 30, 0, 0, time.UTC)
	v4 := []cluster.Family{cluster.IPv4}
	condition := func(is bool, reason, message string) *cluster.Condition {
		return &cluster.Condition{True: is, Reason: reason, Message: message, Since: at.Add(-time.Hour)}
	}
	service := func(name string, families []cluster.Family, c *cluster.Condition, addrs ...string) *cluster.Service {
		s := &cluster.Service{Key: cluster.Key{Namespace: "shop", Name: name}, UID: name, Created: at.Add(-2 * time.Hour), Managed: true, Families: families, Condition: c}
		for _, a := range addrs {
			s.Ingress = append(s.Ingress, netip.MustParseAddr(a))
			s.AllocatedFrom = "lan"
		}
		return s
	}
	dual := service("dual", []cluster.Family{cluster.IPv4, cluster.IPv6}, condition(true, "Assigned", `10.0.0.1 from pool "lan", 2001:db8::1 from pool "lan"`),
		"10.0.0.1", "2001:db8::1")
	dual.FamilyPolicy, dual.PreferNode, dual.TrafficPolicy = cluster.RequireDualStack, "n2", cluster.TrafficLocal
	dual.Conflict = condition(true, "AddressConflict", "02:00:00:00:00:09, which is no node's, answers for 10.0.0.1 too")
	other := service("of-another", v4, nil, "10.0.0.9")
	other.Managed = false
	wrong := service("wrong", v4, condition(false, "UnknownPool", `no pool is named "x" (pools: "lan", "old")`))
	wrong.RequestedPool = "x"
	snapshot := cluster.Snapshot{
		Config:   cfg,
		Services: []*cluster.Service{dual, service("new", v4, nil), other, service("sorry", v4, condition(true, "Assigned", "10.1.0.1"), "10.1.0.1"), wrong},
		Nodes:    []cluster.Node{{Name: "n1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.4")}}},
		Taken:    []cluster.Taken{{Addr: netip.MustParseAddr("10.0.0.3"), By: cluster.TakenByStranger, Name: "02:00:00:00:00:0a"}},
	}
	resting := []rest{{addr: netip.MustParseAddr("10.1.0.2"), by: cluster.Key{Namespace: "shop", Name: "gone"}, since: at.Add(-10 * time.Second)}}
	v := view{snapshot: snapshot, plan: Decide(snapshot, nil), rests: resting, decided: at}
	got, err := json.MarshalIndent(v.status(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/status.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is told (-update writes it):\n%s", file, got)
	}
}

// TestStatusOfStandby checks the status before the loop has run, which comes from the snapshot of the Source.
func TestStatusOfStandby(t *testing.T) {
	api := newFakeAPI(t, "address-pools: [{name: lan, protocol: layer2, addresses: [10.0.0.1-10.0.0.3]}]\n")
	api.apply("web", nil)
	api.deliver()
	c := New(Options{Source: api, Writer: api})
	s := c.Status()
	if len(s.Services) != 1 || s.Services[0].State != "undecided" || len(s.Pools) != 1 || s.Pools[0].Families[0].Size != "3" || !s.Decided.IsZero() {
		t.Errorf("a standby tells %+v", s)
	}
}
