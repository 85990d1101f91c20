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
)

// DefaultRefresh is the average time from one announcement of an address to the next. It is less than a third of the 300 s after
// which switches usually forget a station.
const DefaultRefresh = 90 * time.Second

// watchRetry is the pause before the next attempt to watch the interfaces after a failure.
const watchRetry = time.Second

// Target is one address to answer for or to watch.
type Target struct {
	// Addr is the address. Its zone is ignored, and an IPv4 address mapped to IPv6 counts as IPv4.
	Addr netip.Addr
	// Interfaces are names, or patterns as in path.Match, of the interfaces to answer on. Without any, the address is served on the
	// interfaces whose subnet holds Addr, or on all if no subnet does. Of several interfaces in one network, one serves.
	Interfaces []string
	// Mode tells whether to answer for the address or to watch it. The zero value answers.
	Mode Mode
	// Announced says that another process of this host has announced the address already, from the same hardware addresses.
	// The announcer answers for the address as for any other, but when the address is new in the set, its first announcement is
	// a refresh. This holds for interfaces that are up at that moment. On an interface that comes up, flaps or changes its
	// hardware address later, and with Announce, the address is announced as if it were new.
	Announced bool
}

// Options configure an Announcer. The zero value is valid.
type Options struct {
	// Log receives changes (Info), failures (Warn, Error) and each frame (Debug). Without it nothing is logged.
	Log *slog.Logger
	// Registerer takes the metrics. Without it there are none.
	Registerer prometheus.Registerer
	// Network is nil for the interfaces of this host.
	Network Network
	// Exclude are patterns, as in path.Match, of names of this host's interfaces that are not used. Without any,
	// DefaultExclude applies, except to an interface that has an address of the Node. Exclude has no effect on a Network of the
	// caller's.
	Exclude []string
	// Refresh is the average time from one announcement of an established address to the next. 0 means DefaultRefresh; less than 0
	// means never.
	Refresh time.Duration
	// Wake is called after Interfaces, KernelAddrs, MACs or Ready changed. It must not block.
	Wake func()
	// Heard is called when another station claims an address that is answered for or watched: at most four times a second for each
	// address, and for each pair of address and MAC at most once a second with an answer and once with another claim. It must not
	// block.
	Heard func(Claim)
	// Stood is called when this process has stalled (it was stopped, or got no CPU) for so long that other nodes may answer for its
	// addresses by now. From then on, the announcer answers and announces nothing until Resume is called. Without Stood, the
	// announcer continues as before. Stood may be called several times for one stall, and must not block.
	Stood func()
}

// Announcer answers for a set of addresses on the interfaces of a host, and announces them. Its methods may be called at any
// time, also before and after Run.
type Announcer struct {
	log     *slog.Logger
	network Network
	metrics *metrics
	wake    func()
	heard   func(Claim)

	bell      bell
	targets   atomic.Pointer[[]Target]
	ranges    atomic.Pointer[[]Range]
	refresh   atomic.Int64
	rate      atomic.Int64
	again     pile[netip.Addr]
	inquiries inquiries
	ports     atomic.Pointer[[]*port]
	ping      atomic.Bool
	told      atomic.Pointer[HostState]
	host      atomic.Pointer[HostState] // the state that the loop has taken over
	node      atomic.Pointer[[]netip.Addr]
	layout    atomic.Pointer[layout] // nil before the first state of the host
	sockets   atomic.Int32
	claims    chan Claim
	pulse     pulse
	resume    atomic.Uint64
}

// New returns an Announcer without addresses. It starts no goroutine; Run does.
func New(o Options) *Announcer {
	a := &Announcer{
		log:     o.Log,
		network: o.Network,
		wake:    o.Wake,
		heard:   o.Heard,
		bell:    newBell(),
		claims:  make(chan Claim, claimQueue),
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
	a.refresh.Store(int64(refreshOrDefault(o.Refresh)))
	a.rate.Store(DefaultRate)
	a.ports.Store(new([]*port))
	a.targets.Store(new([]Target))
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

// Set replaces the whole set of addresses. A new address to answer for is announced at once, at 0.2, 1, 2.5 and 5 s, and then by the
// refresh, unless it is Announced. An address that is gone is no longer answered for or announced. Nothing happens for an address
// that stays. Set does not wait: it takes effect within a moment, on the goroutines of Run.
func (a *Announcer) Set(targets []Target) {
	a.targets.Store(new(normalize(targets)))
	a.bell.ring()
}

// SetRefresh changes the average time between the announcements of an established address, from now on. 0 means
// DefaultRefresh; less than 0 means never.
func (a *Announcer) SetRefresh(d time.Duration) {
	a.refresh.Store(int64(refreshOrDefault(d)))
	a.bell.ring()
}

// SetRate changes the number of frames a second that may be sent on one interface to announce addresses, from now on. Less than 1
// means DefaultRate. The frames of one second may be sent at once; with a rate below 100, a quarter of them.
func (a *Announcer) SetRate(framesPerSecond int) {
	a.rate.Store(int64(rateOrDefault(framesPerSecond)))
	a.bell.ring()
}

// SetRanges replaces the ranges of addresses that this node may come to announce. The kernel drops frames about other addresses, so
// that they cost nothing; addresses in the set are always heard, in a range or not. Invalid ranges are ignored.
func (a *Announcer) SetRanges(ranges []Range) {
	a.ranges.Store(new(slices.Clone(ranges)))
	a.bell.ring()
}

// SetPing switches the answers to echo requests for the addresses on or off. Before the first call they are off.
func (a *Announcer) SetPing(on bool) {
	a.ping.Store(on)
	a.bell.ring()
}

// Announce announces the addresses as if they were new, except addresses that are not in the set.
func (a *Announcer) Announce(addrs []netip.Addr) {
	a.again.add(addrs...)
	a.bell.ring()
}

// SetNodeAddrs tells the announcer the addresses of this host's Node (its InternalIPs), from now on. Of several interfaces in one
// network, the interface that has such an address serves; and the default patterns do not exclude an interface that has one.
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

// Interfaces returns the interfaces that the announcer uses when they are up, sorted by index. The list is shared and must not be
// changed.
func (a *Announcer) Interfaces() []Interface { return a.host.Load().Interfaces }

// Serving returns the names of the interfaces that an address is answered on when it is in the set: of several interfaces in one
// network, one. interfaces are names or patterns, as in Target.
func (a *Announcer) Serving(addr netip.Addr, interfaces []string) (names []string) {
	list := a.host.Load().Interfaces
	for _, at := range newLayout(list, *a.node.Load()).serving(Target{Addr: addr, Interfaces: interfaces}, nil) {
		names = append(names, list[at].Name)
	}
	return names
}

// KernelAddrs returns the addresses that other stations may reach the host's kernel at, on every interface, the loopback interface
// included, sorted: an address in this list must not be announced by another node. Loopback and link-local addresses are left
// out, and so are those that a service proxy gives to the kernel. The list is shared and must not be changed.
func (a *Announcer) KernelAddrs() []netip.Addr { return a.host.Load().Addrs }

// Proxied reports whether a service proxy has put the IPv4 address on an interface of its own on this host, as kube-proxy
// does in IPVS mode. Proxied is false for IPv6: the kernel answers neighbour solicitations only for the addresses of the
// interface on which they arrive.
func (a *Announcer) Proxied(addr netip.Addr) bool { return addr.Is4() && a.host.Load().proxied(addr) }

// ProxyAnswers reports whether the kernel of this host answers ARP requests for an address that is Proxied, as with
// kube-proxy in IPVS mode without strictARP. The kernels of the other hosts of the cluster then most likely answer too.
// ProxyAnswers asks the kernel for its settings.
func (a *Announcer) ProxyAnswers(addr netip.Addr) bool {
	network, ok := a.network.(arpNetwork)
	return ok && a.Proxied(addr) && slices.ContainsFunc(a.Interfaces(), func(i Interface) bool {
		return i.Up && network.AnswersForeign(i.Name)
	})
}

// MACs returns the hardware addresses that frames of this host may carry, sorted: those of all interfaces, excluded ones too, and
// of the slaves of bonds. The ends of pods' virtual cables are left out: they send nothing themselves. The list is shared and
// must not be changed.
func (a *Announcer) MACs() []MAC { return a.host.Load().MACs }

// Answers reports whether each of the addresses is answered for on some interface by now: Set has taken effect, and there is a
// socket.
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

// held counts the addresses to answer for.
func (a *Announcer) held() int {
	n := 0
	for _, t := range *a.targets.Load() {
		if t.Mode == Answer {
			n++
		}
	}
	return n
}

// Run follows the interfaces, answers and announces until ctx is done, and returns nil. It may be called once.
func (a *Announcer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { a.watch(ctx) })
	tasks.Go(func() { a.hear(ctx) })
	a.pulse.start(time.Now())
	tasks.Go(func() { a.pulse.run(ctx) })

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

// watch keeps the newest state of the host in a.told. The last state holds while the watch is down.
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
