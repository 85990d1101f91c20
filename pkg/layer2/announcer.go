package layer2

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// DefaultRefresh is the average time between two announcements of an address. DefaultRefresh is less than a third of
// 300 s, the usual time after which switches forget a station.
const DefaultRefresh = 90 * time.Second

// watchRetry is the pause after a failed attempt to watch the interfaces.
const watchRetry = time.Second

// Target is an address to answer for or to watch.
type Target struct {
	// Addr is the address. The announcer ignores the zone and treats an IPv4 address mapped to IPv6 as IPv4.
	Addr netip.Addr
	// Interfaces lists names, or patterns as in path.Match, of the interfaces to answer on. If the list is empty, the
	// announcer serves the address on the interfaces with a subnet that contains Addr, or on all interfaces if no
	// subnet does. Of several interfaces in one network, one serves.
	Interfaces []string
	// Mode selects whether to answer for the address or only to watch the address. The zero value answers.
	Mode Mode
	// Announced is true if another process of this host has already announced the address from the same hardware
	// addresses. The announcer answers for the address as for any other, but the first announcement of an address new
	// in the set is a refresh. This applies to interfaces up at that moment. On an interface that comes up, flaps or
	// changes its hardware address later, and after a call of Announce, the announcer announces the address like a new
	// address.
	Announced bool
}

// Options configure an Announcer. The zero value is valid.
type Options struct {
	// Log receives changes (Info), failures (Warn, Error) and each frame (Debug). If Log is nil, nothing is logged.
	Log *slog.Logger
	// Registerer receives the metrics. If Registerer is nil, no metrics are registered.
	Registerer prometheus.Registerer
	// Network is the network stack. If Network is nil, the announcer uses the interfaces of this host.
	Network Network
	// Exclude lists patterns, as in path.Match, for the names of interfaces of this host to leave unused. If the list
	// is empty, DefaultExclude applies, except to an interface with an address of the Node. Exclude has no effect if
	// Network is set.
	Exclude []string
	// Refresh is the average time between two announcements of an established address. 0 means DefaultRefresh; a
	// negative value means never.
	Refresh time.Duration
	// Wake is called after a change of Interfaces, KernelAddrs, MACs or Ready. Wake must not block.
	Wake func()
	// Heard is called when another station claims an address that the announcer answers for or watches. The limit is
	// four calls a second for each address. Within a second, each pair of address and MAC causes at most one call for
	// an answer and one call for another claim. Heard must not block.
	Heard func(Claim)
	// Stood is called after a stall: this process was stopped, or got no CPU, long enough for other nodes to take over
	// its addresses. From then on, the announcer answers and announces nothing until Resume is called. If Stood is nil,
	// the announcer continues as before. Stood may be called several times for one stall, and must not block.
	Stood func()
	// Busy is called when a socket has given 32 frames without a pause. Busy must not block. If Busy is nil, nothing is
	// called.
	Busy func()
}

// Announcer answers for a set of addresses on the interfaces of a host, and announces the addresses. The methods may be
// called at any time, also before and after Run.
type Announcer struct {
	log     *slog.Logger
	network Network
	metrics *metrics
	wake    func()
	heard   func(Claim)
	busy    func()

	bell       bell
	targets    *targetSet
	ranges     atomic.Pointer[[]Range]
	refresh    atomic.Int64
	rate       atomic.Int64
	again      pile[netip.Addr]
	inquiries  inquiries
	heartbeats listeners
	// nodes holds the hardware addresses of the other nodes.
	nodes   atomic.Pointer[map[MAC]string]
	ports   atomic.Pointer[[]*port]
	ping    atomic.Bool
	told    atomic.Pointer[HostState]
	host    atomic.Pointer[HostState] // the state that the loop has applied
	node    atomic.Pointer[[]netip.Addr]
	layout  atomic.Pointer[layout] // nil before the first state of the host
	sockets atomic.Int32
	claims  chan Claim
	pulse   pulse
	resume  atomic.Uint64
	paths   *rate.Limiter // the questions about paths
}

// New returns an Announcer without addresses. New starts no goroutine; Run does.
func New(o Options) *Announcer {
	a := &Announcer{
		log:     o.Log,
		network: o.Network,
		wake:    o.Wake,
		heard:   o.Heard,
		busy:    o.Busy,
		bell:    newBell(),
		claims:  make(chan Claim, claimQueue),
		targets: newTargetSet(),
		paths:   newPathTokens(),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.network == nil {
		a.network = newHost(a.log, o.Exclude)
	}
	if a.wake == nil {
		a.wake = func() {}
	}
	if a.heard == nil {
		a.heard = func(Claim) {}
	}
	if a.busy == nil {
		a.busy = func() {}
	}
	a.refresh.Store(int64(refreshOrDefault(o.Refresh)))
	a.rate.Store(DefaultRate)
	a.ports.Store(new([]*port))
	a.ranges.Store(new([]Range))
	a.host.Store(&HostState{})
	a.node.Store(new([]netip.Addr))
	a.metrics = newMetrics(o.Registerer, a)
	a.pulse.began, a.pulse.stood, a.pulse.count = time.Now(), o.Stood, a.metrics.standstills.Inc
	return a
}

func refreshOrDefault(d time.Duration) time.Duration {
	if d == 0 {
		return DefaultRefresh
	}
	return d
}

// Set replaces the whole set of addresses. The announcer announces a new address to answer for at once, at 0.2, 1, 2.5
// and 5 s, and then at each refresh, unless the target is Announced. The announcer stops answering for and announcing a
// removed address. Nothing happens for an unchanged address. Set does not wait: the goroutines of Run apply the set a
// moment later.
func (a *Announcer) Set(targets []Target) {
	a.targets.replace(normalize(targets))
	a.bell.ring()
}

// Change adds addresses to the set, replaces the targets of addresses in the set, and removes other addresses. The
// effect is that of Set with the whole changed set, at the cost of the change alone.
func (a *Announcer) Change(targets []Target, gone []netip.Addr) {
	if len(targets)+len(gone) == 0 {
		return
	}
	gone = slices.Clone(gone)
	for i, addr := range gone {
		gone[i] = addr.Unmap().WithZone("")
	}
	a.targets.change(normalize(targets), gone)
	a.bell.ring()
}

// SetRefresh changes the average time between two announcements of an established address, from now on. 0 means
// DefaultRefresh; a negative value means never.
func (a *Announcer) SetRefresh(d time.Duration) {
	a.refresh.Store(int64(refreshOrDefault(d)))
	a.bell.ring()
}

// SetRate changes the maximum number of frames a second that announce addresses on one interface, from now on. A value
// below 1 means DefaultRate. The burst is the frames of one second, or a quarter of them for a rate below 100.
func (a *Announcer) SetRate(framesPerSecond int) {
	a.rate.Store(int64(rateOrDefault(framesPerSecond)))
	a.bell.ring()
}

// SetRanges replaces the ranges of addresses that this node may have to announce. The kernel drops frames about all
// other addresses, so such frames cost nothing. Addresses in the set are always heard, even outside the ranges.
// SetRanges ignores invalid ranges.
func (a *Announcer) SetRanges(ranges []Range) {
	a.ranges.Store(new(slices.Clone(ranges)))
	a.bell.ring()
}

// SetPing switches the answers to echo requests for the addresses on or off. The answers are off before the first call.
func (a *Announcer) SetPing(on bool) {
	a.ping.Store(on)
	a.bell.ring()
}

// SetNodes sets the hardware addresses of the other nodes, each with the name of the node. The metrics then tell the
// questions and answers of other speakers from those of clients. The caller does not change the map afterwards.
func (a *Announcer) SetNodes(macs map[MAC]string) { a.nodes.Store(&macs) }

// Announce announces the addresses like new addresses. Addresses outside the set are ignored.
func (a *Announcer) Announce(addrs []netip.Addr) {
	a.again.add(addrs...)
	a.bell.ring()
}

// SetNodeAddrs sets the addresses of this host's Node (the InternalIPs), from now on. An interface with such an address
// serves before the other interfaces of its network, and the default patterns do not exclude the interface.
func (a *Announcer) SetNodeAddrs(addrs []netip.Addr) {
	list := make([]netip.Addr, 0, len(addrs))
	for _, addr := range addrs {
		list = append(list, addr.Unmap().WithZone(""))
	}
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	if slices.Equal(*a.node.Load(), list) {
		return
	}
	a.node.Store(&list)
	if n, ok := a.network.(nodeNetwork); ok {
		n.setNodeAddrs(list)
	}
	a.bell.ring()
}

// Interfaces returns the interfaces that the announcer uses when they are up, sorted by index. The list is shared and
// must not be changed.
func (a *Announcer) Interfaces() []Interface { return a.host.Load().Interfaces }

// Serving returns the names of the interfaces on which the announcer answers for an address in the set: of several
// interfaces in one network, one. interfaces lists names or patterns, as in Target.
func (a *Announcer) Serving(addr netip.Addr, interfaces []string) (names []string) {
	list := a.host.Load().Interfaces
	for _, at := range newLayout(list, *a.node.Load()).serving(Target{Addr: addr, Interfaces: interfaces}, nil) {
		names = append(names, list[at].Name)
	}
	return names
}

// KernelAddrs returns the addresses at which other stations may reach the kernel of this host, sorted, on every
// interface including the loopback interface. Another node must not announce an address in this list. The list leaves
// out loopback addresses, link-local addresses, and addresses that a service proxy gives to the kernel. The list is
// shared and must not be changed.
func (a *Announcer) KernelAddrs() []netip.Addr { return a.host.Load().Addrs }

// Proxied reports whether a service proxy has put the IPv4 address on its own interface on this host, as kube-proxy
// does in IPVS mode. Proxied is false for IPv6: the kernel answers a neighbour solicitation only for an address of the
// receiving interface.
func (a *Announcer) Proxied(addr netip.Addr) bool { return addr.Is4() && a.host.Load().proxied(addr) }

// ProxyAnswers reports whether the kernel of this host answers ARP requests for a Proxied address, as with kube-proxy
// in IPVS mode without strictARP. The kernels of the other hosts of the cluster then most likely answer too.
// ProxyAnswers reads the settings of the kernel.
func (a *Announcer) ProxyAnswers(addr netip.Addr) bool {
	network, ok := a.network.(arpNetwork)
	return ok && a.Proxied(addr) && slices.ContainsFunc(a.Interfaces(), func(i Interface) bool {
		return i.Up && network.AnswersForeign(i.Name)
	})
}

// MACs returns the hardware addresses that frames of this host may carry, sorted: the addresses of all interfaces,
// excluded interfaces included, and of the slaves of bonds. MACs leaves out the ends of pods' virtual cables, because
// these ends send nothing themselves. The list is shared and must not be changed.
func (a *Announcer) MACs() []MAC { return a.host.Load().MACs }

// Answers reports whether the announcer already answers for each of the addresses on some interface: Set has taken
// effect, and a socket is open.
func (a *Announcer) Answers(addrs []netip.Addr) bool {
	ports := *a.ports.Load()
	for _, addr := range addrs {
		if !slices.ContainsFunc(ports, func(p *port) bool { return p.table.Load().holds(addr) }) {
			return false
		}
	}
	return a.Ready()
}

// Ready reports whether a socket is open on at least one interface.
func (a *Announcer) Ready() bool { return a.sockets.Load() > 0 }

// held returns the number of addresses to answer for.
func (a *Announcer) held() int {
	n := 0
	for t := range a.targets.load().Values() {
		if t.Mode == Answer {
			n++
		}
	}
	return n
}

// Run follows the interfaces, answers and announces until ctx is done, and returns nil. Run may be called once.
func (a *Announcer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { a.watch(ctx) })
	tasks.Go(func() { a.hear(ctx) })
	a.pulse.start(time.Now())
	beats := newTicks(ctx, a.network, pulseInterval)
	tasks.Go(func() { a.pulse.run(beats, a.readHeartbeats) })

	l := loop{a: a, ctx: ctx, tasks: &tasks, ports: map[int]*port{}}
	for {
		l.reconcile()
		select {
		case <-ctx.Done():
			return nil
		case <-a.bell:
		}
	}
}

// watch stores the newest state of the host in a.told. While the watch fails, the last state stays in force.
func (a *Announcer) watch(ctx context.Context) {
	tell := func(s HostState) {
		a.told.Store(new(s.normalized()))
		a.bell.ring()
	}
	for ctx.Err() == nil {
		if err := a.network.Watch(ctx, tell); err != nil {
			a.log.Error("interfaces are not followed", "err", err, "retry", watchRetry)
		}
		sleep(ctx, watchRetry)
	}
}
