package inspect

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// probedCluster has the nodes a, b and c and a Service whose address a answers for. probes are by node.
func probedCluster(probes map[string][]status.LastProbe) *Cluster {
	c := &Cluster{At: time.Unix(1_000_000, 0), Services: []cluster.Service{{
		Key: cluster.Key{Namespace: "shop", Name: "cart"}, Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, TCPPorts: []uint16{80, 443},
	}}}
	for _, name := range []string{"a", "b", "c"} {
		s := Speaker{Pod: Pod{Node: name}, Says: &status.Speaker{State: "ready", Ready: true, Probes: probes[name]}}
		if name == "a" {
			s.Says.Owned = []status.Owned{{Address: "192.0.2.10", State: status.StateOwner, Elected: "a"}}
		}
		c.Speakers = append(c.Speakers, s)
	}
	return c
}

// lastProbe returns a probe through a node, some time ago.
func lastProbe(through, result string, ago time.Duration) status.LastProbe {
	p := status.LastProbe{Address: "192.0.2.10", At: time.Unix(1_000_000, 0).Add(-ago), Node: through, Port: 80, Result: result, Ping: true}
	if result != status.ProbeOpen && result != status.ProbeUnanswered {
		p.Details = &status.PathProbe{Service: "shop/cart", Port: 80, Through: "02:00:00:00:00:01", Node: through, Result: result}
	}
	return p
}

// TestJudgeLast judges last probes of different ages and through different nodes.
func TestJudgeLast(t *testing.T) {
	shut := lastProbe("a", "silent", 0)
	shut.Details.ShutOut = true
	for _, x := range []struct {
		name   string
		b, c   []status.LastProbe
		failed bool
		want   string
	}{
		{"nothing", nil, nil, false, ""},
		{"open", []status.LastProbe{lastProbe("a", "open", 0)}, []status.LastProbe{lastProbe("a", "open", time.Hour)}, false, ""},
		{"broken from both", []status.LastProbe{lastProbe("a", "refused", 0)}, []status.LastProbe{lastProbe("a", "refused", time.Minute)}, true, "no program listens there"},
		{"an old success", []status.LastProbe{lastProbe("a", "silent", 0)}, []status.LastProbe{lastProbe("a", "open", time.Hour)}, true, "get lost on a or behind it"},
		{"a present success", []status.LastProbe{lastProbe("a", "silent", 0)}, []status.LastProbe{lastProbe("a", "open", time.Minute)}, true, "is open from c and silent from b"},
		{"through an earlier owner", []status.LastProbe{lastProbe("c", "refused", 0)}, nil, false, ""},
		{"from before the owner had the address, beside a failure", []status.LastProbe{lastProbe("a", "refused", 0)}, []status.LastProbe{lastProbe("b", "open", 0)}, true, "no program"},
		{"nobody answers", []status.LastProbe{lastProbe("", "unanswered", 0)}, []status.LastProbe{lastProbe("", "unanswered", 0)}, true, "no host answers"},
		{"shut out", []status.LastProbe{shut}, nil, false, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := probedCluster(map[string][]status.LastProbe{"b": x.b, "c": x.c})
			got, failed := newView(c).judgeLast(netip.MustParseAddr("192.0.2.10"))
			if failed != x.failed || !strings.Contains(got.Detail, x.want) || failed && got.State != PathBroken {
				t.Errorf("got %v: %s: %s", failed, got.State, got.Detail)
			}
		})
	}
}

// TestPathChoices takes the failures first, and one address for each owner otherwise.
func TestPathChoices(t *testing.T) {
	c := probedCluster(map[string][]status.LastProbe{"b": {lastProbe("a", "refused", 0)}})
	for i := range 20 {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(20 + i)})
		c.Services = append(c.Services, cluster.Service{
			Key: cluster.Key{Namespace: "z", Name: fmt.Sprintf("s%02d", i)}, Ingress: []netip.Addr{addr}, TCPPorts: []uint16{80},
		})
		s := c.Speakers[i%3].Says
		s.Owned = append(s.Owned, status.Owned{Address: addr.String(), State: status.StateOwner})
	}
	got := PathChoices(c, 5, 2)
	if want := "[{192.0.2.10 [b c]} {192.0.2.21 [a c]} {192.0.2.22 [a b]}]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if got := PathChoices(c, 0, 0); len(got) > 0 {
		t.Errorf("without room: %v", got)
	}
}

// TestThinKeepsFailures drops last probes beyond the limit, and the failures last.
func TestThinKeepsFailures(t *testing.T) {
	list := []status.LastProbe{lastProbe("a", "open", 0), lastProbe("a", "refused", 0), lastProbe("a", "open", time.Hour)}
	if got := keepProbes(list, 2); len(got) != 2 || got[0].Result != "refused" || got[1].At != list[0].At {
		t.Errorf("got %+v", got)
	}
	if got := keepProbes(list, -1); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	if got := keepProbes(list, 3); len(got) != 3 {
		t.Errorf("got %+v", got)
	}
}
