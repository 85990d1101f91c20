package allocator

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func TestMayShare(t *testing.T) {
	tcp80, tcp53 := cluster.Port{Number: 80}, cluster.Port{Number: 53}
	udp53 := cluster.Port{Protocol: cluster.UDP, Number: 53}
	shares := func(key string, ports ...cluster.Port) cluster.Service {
		return cluster.Service{SharingKey: key, Ports: ports}
	}
	local := func(selector string, ports ...cluster.Port) cluster.Service {
		return cluster.Service{SharingKey: "k", Ports: ports, TrafficPolicy: cluster.TrafficLocal, Selector: selector}
	}
	for name, c := range map[string]struct {
		x, y cluster.Service
		want bool
	}{
		"neither has a key":             {shares(""), shares(""), false},
		"one has a key":                 {shares("k"), shares(""), false},
		"two keys":                      {shares("k"), shares("l"), false},
		"no ports at all":               {shares("k"), shares("k"), true},
		"other ports":                   {shares("k", tcp53), shares("k", tcp80), true},
		"the same number, by protocol":  {shares("k", tcp53), shares("k", udp53), true},
		"one port of several in common": {shares("k", tcp53, udp53), shares("k", tcp80, udp53), false},
		"Cluster and Local":             {shares("k", tcp53), local("a=b", tcp80), false},
		"Local with one selector":       {local("a=b", tcp53), local("a=b", tcp80), true},
		"Local with two selectors":      {local("a=b", tcp53), local("a=c", tcp80), false},
		"Local, and a port in common":   {local("a=b", tcp53), local("a=b", tcp53), false},
	} {
		if got := MayShare(&c.x, &c.y); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if MayShare(&c.x, &c.y) != MayShare(&c.y, &c.x) {
			t.Errorf("%s: one says yes and the other no", name)
		}
		a, addr := new(Allocator), netip.Addr{}
		if !c.want && c.x.SharingKey != "" && a.unsharedText(a.unshared(&c.x, &c.y, addr), &c.x, &c.y, addr) == "" {
			t.Errorf("%s: no reason", name)
		}
	}
}

func TestAppendSharing(t *testing.T) {
	many := cluster.Service{SharingKey: strings.Repeat("k", 70), TrafficPolicy: cluster.TrafficLocal}
	for i := range 42 {
		many.Ports = append(many.Ports, cluster.Port{Number: uint16(1000 + i)})
	}
	for want, svc := range map[string]cluster.Service{
		"":                  {Ports: many.Ports},
		`sharing key "k"`:   {SharingKey: "k"},
		`sharing key "\"k"`: {SharingKey: `"k`},
		`sharing key "k" for TCP 53, UDP 53, SCTP 7`: {SharingKey: "k", Ports: []cluster.Port{
			{Number: 53}, {Protocol: cluster.UDP, Number: 53}, {Protocol: cluster.SCTP, Number: 7}}},
	} {
		if got := string(AppendSharing(nil, &svc)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	got := string(AppendSharing([]byte("; "), &many))
	if !strings.HasPrefix(got, `; sharing key "kkk`) || !strings.HasSuffix(got, ", TCP 1039 and 2 more and externalTrafficPolicy Local") {
		t.Errorf("got %s", got)
	}
}

// TestFirmRestIsShared asserts that an address that one Service perhaps holds goes to another Service that may share
// the address with the first, and to no other Service.
func TestFirmRestIsShared(t *testing.T) {
	s := onePool("10.0.0.0/30")
	service := func(name, key string, number uint16) *cluster.Service {
		return &cluster.Service{
			Key: cluster.Key{Namespace: "default", Name: name}, Managed: true, Families: []cluster.Family{cluster.IPv4},
			SharingKey: key, Ports: []cluster.Port{{Number: number}},
		}
	}
	s.Services = []*cluster.Service{service("a", "k", 1), service("b", "k", 2), service("c", "k", 1), service("d", "l", 4)}
	addr := netip.MustParseAddr("10.0.0.2")
	for i, want := range []bool{true, true, false, false} {
		a := New(s, []Rest{{Addr: addr, Holder: s.Services[0].Key, Firm: true}})
		svc := new(*s.Services[i])
		svc.Requested = []netip.Addr{addr}
		if r := a.Assign(svc, nil); (r.Refusal == nil) != want {
			t.Errorf("%s gets %v, %v", svc.Key, r.Assignments, r.Refusal)
		}
	}
}
