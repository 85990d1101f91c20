package controller

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// documents holds the configurations for the random histories.
var documents = []string{
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.4, "fd00::1-fd00::3"]}
`,
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.2-10.0.0.5]}
- {name: b, protocol: layer2, addresses: ["fd00::2-fd00::4"], namespaces: [default]}
- {name: c, protocol: layer2, addresses: [10.0.0.1/32, 10.0.0.6/32], auto-assign: false}
`,
	`address-pools:
- {name: far, protocol: bgp, addresses: [10.0.0.1-10.0.0.4]}
- {name: c, protocol: layer2, addresses: [10.0.0.5-10.0.0.7, "fd00::1-fd00::9"], namespaces: [other]}
- {name: z, protocol: layer2, addresses: ["10.0.0.8/32"], priority: 1}
allocation: {release-delay: 0s}
`,
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.3, "fd00::1-fd00::2"], quota: {each: 2}, priority: 1}
- {name: b, protocol: layer2, addresses: [10.0.0.4-10.0.0.6, "fd00::3"], reserve: {10.0.0.5: default/s1, 10.0.0.6: [default/s2, default/s3]}}
- {name: c, protocol: layer2, share-across-namespaces: false, addresses: [10.0.0.7-10.0.0.8, "fd00::4-fd00::5"], namespace-selectors: [{match-labels: {team: a}}],
   service-selectors: [{match-labels: {tier: front}}]}
`,
	`address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.4, "fd00::1-fd00::3"], disabled: true}
- {name: b, protocol: layer2, addresses: [10.0.0.5-10.0.0.8], quota: {namespaces: {default: 1}}, avoid-buggy-ips: true}
allocation: {release-delay: 1s, avoid-network-addresses: false}
`,
	``,
	`address-pools: [{name: broken}]`,
}

// validDocuments is the number of valid documents, which come first.
var validDocuments = len(documents) - 1

// choose gives svc a random specification.
func choose(random *rand.Rand, svc *cluster.Service) {
	svc.Managed = random.IntN(8) > 0
	svc.FamilyPolicy = cluster.FamilyPolicy(random.IntN(3))
	svc.Families = [][]cluster.Family{
		{cluster.IPv4}, {cluster.IPv6}, {cluster.IPv4, cluster.IPv6}, {cluster.IPv6, cluster.IPv4},
	}[random.IntN(4)]
	svc.Requested, svc.RequestedPool, svc.RequestProblem = nil, "", ""
	svc.Labels, svc.SharingKey, svc.Ports, svc.TrafficPolicy, svc.Selector = nil, "", nil, cluster.TrafficCluster, ""
	if random.IntN(3) == 0 {
		svc.Labels = map[string]string{"tier": "front"}
	}
	if random.IntN(2) == 0 {
		svc.SharingKey = []string{"k", "k", "l"}[random.IntN(3)]
		svc.TrafficPolicy = cluster.TrafficPolicy(random.IntN(5) / 4)
		svc.Selector = []string{"app=x", "app=y"}[random.IntN(2)]
		for _, port := range []cluster.Port{{Number: 53}, {Number: 80}, {Protocol: cluster.UDP, Number: 53}} {
			if random.IntN(3) == 0 {
				svc.Ports = append(svc.Ports, port)
			}
		}
	}
	svc.PreferNodeProblem, svc.PreferNodeValue, svc.RequestValue = "", "", ""
	if random.IntN(9) == 0 {
		svc.PreferNodeProblem, svc.PreferNodeValue = "no such name", "x"
	}
	switch random.IntN(6) {
	case 0:
		svc.Requested = []netip.Addr{randomAddr(random)}
	case 1:
		svc.RequestedPool = []string{"a", "b", "c", "far"}[random.IntN(4)]
	case 2:
		if random.IntN(3) == 0 {
			svc.RequestProblem, svc.RequestValue = "nobody understands this", "x"
		}
	}
}

func randomAddr(random *rand.Rand) netip.Addr {
	if random.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + random.IntN(8))})
	}
	return netip.MustParseAddr(fmt.Sprint("fd00::", 1+random.IntN(5)))
}

// chooseNetwork gives a snapshot random namespaces and a random network.
func chooseNetwork(random *rand.Rand, s *cluster.Snapshot) {
	s.Nodes, s.Taken, s.Subnets, s.Conflicts, s.Claims = nil, nil, nil, nil, nil
	s.Namespaces = []cluster.Namespace{{Name: "default"}, {Name: "other", Labels: map[string]string{"team": "a"}}}
	if random.IntN(2) == 0 {
		s.Namespaces[0].Labels = map[string]string{"team": "a"}
	}
	if random.IntN(4) == 0 {
		s.Nodes = []cluster.Node{{Name: "n1", Addresses: []netip.Addr{randomAddr(random)}}}
	}
	if random.IntN(4) == 0 {
		s.Taken = []cluster.Taken{{Addr: randomAddr(random), By: cluster.TakenBy(random.IntN(3)), Name: "x"}}
	}
	if random.IntN(3) == 0 {
		for range 1 + random.IntN(3) {
			s.Claims = append(s.Claims, randomClaim(random))
		}
		slices.SortFunc(s.Claims, cluster.Claim.Compare)
		s.Claims = slices.Compact(s.Claims)
	}
	if random.IntN(3) == 0 {
		for range 1 + random.IntN(3) {
			s.Conflicts = append(s.Conflicts, cluster.Stranger{Addr: randomAddr(random), MAC: fmt.Sprintf("02:00:00:00:00:0%d", random.IntN(3))})
		}
		slices.SortFunc(s.Conflicts, cluster.Stranger.Compare)
		s.Conflicts = slices.Compact(s.Conflicts)
	}
	if random.IntN(4) == 0 {
		s.Subnets = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("fd00::/64")}
	}
}

func randomClaim(random *rand.Rand) cluster.Claim {
	return cluster.Claim{
		Addr: randomAddr(random), By: cluster.ClaimedBy(random.IntN(4)),
		Holder: cluster.Key{Namespace: "default", Name: fmt.Sprint("s", random.IntN(6))},
	}
}

// isContested reports whether the snapshot has a foreign host or a claim for one of the addresses.
func isContested(s *cluster.Snapshot, addrs []netip.Addr) bool {
	return slices.ContainsFunc(s.Conflicts, func(c cluster.Stranger) bool { return slices.Contains(addrs, c.Addr) }) ||
		slices.ContainsFunc(s.Claims, func(c cluster.Claim) bool {
			return !c.Managed && c.By != cluster.ClaimedByGateway && slices.Contains(addrs, c.Addr)
		})
}

// randomSnapshot returns a cluster in which Services may have any status.
func randomSnapshot(t *testing.T, random *rand.Rand) (cluster.Snapshot, []allocator.Rest) {
	var s cluster.Snapshot
	var err error
	if s.Config, err = config.Parse([]byte(documents[random.IntN(validDocuments)])); err != nil {
		t.Fatal(err)
	}
	chooseNetwork(random, &s)
	for i := range random.IntN(12) {
		svc := &cluster.Service{
			Key: cluster.Key{Namespace: []string{"default", "other"}[i/6], Name: fmt.Sprint("s", i)}, UID: fmt.Sprint("uid-", i),
			Created: time.Unix(int64(random.IntN(4)), 0), ForeignIngress: random.IntN(10) == 0,
		}
		choose(random, svc)
		for range random.IntN(3) {
			svc.Ingress = append(svc.Ingress, randomAddr(random))
		}
		if !svc.Managed || random.IntN(2) == 0 {
			svc.AllocatedFrom = "a"
		}
		if random.IntN(3) == 0 {
			svc.Condition = &cluster.Condition{True: random.IntN(2) == 0, Reason: "Assigned", Message: "so it was", Since: time.Unix(int64(random.IntN(3)), 0)}
		}
		chooseRecord(random, svc)
		if random.IntN(5) == 0 {
			svc.Conflict = &cluster.Condition{True: true, Reason: addressConflict, Message: "somebody else has it"}
		}
		s.Services = append(s.Services, svc)
	}
	var resting []allocator.Rest
	for range random.IntN(4) {
		resting = append(resting, allocator.Rest{
			Addr: randomAddr(random), Holder: cluster.Key{Namespace: "default", Name: fmt.Sprint("s", random.IntN(6))}})
	}
	return s, resting
}

// chooseRecord gives svc no record, an unreadable record, or a random record that need not match the status.
func chooseRecord(random *rand.Rand, svc *cluster.Service) {
	switch random.IntN(6) {
	case 0:
		svc.AssignmentProblem = "no record"
		return
	case 1, 2:
		return
	}
	svc.Assignment = &cluster.Assignment{Sharing: cluster.SharingOf(svc)}
	for _, addr := range append(slices.Clone(svc.Ingress), randomAddr(random)) {
		if random.IntN(3) > 0 {
			svc.Assignment.Addresses = append(svc.Assignment.Addresses, cluster.AssignedAddress{Addr: addr, Pool: "a"})
		}
	}
	if random.IntN(3) == 0 {
		svc.Assignment.Former = []netip.Addr{randomAddr(random)}
	}
	if random.IntN(4) == 0 {
		svc.Assignment.Sharing = cluster.Sharing{Key: "k", Ports: []cluster.Port{{Number: 53}}}
	}
	if random.IntN(4) == 0 {
		svc.Assignment.Problems = []cluster.Problem{{Reason: reason.NoFreeAddress, Family: cluster.IPv4}}
	}
	if random.IntN(6) == 0 {
		svc.Assignment.IgnoredNode = "no such name"
	}
	if random.IntN(6) == 0 {
		svc.Assignment.Conflicts = []cluster.Conflict{{Addr: randomAddr(random), MACs: []string{"02:00:00:00:00:01"}}}
	}
}

// TestDecideLaws checks the laws of Decide on random clusters.
func TestDecideLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 4_000 {
		s, resting := randomSnapshot(t, random)
		plan := Decide(s, resting)
		checkPlan(t, s, plan)

		s.Services = applied(s.Services, plan.Updates, time.Unix(9, 0))
		second := Decide(s, resting)
		checkPlan(t, s, second)
		for _, u := range second.Updates {
			i := slices.IndexFunc(s.Services, func(svc *cluster.Service) bool { return svc.Key == u.Key })
			for _, addr := range s.Services[i].Ingress {
				if !slices.Contains(u.Ingress, addr) {
					t.Fatalf("%s was adopted or given in the first plan and goes in the second:\n%s\n%s", addr, plan.text(), second.text())
				}
			}
		}
		s.Services = applied(s.Services, second.Updates, time.Unix(9, 0))
		// After two plans, every Service has all addresses that it can get. Only the condition may still change, when a
		// Service lacks two things and the condition names the other one now.
		third := Decide(s, resting)
		for _, u := range third.Updates {
			i := slices.IndexFunc(s.Services, func(svc *cluster.Service) bool { return svc.Key == u.Key })
			if !slices.Equal(u.Ingress, s.Services[i].Ingress) || u.Condition == nil || u.Condition.True != s.Services[i].Condition.True {
				t.Fatalf("two plans were not enough:\n%s\n%s\n%s", plan.text(), second.text(), third.text())
			}
		}
		s.Services = applied(s.Services, third.Updates, time.Unix(9, 0))
		if fourth := Decide(s, resting); len(fourth.Updates) > 0 {
			t.Fatalf("there is always something to say:\n%s\n%s", third.text(), fourth.text())
		}
		for _, svc := range s.Services {
			contested := isContested(&s, svc.Ingress)
			left := len(s.Config.Pools) == 0 && svc.AllocatedFrom == ""
			if svc.Managed && !left && contested != (svc.Conflict != nil) {
				t.Fatalf("%s has %v, strangers %v, and in the end the condition %v", svc.Key, svc.Ingress, s.Conflicts, svc.Conflict)
			}
		}
		s.Config = nil
		if none := Decide(s, resting); len(none.Updates) > 0 {
			t.Fatalf("without a configuration there is to do:\n%s", none.text())
		}
	}
}

// checkPlan checks the laws that hold for each single plan. No Service may get an address of another Service, unless
// both keep and share the address. Therefore the writes can be made in any order, and each write may fail.
func checkPlan(t *testing.T, s cluster.Snapshot, p Plan) {
	t.Helper()
	holders := map[netip.Addr][]*cluster.Service{}
	for _, svc := range s.Services {
		for _, addr := range svc.Ingress {
			holders[addr] = append(holders[addr], svc)
		}
	}
	keeps := func(svc *cluster.Service, addr netip.Addr) bool {
		i := slices.IndexFunc(p.Updates, func(u cluster.Update) bool { return u.Key == svc.Key })
		return i < 0 || slices.Contains(p.Updates[i].Ingress, addr)
	}
	for _, u := range p.Updates {
		i := slices.IndexFunc(s.Services, func(svc *cluster.Service) bool { return svc.Key == u.Key })
		svc := s.Services[i]
		for _, addr := range u.Ingress {
			if slices.Contains(svc.Ingress, addr) {
				continue
			}
			for _, other := range holders[addr] {
				if !allocator.MayShare(svc, other) || !keeps(other, addr) {
					t.Fatalf("%s goes to %s and is at %s:\n%s", addr, u.Key, other.Key, p.text())
				}
			}
			holders[addr] = append(holders[addr], svc)
		}
		if svc.Managed != (u.Condition != nil) {
			t.Fatalf("%s, managed %t, has the condition %v", u.Key, svc.Managed, u.Condition)
		}
		contested := isContested(&s, u.Ingress)
		if svc.Managed && contested != (u.Conflict != nil) || !svc.Managed && u.Conflict != nil {
			t.Fatalf("%s has %v, strangers %v, and the condition %v", u.Key, u.Ingress, s.Conflicts, u.Conflict)
		}
		for _, e := range append(slices.Clone(u.Before), u.Events...) {
			if e.Reason == "" || e.Message == "" || len(e.Message) > maxEvent || e.Object.UID != svc.UID {
				t.Fatalf("bad Event %+v", e)
			}
		}
	}
}
