package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

func mustParse(t *testing.T, document string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPreview moves a pool by one address and closes another pool. The first Service keeps its address, the second gets
// another address, the third loses its address, and a waiting Service gets the released address.
func TestPreview(t *testing.T) {
	snapshot := cluster.Snapshot{Config: mustParse(t, `address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.1-10.0.0.2]}
- {name: b, protocol: layer2, auto-assign: false, addresses: [10.1.0.1]}
`)}
	for i, want := range []string{"10.0.0.1", "10.0.0.2", "10.1.0.1", ""} {
		s := &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: fmt.Sprint("s", i)}, UID: fmt.Sprint(i), Version: "1", Created: time.Unix(int64(i), 0),
			Managed: true, Families: []cluster.Family{cluster.IPv4},
		}
		if want == "10.1.0.1" {
			s.RequestedPool = "b"
		}
		snapshot.Services = append(snapshot.Services, s)
	}
	settled := slices.Clone(snapshot.Services)
	for range previewRounds {
		snapshot.Services = settled
		for _, u := range Decide(snapshot, nil).Updates {
			for i := range settled {
				if settled[i].Key == u.Key {
					settled[i] = written(settled[i], u)
				}
			}
		}
	}
	if got := fmt.Sprint(settled[0].Ingress, settled[1].Ingress, settled[2].Ingress, settled[3].Ingress); got != "[10.0.0.1] [10.0.0.2] [10.1.0.1] []" {
		t.Fatalf("the Services have %s", got)
	}
	if changes := Preview(snapshot, snapshot.Config); len(changes) > 0 {
		t.Errorf("the configuration in use would change %v", changes)
	}

	changes := Preview(snapshot, mustParse(t, "address-pools:\n- {name: a, protocol: layer2, addresses: [10.0.0.2-10.0.0.4]}\n"))
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprint(c.Service, c.Before, c.After, " ", c.Reason))
	}
	want := []string{
		"default/s0 [10.0.0.1] [10.0.0.4] Assigned", // after s3, which has waited
		"default/s2 [10.1.0.1] [] UnknownPool",
		"default/s3 [] [10.0.0.3] Assigned",
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes\n%q, want\n%q", got, want)
	}
	if a := settled[0].Ingress; !slices.Equal(a, []netip.Addr{netip.MustParseAddr("10.0.0.1")}) {
		t.Errorf("the preview changed the snapshot: %v", a)
	}
}
