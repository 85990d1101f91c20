package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
)

// crowd is one real loop with a real announcer among members that are only names: b and c announce at once whatever
// they are elected for.
type crowd struct {
	snap    cluster.Snapshot
	members []membership.Member
	loop    *loop
	addr    netip.Addr // of the newest Service
}

func (c *crowd) Snapshot() cluster.Snapshot        { return c.snap }
func (c *crowd) Members() []membership.Member      { return c.members }
func (c *crowd) Settled() bool                     { return true }
func (c *crowd) Unreached() []membership.Unreached { return nil }
func (c *crowd) SetState(membership.Report) error  { return nil }
func (c *crowd) Ping(string) error                 { return nil }
func (c *crowd) Suspect(string, time.Duration)     {}
func (c *crowd) Tell(string, [8]uint64)            {}
func (c *crowd) mac(i int) membership.MAC          { return membership.MAC{2, 0xff, 5: byte(i)} }

// newCrowd returns a loop with Services whose addresses all have owners. end stops the goroutines of the loop.
func newCrowd(b *testing.B, services int) (c *crowd, end func()) {
	cfg, err := config.Parse([]byte("address-pools:\n- {name: a, protocol: layer2, addresses: [10.128.0.0/14]}\n"))
	if err != nil {
		b.Fatal(err)
	}
	c = &crowd{snap: cluster.Snapshot{Config: cfg}, addr: netip.MustParseAddr("10.128.0.0")}
	for i, name := range []string{"a", "b", "c"} {
		c.snap.Nodes = append(c.snap.Nodes, cluster.Node{Name: name})
		c.members = append(c.members, membership.Member{Name: name, State: membership.Ready, Configured: true, Since: time.Unix(1, 0),
			Links: []membership.Link{{Name: "eth0", MAC: c.mac(i), Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}})
	}
	for i := range 197 {
		c.snap.Nodes = append(c.snap.Nodes, cluster.Node{Name: fmt.Sprintf("n%03d", i)})
	}
	node := lantest.New(1).Node("a")
	node.Add("eth0", netip.MustParsePrefix("10.0.0.1/8"))
	ctx, cancel := context.WithCancel(b.Context())
	var tasks sync.WaitGroup
	log := slog.New(slog.DiscardHandler)
	var s *Speaker
	announcer := layer2.New(layer2.Options{Log: log, Network: node, Heard: func(claim layer2.Claim) { s.Heard(claim) }})
	for range services {
		c.add()
	}
	var owned []netip.Addr
	for _, p := range placement.Decide(c.snap, c.members) {
		if p.Owner == "a" {
			owned = append(owned, p.Addr)
		}
	}
	s = New(Options{Self: "a", Wake: make(chan struct{}), Source: c, Peers: c, Announcer: announcer, Event: func(cluster.Event) {}, Log: log,
		Predecessor: Predecessor{Succeeds: true, Addrs: owned, Since: time.Unix(1, 0)}})
	tasks.Go(func() { announcer.Run(ctx) })
	for !announcer.Ready() {
		time.Sleep(time.Millisecond)
	}
	c.loop = newLoop(ctx, s.parts)
	for range 3 {
		c.round(services)
	}
	return c, func() {
		cancel()
		c.loop.prober.tasks.Wait()
		tasks.Wait()
	}
}

// add adds one Service.
func (c *crowd) add() {
	c.addr = c.addr.Next()
	svc := service(c.addr.StringExpanded(), c.addr)
	svc.Key.Name = fmt.Sprintf("s%012d", len(c.snap.Services))
	svc.Created = time.Now()
	c.snap.Services = append(slices.Clip(c.snap.Services), svc)
}

// round makes a round, lets the owners of the newest addresses announce them, and hands over what the wire has said
// since.
func (c *crowd) round(newest int) {
	c.loop.round(time.Now())
	for _, svc := range c.snap.Services[len(c.snap.Services)-newest:] {
		p := placement.Find(c.loop.placements, svc.Ingress[0])
		if i := slices.Index([]string{"a", "b", "c"}, p.Owner); i > 0 {
			claim := layer2.Claim{Addr: p.Addr, MAC: layer2.MAC(c.mac(i))}
			c.loop.sightings.note(p.Addr, ownership.Sighting{MAC: claim.MAC, At: time.Now(), Unasked: true})
			c.loop.claimed(claim, time.Now())
		}
	}
	c.loop.drain()
}

// BenchmarkRound has 20 new Services in each round, beside many that stay the same.
func BenchmarkRound(b *testing.B) {
	for _, services := range []int{100, 2000, 10_000} {
		b.Run(fmt.Sprint("services=", services), func(b *testing.B) {
			c, end := newCrowd(b, services)
			defer end()
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c.snap.Services = c.snap.Services[:services]
				for range 20 {
					c.add()
				}
				b.StartTimer()
				c.round(20)
			}
		})
	}
}
