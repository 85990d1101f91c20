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

// DefaultRefresh is how long after the last announcement of an address it is announced again, on average. It is well under
// a third of the 300 s after which switches usually forget a station.
const DefaultRefresh = 90 * time.Second

// watchRetry is how long the loop waits before it watches the interfaces again after that failed.
const watchRetry = time.Second

// Target is one address to answer for or to watch.
type Target struct {
	// Addr is the address. A zone is ignored, and an IPv4 address mapped to IPv6 is taken as IPv4.
	Addr netip.Addr
	// Interfaces are names, or patterns as in path.Match, of the interfaces to answer on. Without any, these are the
	// interfaces with a subnet that holds Addr, and where there is none, all.
	Interfaces []string
	// Mode is what to do about the address. The zero value answers for it.
	Mode Mode
	// Announced says that another process of this host has announced the address already, from the same hardware addresses.
	// Then it is answered for like any other, but when it is new in the set its first announcement is a refresh. That holds
	// for interfaces that are up at that moment; on those that come up, flap or change their hardware address later, and with
	// Announce, it is announced as if it were new.
	Announced bool
}

// Options are what an Announcer needs. The zero value is valid.
type Options struct {
	// Log receives what changes (Info), what fails (Warn, Error) and each frame (Debug). Without it nothing is logged.
	Log *slog.Logger
	// Registerer takes the metrics. Without it there are none.
	Registerer prometheus.Registerer
	// Network is nil for the interfaces of this host.
	Network Network
	// Exclude are patterns, as in path.Match, of names of this host's interfaces that are not used. Without any,
	// DefaultExclude applies, except to an interface that has an address of the Node. Exclude has no effect on a Network of the
	// caller's.
	Exclude []string
	// Refresh is the average time from an announcement to the next once an address is established. 0 is DefaultRefresh;
	// less than 0 is never.
	Refresh time.Duration
	// Wake is called after Interfaces, KernelAddrs, MACs or Ready changed. It must not block.
	Wake func()
	// Heard is called when another station claims an address that is answered for or watched, at most four times a second
	// for each address and once a second for each pair of address and MAC. It must not block.
	Heard func(Claim)
	// Stood is called when this process is found to have stood still (it was stopped, or was given no CPU) for so long that others may
	// answer for its addresses by now. Nothing is answered or announced from then on until Resume is called. Without it, the
	// announcer goes on as before. It may be called several times for one standstill, and must not block.
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

// New returns an Announcer that has no addresses. It starts nothing; Run does.
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

// Set replaces the whole set of addresses. One to answer for that is new is answered for and announced at once, at 0.2, 1, 2.5 and 5 s, and
// then by the refresh, unless it is Announced; one that is gone is no longer answered for or announced. What stays is left alone. Set does not
// wait for this: it takes effect within a moment, on the goroutines of Run.
func (a *Announcer) Set(targets []Target) {
	a.targets.Store(new(normalize(targets)))
	a.bell.ring()
}

// SetRefresh changes the average time between the announcements of an established address, from now on. 0 is
// DefaultRefresh; less than 0 is never.
func (a *Announcer) SetRefresh(d time.Duration) {
	a.refresh.Store(int64(refreshOrDefault(d)))
	a.bell.ring()
}

// SetRate changes how many frames a second may be sent on one interface to announce addresses, from now on. Less than 1 is
// DefaultRate. A second's worth may be sent at once; of a rate below 100, a quarter of that.
func (a *Announcer) SetRate(framesPerSecond int) {
	a.rate.Store(int64(rateOrDefault(framesPerSecond)))
	a.bell.ring()
}

// SetRanges replaces the ranges of addresses that frames may concern this node with: those that it may come to announce. The
// kernel leaves out frames that are about others, which so cost nothing; those in the set are always heard, in a range or not.
// What is no range is left out.
func (a *Announcer) SetRanges(ranges []Range) {
	a.ranges.Store(new(slices.Clone(ranges)))
	a.bell.ring()
}

// SetPing changes whether echo requests to the addresses are answered, from now on. Before the first call they are not.
func (a *Announcer) SetPing(on bool) {
	a.ping.Store(on)
	a.bell.ring()
}

// Announce announces those of the addresses that are in the set as if they were new. The others are left out.
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

// KernelAddrs returns the addresses that other stations may reach the host's kernel at, on every interface, the loopback interface
// included, sorted: an address in this list must not be announced by another node. Loopback and link-local addresses are left
// out, and so are those that a service proxy gives to the kernel. The list is shared and must not be changed.
func (a *Announcer) KernelAddrs() []netip.Addr { return a.host.Load().Addrs }

// MACs returns the hardware addresses that frames of this host may carry, sorted: those of all interfaces, excluded ones too, and
// of the slaves of bonds. The ends of pods' virtual cables are left out: they send nothing themselves. The list is shared and
// must not be changed.
func (a *Announcer) MACs() []MAC { return a.host.Load().MACs }

// Answers reports whether every one of the addresses is answered for by now on some interface: Set has taken effect, and there
// is a socket.
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
