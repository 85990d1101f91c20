package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/bfd"
	"github.com/lanlord/lanlord/pkg/bgp"
	"github.com/lanlord/lanlord/pkg/bgp/routertest"
	"github.com/lanlord/lanlord/pkg/bgp/wire"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// routed is a testCluster whose nodes each have a session with a router of their own.
type routed struct {
	*testCluster
	nodes map[string]*routedNode
}

// routedNode is a node with a router in memory at each address.
type routedNode struct {
	*testNode
	routers  map[netip.Addr]*routertest.Router
	speaker  *bgp.Speaker
	ended    chan struct{}
	stop     context.CancelFunc
	refuses  atomic.Bool // whether the routers refuse connections
	mu       sync.Mutex  // guards the rest
	password string
	uptime   time.Duration
	conns    map[netip.Addr]*sharedConn
}

// sharedConn is a connection that several processes have: it ends with the last copy.
type sharedConn struct {
	net.Conn
	copies *atomic.Int32
}

// File makes a copy for another process. The content of the file does not matter.
func (c *sharedConn) File() (*os.File, error) {
	c.copies.Add(1)
	return os.Open(os.DevNull)
}

// Close closes one copy.
func (c *sharedConn) Close() error {
	if c.copies.Add(-1) > 0 {
		return nil
	}
	return c.Conn.Close()
}

// Dial implements bgp.Network.
func (n *routedNode) Dial(_ context.Context, p bgp.Peer) (bgp.Connection, error) {
	router := n.routers[p.Address]
	if router == nil || n.refuses.Load() {
		return bgp.Connection{}, &bgp.DialError{Reason: bgp.Refused, Message: "nobody listens"}
	}
	near, far := net.Pipe()
	conn := &sharedConn{Conn: near, copies: new(atomic.Int32)}
	conn.copies.Store(1)
	n.mu.Lock()
	n.conns[p.Address] = conn
	n.mu.Unlock()
	link := router.Link(far)
	go func() { _ = link.Serve() }()
	return n.connection(conn, p), nil
}

// Adopt implements bgp.Network.
func (n *routedNode) Adopt(p bgp.Peer, _ *os.File) (bgp.Connection, error) {
	n.mu.Lock()
	conn := n.conns[p.Address]
	n.mu.Unlock()
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return bgp.Connection{}, err
	}
	return n.connection(conn, p), nil
}

func (n *routedNode) connection(conn net.Conn, p bgp.Peer) bgp.Connection {
	hop4, hop6 := netip.MustParseAddr("10.0.0.200"), netip.MustParseAddr("fd00::ff:200")
	local := hop4
	if p.Address.Is6() {
		local = hop6
	}
	return bgp.Connection{Conn: conn, Local: netip.AddrPortFrom(local, 40000), Remote: netip.AddrPortFrom(p.Address,
		p.Port),
		NextHop4: hop4, NextHop6: hop6, OnLink: true}
}

// noBFD is a bgp.Monitor without sessions.
type noBFD struct{}

func (noBFD) Set([]bfd.Target)              {}
func (noBFD) Status() []bfd.Status          { return nil }
func (noBFD) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (noBFD) Detach() []bfd.Detached        { return nil }

// speak starts the sessions of a process of the node.
func (n *routedNode) speak(adopt []bgp.Detached) {
	n.speaker = bgp.New(bgp.Options{
		Log: slog.New(n.log), Network: n, Changed: n.poke, Adopt: adopt,
		Monitor: func(bfd.Options) bgp.Monitor { return noBFD{} },
	})
	ctx, stop := context.WithCancel(context.Background())
	n.stop, n.ended = stop, make(chan struct{})
	ended, speaker := n.ended, n.speaker
	go func() {
		defer close(ended)
		if err := speaker.Run(ctx); err != nil {
			n.t.Error(err)
		}
	}()
	n.testNode.routing = Routing{
		Routers: n.speaker,
		Password: func(k config.SecretKey) (string, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.password == "" {
				return "", fmt.Errorf("there is no Secret %s", k.Secret)
			}
			return n.password, nil
		},
		Uptime: func() time.Duration { return n.uptime },
	}
}

const torConfig = `peers:
- {my-asn: 64512, peer-asn: 64513, peer-address: 10.0.0.241, name: tor}
address-pools:
- {name: a, protocol: layer2, addresses: [10.0.0.0/28]}
- {name: b, protocol: bgp, addresses: [198.51.100.0/24, 'fd00:b::/64']}
- {name: both, protocols: [layer2, bgp], addresses: [10.0.0.64/28]}
`

var (
	tor      = netip.MustParseAddr("10.0.0.241")
	routeA   = netip.MustParseAddr("198.51.100.1")
	routeB   = netip.MustParseAddr("198.51.100.2")
	routeBth = netip.MustParseAddr("10.0.0.65")
)

// inRouted runs test in a cluster in simulated time. Each of addrs belongs to a Service.
func inRouted(t *testing.T, document string, names []string, addrs []netip.Addr, test func(v *routed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := &routed{makeTestCluster(t, 1, slog.NewTextHandler(t.Output(), nil), document, names, addrs...),
			map[string]*routedNode{}}
		for name, p := range v.speakers {
			n := &routedNode{testNode: p, routers: map[netip.Addr]*routertest.Router{}, conns: map[netip.Addr]*sharedConn{},
				uptime: time.Hour}
			n.routers[tor] = routertest.New(routertest.Options{ASN: 64513, PeerASN: 64512})
			v.nodes[name] = n
			n.speak(nil)
		}
		v.bootAll()
		defer func() {
			for _, n := range v.nodes {
				n.testNode.die()
				n.stop()
				<-n.ended
				for addr, r := range n.routers {
					for _, x := range r.Violations() {
						t.Errorf("router %v of %s: %s", addr, n.name, x)
					}
				}
			}
			clear(v.speakers)
		}()
		test(v)
	})
}

// rib returns what a router has, as text: each prefix, with a mark for GRACEFUL_SHUTDOWN.
func rib(r *routertest.Router) string {
	var list []string
	for p, path := range r.RIB() {
		text := p.String()
		if slices.Contains(path.Communities, wire.GracefulShutdown) {
			text += " shutdown"
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// has checks what the routers of all nodes have, after a while.
func (v *routed) has(after time.Duration, want map[string]string) {
	v.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	for name, text := range want {
		if got := rib(v.nodes[name].routers[tor]); got != text {
			v.t.Errorf("after %v the router of %s has %q, want %q", after, name, got, text)
		}
	}
}

// service returns the Service with an address, in a change of the cluster.
func serviceOf(s *cluster.Snapshot, a netip.Addr) *cluster.Service {
	i := slices.IndexFunc(s.Services, func(x *cluster.Service) bool { return slices.Contains(x.Ingress, a) })
	return s.Services[i]
}

// updates counts the UPDATE messages that a router has received.
func updates(r *routertest.Router) int { return r.Counts().Messages[wire.TypeUpdate] }

// TestBothProtocols has an address of a pool with both protocols: each node announces the route, and one node answers
// ARP. The loss of that node moves the answers, and changes no route of the other.
func TestBothProtocols(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{addr4, routeA, routeBth}, func(v *routed) {
		both := "10.0.0.65/32, 198.51.100.1/32"
		v.has(moveBound, map[string]string{"a": both, "b": both})
		owner := v.only(routeBth)
		if got := v.owner(routeA); got != "" {
			t.Errorf("%s answers ARP for an address of a pool with protocol bgp", got)
		}
		other := v.nodes[map[string]string{"a": "b", "b": "a"}[owner.name]]
		before := updates(other.routers[tor])
		owner.crash()
		time.Sleep(moveBound)
		if got := v.only(routeBth); got != other.testNode {
			t.Errorf("%s answers", got.name)
		}
		if n := updates(other.routers[tor]) - before; n != 0 {
			t.Errorf("%d UPDATE messages after the loss of another node", n)
		}
		st := other.loop.Describe()
		if len(st.Peers) != 1 || !st.Peers[0].Up || st.Peers[0].Router != tor.String() || st.Peers[0].Announced != 2 ||
			len(st.Routes) != 2 {
			t.Errorf("status: %+v, %+v", st.Peers, st.Routes)
		} else if r := st.Routes[1]; r.Address != "198.51.100.1" || !slices.Equal(r.Prefixes, []string{"198.51.100.1/32"}) ||
			!slices.Equal(r.Told, []string{"tor"}) || r.Reason != "Routed" {
			t.Errorf("route: %+v", r)
		}
	})
}

// TestResyncSendsNoUpdate wakes the loops without a change, for an hour.
func TestResyncSendsNoUpdate(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{routeA}, func(v *routed) {
		time.Sleep(moveBound)
		before := v.nodes["a"].routers[tor].Counts()
		for range 60 {
			v.change(func(s *cluster.Snapshot) { s.Services = slices.Clone(s.Services); s.Nodes = slices.Clone(s.Nodes) })
			time.Sleep(time.Minute)
		}
		after := v.nodes["a"].routers[tor].Counts()
		if after.Messages[wire.TypeUpdate] != before.Messages[wire.TypeUpdate] || after.Messages[wire.TypeKeepalive] < 100 {
			t.Errorf("messages before %v, after %v", before.Messages, after.Messages)
		}
	})
}

// TestLocalFollowsEndpoints moves the endpoint of a Service with the policy Local: the route goes at once when the
// endpoint terminates, and comes when kube-proxy can have the rules.
func TestLocalFollowsEndpoints(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{routeA}, func(v *routed) {
		serve := func(serving, ready []string) {
			v.change(func(s *cluster.Snapshot) {
				x := *serviceOf(s, routeA)
				x.TrafficPolicy, x.ServingNodes, x.ReadyNodes = cluster.TrafficLocal, serving, ready
				s.Services = []*cluster.Service{&x}
			})
		}
		route := "198.51.100.1/32"
		v.has(moveBound, map[string]string{"a": route, "b": route})
		serve([]string{"a"}, []string{"a"})
		v.has(10*time.Millisecond, map[string]string{"a": route, "b": ""})
		serve([]string{"a", "b"}, []string{"a", "b"})
		v.has(proxyDelay-50*time.Millisecond, map[string]string{"a": route, "b": ""})
		v.has(100*time.Millisecond, map[string]string{"a": route, "b": route})
		serve([]string{"a", "b"}, []string{"b"}) // a's endpoint terminates
		v.has(10*time.Millisecond, map[string]string{"a": "", "b": route})
		serve([]string{"b"}, nil) // the last one, too
		v.has(10*time.Millisecond, map[string]string{"a": "", "b": route})
	})
}

// TestNewRouteWaitsForRules gives a Service an address, and takes the address away. Present addresses do not wait.
func TestNewRouteWaitsForRules(t *testing.T) {
	inRouted(t, torConfig, []string{"a"}, []netip.Addr{routeA}, func(v *routed) {
		v.has(0, map[string]string{"a": "198.51.100.1/32"}) // a second after the start
		v.change(func(s *cluster.Snapshot) { s.Services = append(slices.Clone(s.Services), service("new", routeB)) })
		v.has(proxyDelay-10*time.Millisecond, map[string]string{"a": "198.51.100.1/32"})
		if r := v.nodes["a"].loop.Describe().Routes[1]; r.Reason != "RulesNotReady" {
			t.Errorf("meanwhile %+v", r)
		}
		v.has(20*time.Millisecond, map[string]string{"a": "198.51.100.1/32, 198.51.100.2/32"})
		v.change(func(s *cluster.Snapshot) { s.Services = s.Services[1:] })
		v.has(10*time.Millisecond, map[string]string{"a": "198.51.100.2/32"})
	})
}

// TestDrainOnStop tells a speaker to stop: the routes carry GRACEFUL_SHUTDOWN, go after two seconds, and the session
// ends with a Cease. A layer2 address moves meanwhile.
func TestDrainOnStop(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{addr4, routeA}, func(v *routed) {
		route := "198.51.100.1/32"
		v.has(moveBound, map[string]string{"a": route, "b": route})
		n := v.nodes["a"]
		began := time.Now()
		n.leave()
		v.has(10*time.Millisecond, map[string]string{"a": route + " shutdown", "b": route})
		v.has(1900*time.Millisecond, map[string]string{"a": route + " shutdown"})
		v.has(150*time.Millisecond, map[string]string{"a": "", "b": route})
		if n.routers[tor].Counts().Notification.Code != 0 {
			t.Error("the session ends together with the withdrawal")
		}
		<-n.done
		if took := time.Since(began); took > 2500*time.Millisecond {
			t.Errorf("it took %v to leave", took)
		}
		n.stop()
		<-n.ended
		if last := n.routers[tor].Counts().Notification; last.Code != wire.CodeCease {
			t.Errorf("the last message is %v, want a Cease", last)
		}
		if v.only(addr4).name != "b" {
			t.Error("the layer2 address did not move")
		}
	})
}

// TestExcludedNodeDrains excludes a node and takes it back. The session stays.
func TestExcludedNodeDrains(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{routeA}, func(v *routed) {
		route := "198.51.100.1/32"
		exclude := func(is bool) {
			v.change(func(s *cluster.Snapshot) { s.Nodes = slices.Clone(s.Nodes); s.Nodes[0].Excluded = is })
		}
		time.Sleep(moveBound)
		exclude(true)
		v.has(10*time.Millisecond, map[string]string{"a": route + " shutdown", "b": route})
		v.has(2*time.Second, map[string]string{"a": "", "b": route})
		exclude(false)
		v.has(10*time.Millisecond, map[string]string{"a": route, "b": route})
		if s := v.nodes["a"].speaker.Status()[0]; s.State != bgp.Established || s.Resets != 0 {
			t.Errorf("the session: %+v", s)
		}
	})
}

// TestFailStatic takes the configuration and then the API server away. The announced routes stay, and so does the
// session.
func TestFailStatic(t *testing.T) {
	inRouted(t, torConfig, []string{"a"}, []netip.Addr{routeA}, func(v *routed) {
		route := "198.51.100.1/32"
		v.has(moveBound, map[string]string{"a": route})
		before := updates(v.nodes["a"].routers[tor])
		var cfg *config.Config
		v.change(func(s *cluster.Snapshot) { cfg, s.Config = s.Config, nil })
		v.has(time.Hour, map[string]string{"a": route})
		v.change(func(s *cluster.Snapshot) { s.Config = cfg })
		v.has(time.Minute, map[string]string{"a": route})
		v.strand("a")
		v.has(time.Hour, map[string]string{"a": route})
		if n := updates(v.nodes["a"].routers[tor]) - before; n != 0 {
			t.Errorf("%d UPDATE messages", n)
		}
		if s := v.nodes["a"].speaker.Status()[0]; s.State != bgp.Established || s.Resets != 0 {
			t.Errorf("the session: %+v", s)
		}
	})
}

// TestPeerRemoved takes the peer out of the configuration: the session ends, and the loop has no deadline for BGP.
func TestPeerRemoved(t *testing.T) {
	inRouted(t, torConfig, []string{"a"}, []netip.Addr{routeA}, func(v *routed) {
		time.Sleep(moveBound)
		cfg, err := config.Parse([]byte(testConfig))
		if err != nil {
			t.Fatal(err)
		}
		v.change(func(s *cluster.Snapshot) { s.Config = cfg })
		v.has(time.Second, map[string]string{"a": ""})
		if n := v.nodes["a"].routers[tor].Counts().Notification; n.Code != wire.CodeCease ||
			n.Subcode != wire.CeaseDeconfigured {
			t.Errorf("the router got %v", n)
		}
		if st := v.nodes["a"].loop.Describe(); len(st.Peers)+len(st.Routes) != 0 {
			t.Errorf("status: %+v, %+v", st.Peers, st.Routes)
		}
	})
}

// TestRestartWithAdoption exchanges the process of a node ten times. The router sees one session, and not one UPDATE.
func TestRestartWithAdoption(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{addr4, routeA}, func(v *routed) {
		v.has(moveBound, map[string]string{"a": "198.51.100.1/32"})
		n := v.nodes["a"]
		opens, before := len(n.routers[tor].Opens()), updates(n.routers[tor])
		for range 10 {
			old, oldStop, oldEnded := n.speaker, n.stop, n.ended
			n.predecessor = Predecessor{Succeeds: true, Addrs: n.loop.Status().Held, Members: n.Members(), Since: n.loop.Since()}
			n.loop.HandOver()
			n.leave()
			synctest.Wait()
			detached := old.Detach(t.Context())
			if len(detached) != 1 {
				t.Fatalf("detached %+v", detached)
			}
			n.speak(detached)
			Inherit(n.testNode.routing, n.name, n.announcer, n.Snapshot(), n.Members())
			synctest.Wait()
			if s := n.speaker.Status(); len(s) != 1 || s[0].State != bgp.Established || !s[0].Adopted {
				t.Fatalf("adopted: %+v", s)
			}
			oldStop()
			<-oldEnded
			<-n.done
			n.boot()
			time.Sleep(time.Minute)
		}
		v.has(0, map[string]string{"a": "198.51.100.1/32"})
		if got := len(n.routers[tor].Opens()); got != opens || updates(n.routers[tor]) != before ||
			n.routers[tor].Counts().Notification.Code != 0 {
			t.Errorf("%d more sessions, %d more UPDATE messages", got-opens, updates(n.routers[tor])-before)
		}
		v.change(func(s *cluster.Snapshot) { serviceOf(s, routeA).HasServing = false })
		v.has(10*time.Millisecond, map[string]string{"a": ""})
	})
}

// TestFailedHandover has a process take its sessions up again that it detached for another process. It withdraws the
// routes.
func TestFailedHandover(t *testing.T) {
	inRouted(t, torConfig, []string{"a", "b"}, []netip.Addr{routeA}, func(v *routed) {
		v.has(moveBound, map[string]string{"a": "198.51.100.1/32"})
		n := v.nodes["a"]
		n.loop.HandOver()
		n.leave()
		synctest.Wait()
		if d := n.speaker.Detach(t.Context()); len(d) != 1 {
			t.Fatalf("detached %+v", d)
		}
		done := make(chan struct{})
		go func() { defer close(done); n.loop.Withdraw(context.Background()) }()
		v.has(10*time.Millisecond, map[string]string{"a": "198.51.100.1/32 shutdown"})
		v.has(2*time.Second, map[string]string{"a": ""})
		<-done
		if s := n.speaker.Status()[0]; s.State != bgp.Established || s.Resets != 0 {
			t.Errorf("the session: %+v", s)
		}
	})
}

// TestPasswordFromSecret starts without the Secret. The session comes when the Secret does, and stays when it goes.
func TestPasswordFromSecret(t *testing.T) {
	document := strings.Replace(torConfig, "name: tor}", "name: tor, password-secret: lanlord-bgp/tor}", 1)
	inRouted(t, document, []string{"a"}, []netip.Addr{routeA}, func(v *routed) {
		n := v.nodes["a"]
		v.has(time.Minute, map[string]string{"a": ""})
		if p := n.loop.Describe().Peers[0]; p.Up || p.Reason != "PasswordMissing" || !strings.Contains(p.Message,
			"there is no Secret lanlord-bgp") {
			t.Errorf("without the Secret: %+v", p)
		}
		set := func(password string) {
			n.mu.Lock()
			n.password = password
			n.mu.Unlock()
			n.poke()
		}
		set("one")
		v.has(time.Second, map[string]string{"a": "198.51.100.1/32"})
		opens := len(n.routers[tor].Opens())
		set("")
		v.has(time.Minute, map[string]string{"a": "198.51.100.1/32"})
		set("one")
		v.has(time.Minute, map[string]string{"a": "198.51.100.1/32"})
		if got := len(n.routers[tor].Opens()); got != opens {
			t.Errorf("%d more sessions", got-opens)
		}
		set("two")
		v.has(5*time.Second, map[string]string{"a": "198.51.100.1/32"})
		if got := len(n.routers[tor].Opens()); got != opens+1 {
			t.Errorf("%d more sessions after another password", got-opens)
		}
	})
}

// TestSessionEvents ends the session for a while: one Event for the loss, and one for the return. The first session has
// an Event unless the session is up before the first review.
func TestSessionEvents(t *testing.T) {
	inRouted(t, torConfig, []string{"a"}, []netip.Addr{routeA}, func(v *routed) {
		time.Sleep(time.Minute)
		first := v.told()
		if len(first) > 1 || len(first) == 1 && first[0].Reason != "BGPSessionUp" {
			t.Errorf("Events %v about the first session", first)
		}
		n := v.nodes["a"]
		n.refuses.Store(true)
		n.mu.Lock()
		n.conns[tor].Conn.Close()
		n.mu.Unlock()
		time.Sleep(time.Minute)
		n.refuses.Store(false)
		time.Sleep(2 * time.Minute)
		got := map[string]int{}
		for _, e := range v.told()[len(first):] {
			got[e.Reason]++
		}
		if want := map[string]int{"BGPSessionUp": 1, "BGPSessionDown": 1}; !maps.Equal(got, want) {
			t.Errorf("Events %v, want %v", got, want)
		}
	})
}
