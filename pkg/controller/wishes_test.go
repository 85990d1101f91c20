package controller

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// chooseWishes gives svc spec.externalIPs and a Gateway with requested addresses, or neither.
func chooseWishes(random *rand.Rand, svc *cluster.Service) {
	svc.ExternalIPs, svc.Gateway, svc.GatewayAddresses = nil, cluster.Key{}, nil
	if random.IntN(3) == 0 {
		for range 1 + random.IntN(2) {
			svc.ExternalIPs = append(svc.ExternalIPs, randomAddr(random))
		}
	}
	if random.IntN(4) == 0 {
		svc.Gateway = cluster.Key{Namespace: "default", Name: fmt.Sprint("s", random.IntN(6))}
		svc.GatewayAddresses = []netip.Addr{randomAddr(random)}
	}
}

// TestWishLaws checks wishes, the addresses that a Gateway or spec.externalIPs ask for, on random clusters: a wish
// gives a Service another address at once or takes no address away, no address gets two Services by a wish, the ledger
// agrees with Decide, and the plans become empty.
func TestWishLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 2_000 {
		s, resting := randomSnapshot(t, random)
		slices.SortFunc(s.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
		for i := range s.Services {
			svc := *s.Services[i]
			chooseWishes(random, &svc)
			s.Services[i] = &svc
			for _, addr := range svc.ExternalIPs {
				s.Claims = append(s.Claims, cluster.Claim{
					Addr: addr, By: cluster.ClaimedByExternalIPs, Holder: svc.Key, Managed: svc.Managed})
			}
		}
		slices.SortFunc(s.Claims, cluster.Claim.Compare)
		s.Claims = slices.Compact(s.Claims)
		var l ledger
		// Each Service in a chain waits for the address of the next Service. One Service of the chain moves in each
		// plan.
		for left := len(s.Services) + 4; ; left-- {
			plan := Decide(s, resting)
			if got := l.decide(s, resting); !reflect.DeepEqual(got, plan) {
				t.Fatalf("of those that are not settled:\n%sof all:\n%s", got.text(), plan.text())
			}
			if len(plan.Updates) == 0 {
				break
			}
			if left == 0 {
				t.Fatalf("there is always something to do:\n%s", plan.text())
			}
			checkMoves(t, s, plan)
			checkPlan(t, s, plan)
			s.Services = applied(s.Services, plan.Updates, time.Unix(9, 0))
		}
	}
}

// checkMoves checks that each address replaced by a wish has a replacement of the same family that no other Service
// has.
func checkMoves(t *testing.T, s cluster.Snapshot, p Plan) {
	t.Helper()
	for _, u := range p.Updates {
		svc := s.Service(u.Key)
		for _, addr := range svc.Ingress {
			wished := slices.ContainsFunc(u.Events, func(e cluster.Event) bool {
				return e.Reason == withdrawn && strings.HasPrefix(e.Message, addr.String()+" is withdrawn: ") &&
					(strings.Contains(e.Message, "spec.externalIPs requests") || strings.Contains(e.Message, "Gateway default/"))
			})
			if !wished {
				continue
			}
			i := slices.IndexFunc(u.Ingress, func(a netip.Addr) bool { return cluster.FamilyOf(a) == cluster.FamilyOf(addr) })
			if i < 0 {
				t.Fatalf("%s loses %s for a wish, and gets nothing:\n%s", u.Key, addr, p.text())
			}
			for _, other := range s.Services {
				if other != svc && slices.Contains(other.Ingress, u.Ingress[i]) && other.Managed && !allocator.MayShare(svc, other) {
					t.Fatalf("%s moves to %s, which %s has:\n%s", u.Key, u.Ingress[i], other.Key, p.text())
				}
			}
		}
	}
}
