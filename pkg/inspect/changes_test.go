package inspect

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/status"
)

var (
	addr = netip.MustParseAddr("10.0.0.100")
	key  = cluster.Key{Namespace: "default", Name: "web"}
)

// answered returns a cluster of two nodes. owner answers for the address of default/web, and elected is the elected
// node.
func answered(owner, elected string) *Cluster {
	c := &Cluster{
		At: time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC), Namespace: "lanlord-system",
		Config: Config{Name: "config", Found: true, Known: true, Version: "1", Config: &config.Config{}},
		Services: []cluster.Service{{
			Key: key, Managed: true, Ingress: []netip.Addr{addr}, AllocatedFrom: "lan",
			Condition: &cluster.Condition{True: true, Reason: "Assigned", Message: `10.0.0.100 from pool "lan"`},
		}},
	}
	for _, node := range []string{"n1", "n2"} {
		s := Speaker{Pod: Pod{Name: "speaker-" + node, Node: node, Ready: true}, Says: &status.Speaker{State: "ready", Ready: true}}
		s.Says.Node = node
		if node == owner {
			s.Says.Owned = []status.Owned{{Address: addr.String(), Reason: "new", Elected: elected}}
		} else {
			s.Says.Watched = []status.Watched{{Address: addr.String(), Elected: elected, Reason: "NotElected"}}
		}
		c.Speakers = append(c.Speakers, s)
	}
	return c
}

// silenced removes the answers of all speakers from c, and returns c.
func silenced(c *Cluster) *Cluster {
	for i := range c.Speakers {
		c.Speakers[i].Says, c.Speakers[i].Silence = nil, "no answer in time"
	}
	return c
}

func TestChanges(t *testing.T) {
	changed := func(change func(*Cluster)) *Cluster {
		c := answered("n1", "n1")
		change(c)
		return c
	}
	for _, test := range []struct {
		name          string
		before, after *Cluster
		want          string
	}{
		{"nothing", answered("n1", "n1"), answered("n1", "n1"), ""},
		{"another owner", answered("n1", "n1"), answered("n2", "n2"), "Service default/web Announced n2 answers for 10.0.0.100, and no longer n1"},
		{"another node elected", answered("n1", "n1"), answered("n1", "n2"), ""},
		{"nobody can be asked", answered("n1", "n1"), silenced(answered("n2", "n2")), "" +
			"Node n1 Speaker its speaker was ready and is unasked; Node n2 Speaker its speaker was ready and is unasked"},
		{"an owner is lost", answered("n1", "n1"), answered("", "n2"), "Service default/web Pending 10.0.0.100: n2 is to answer, and does not yet"},
		{"a new Service", changed(func(c *Cluster) { c.Services = nil }), answered("n1", "n1"),
			`Service default/web Assigned 10.0.0.100 from pool "lan"; Service default/web Announced n1 answers for 10.0.0.100`},
		{"a Service is gone", answered("n1", "n1"), changed(func(c *Cluster) { c.Services = nil }), "Service default/web Gone it had 10.0.0.100"},
		{"an address is given back", answered("n1", "n1"), changed(func(c *Cluster) { c.Services[0].Ingress = nil }),
			"Service default/web Released it has 10.0.0.100 no more"},
		{"a bad configuration", answered("n1", "n1"), changed(func(c *Cluster) {
			c.Config.Version, c.Config.Config, c.Config.Problem = "2", nil, errors.New("line 1")
		}), "ConfigMap lanlord-system/config ConfigRejected not valid: line 1"},
		{"no right to read the configuration", answered("n1", "n1"), changed(func(c *Cluster) { c.Config = Config{Name: "config"} }), ""},
		{"a speaker is gone", answered("n1", "n1"), changed(func(c *Cluster) { c.Speakers = c.Speakers[:1] }),
			"Node n2 Speaker its speaker was ready and is not there"},
	} {
		var got []string
		for _, c := range Changes(test.before, test.after) {
			got = append(got, c.Object+" "+c.Reason+" "+c.Message)
		}
		if text := strings.Join(got, "; "); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}

// TestHandedOver lets two nodes answer during a planned move. The leaving node must not count.
func TestHandedOver(t *testing.T) {
	c := answered("n1", "n2")
	c.Speakers[0].Says.Owned[0].Leaving = true
	c.Speakers[1].Says.Owned, c.Speakers[1].Says.Watched = []status.Owned{{Address: addr.String(), Reason: "left", Elected: "n2"}}, nil
	if a := Who(c, addr); !a.Well() || len(a.Nodes) != 1 || a.Nodes[0] != "n2" {
		t.Errorf("%+v, want n2 alone", a)
	}
	c.Speakers[0].Says.Owned[0].Leaving = false
	c.Speakers[1].Says.Time, c.Speakers[1].Says.Owned[0].Since = c.At, c.At.Add(-time.Second)
	if a := Who(c, addr); !a.Well() || a.Nodes[0] != "n2" {
		t.Errorf("%+v, want n2 alone, which has just taken it", a)
	}
	c.Speakers[1].Says.Owned[0].Since = c.At.Add(-time.Minute)
	if a := Who(c, addr); a.Well() || a.State != stateDisputed || len(a.Nodes) != 2 {
		t.Errorf("%+v, want a dispute", a)
	}
}

// TestMayMove checks that MayMove finds each obstacle.
func TestMayMove(t *testing.T) {
	shared := cluster.Key{Namespace: "default", Name: "first"}
	for _, test := range []struct {
		name   string
		change func(*Cluster)
		want   string
	}{
		{"nothing", func(*Cluster) {}, ""},
		{"no address", func(c *Cluster) { c.Services[0].Ingress = nil }, "has no address that could move"},
		{"the speaker is not ready", func(c *Cluster) { c.Speakers[1].Ready, c.Speakers[1].Says = false, nil }, "no speaker that is ready"},
		{"excluded", func(c *Cluster) { c.Nodes = []Node{{Node: cluster.Node{Name: "n2", Excluded: true}}} }, "exclude-from-external-load-balancers"},
		{"cordoned", func(c *Cluster) {
			c.Nodes = []Node{{Node: cluster.Node{Name: "n2", Unschedulable: true}}}
			c.Config.Config.Layer2.MoveOnCordon = true
		}, "cordoned"},
		{"cordoned, and that does not matter", func(c *Cluster) { c.Nodes = []Node{{Node: cluster.Node{Name: "n2", Unschedulable: true}}} }, ""},
		{"another Service's wish goes first", func(c *Cluster) {
			first := c.Services[0]
			first.Key, first.PreferNode = shared, "n1"
			c.Services = append([]cluster.Service{first}, c.Services...)
		}, "move default/first instead"},
	} {
		c := answered("n1", "n1")
		test.change(c)
		err := MayMove(c, key, "n2")
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
