package layer2

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lanlord/lanlord/pkg/byaddr"
)

// groupRetry is the pause of a port after a failure to join a multicast group.
const groupRetry = 5 * time.Second

// port serves one interface that is up. A port lasts until the interface goes away or gets another name or hardware
// address.
type port struct {
	a      *Announcer
	log    *slog.Logger
	ctx    context.Context
	stop   context.CancelFunc
	bell   bell
	table  atomic.Pointer[table]
	again  pile[netip.Addr]
	asks   pile[*inquiry]
	next   atomic.Int64 // the new refresh interval
	events chan event

	// The fields below belong to the goroutine of run.
	current   *table
	announced map[netip.Addr]struct{} // addresses that need no first announcement and are not in the schedule yet
	schedule  *schedule
	tokens    *rate.Limiter
	conns     [protocols]Conn
	direct    direct
	sockets   [protocols]*socket
	// heartbeats is the socket for heartbeats, nil without one.
	heartbeats atomic.Pointer[HeartbeatConn]
	members    membership
	questions  []*inquiry // questions to send, the oldest first
	pinged     pinged
	lacking    time.Time // when to warn that IPv6 is missing; zero when IPv6 works or after the warning
	children   sync.WaitGroup
}

// event reports an opened socket, or a closed socket when conn is nil.
type event struct {
	from   *socket
	conn   Conn
	groups GroupConn // the same as conn for NDP, otherwise nil
}

func newPort(ctx context.Context, a *Announcer, t *table, refresh time.Duration) *port {
	ctx, stop := context.WithCancel(ctx)
	p := &port{
		a:        a,
		log:      a.log.With("interface", t.Name),
		ctx:      ctx,
		stop:     stop,
		bell:     newBell(),
		events:   make(chan event),
		schedule: newSchedule(refresh),
		tokens:   newTokens(a.rate.Load()),

		announced: map[netip.Addr]struct{}{},
	}
	p.next.Store(int64(refresh))
	p.table.Store(t)
	p.current = &table{Interface: t.Interface, macs: t.macs, scope: t.scope}
	p.current.LinkLocal = netip.Addr{} // so that the first look at the table starts the sockets
	return p
}

// serves reports whether i still has the index, name and hardware address of the port.
func (p *port) serves(i Interface) bool {
	t := p.table.Load()
	return t.Index == i.Index && t.Name == i.Name && t.MAC == i.MAC
}

// update replaces the table if the new table differs.
func (p *port) update(t *table) {
	if !p.table.Load().equal(t) {
		p.table.Store(t)
		p.bell.ring()
	}
}

func (p *port) setRefresh(d time.Duration) {
	p.next.Store(int64(d))
	p.bell.ring()
}

func (p *port) announce(addrs []netip.Addr) {
	p.again.add(addrs...)
	p.bell.ring()
}

// run opens the sockets and announces the addresses in the table until the port is stopped.
func (p *port) run() {
	defer p.children.Wait()
	defer p.answerNone()
	defer p.stop()
	defer p.listenHeartbeats()()
	p.listen(ARP)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.sync()
		if wait, ok := p.send(); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-p.ctx.Done():
			return
		case e := <-p.events:
			p.handle(e)
		case <-p.bell:
		case <-timer.C:
		}
	}
}

// listen starts a socket, and stops the previous socket of the protocol.
func (p *port) listen(protocol Protocol) {
	p.hangUp(protocol)
	s := newSocket(p, protocol, p.table.Load().Interface)
	p.sockets[protocol] = s
	p.children.Go(s.run)
}

func (p *port) hangUp(protocol Protocol) {
	if s := p.sockets[protocol]; s != nil {
		s.stop()
		p.sockets[protocol] = nil
		p.closed(protocol)
	}
}

// handle takes over an opened socket and releases a closed socket.
func (p *port) handle(e event) {
	protocol := e.from.protocol
	if p.sockets[protocol] != e.from {
		return // the socket was hung up in the meantime
	}
	p.closed(protocol)
	if e.conn == nil {
		return
	}
	p.conns[protocol] = e.conn
	p.direct.open[protocol].Store(&e.conn)
	if e.groups != nil {
		p.members = membership{conn: e.groups, log: p.log}
	}
	p.narrow(e.conn)
	now := time.Now()
	p.members.set(now, p.current.addrs)
	all := sorted(p.current.addrs.Lacking(byaddr.Map[struct{}]{}))
	p.start(now, slices.DeleteFunc(all, func(addr netip.Addr) bool { return protocolOf(addr) != protocol }))
}

// narrow makes the kernel drop frames about addresses outside the scope, if conn supports a kernel filter.
func (p *port) narrow(conn Conn) {
	n, ok := conn.(narrower)
	if !ok {
		return
	}
	if err := n.narrow(p.current.scope); err != nil && !errors.Is(err, net.ErrClosed) {
		p.log.Warn("kernel filter not set, so that every frame wakes this process", "err", err)
	}
}

// closed removes the addresses of a protocol without a socket from the schedule.
func (p *port) closed(protocol Protocol) {
	p.conns[protocol] = nil
	p.direct.open[protocol].Store(nil)
	if protocol == NDP {
		p.members = membership{}
	}
	for addr := range p.current.addrs.All() {
		if protocolOf(addr) == protocol {
			p.schedule.stop(addr)
		}
	}
}

// sync applies the newest table and all requests since the last call to the groups, the schedule and the sockets.
func (p *port) sync() {
	now := time.Now()
	again := p.again.take() // before the table, so that the table contains the addresses to announce
	p.schedule.setRefresh(now, time.Duration(p.next.Load()))
	setRate(p.tokens, now, p.a.rate.Load())
	if t := p.table.Load(); t != p.current {
		old := p.current
		start, stop := sorted(t.addrs.Lacking(old.addrs)), sorted(old.addrs.Lacking(t.addrs))
		for _, addr := range stop {
			p.schedule.stop(addr)
		}
		p.current = t
		p.noteAnnounced(start)
		p.noteLack(now, old)
		if t.scope != old.scope {
			// Before the announcements, so that the filter accepts the responses.
			for _, conn := range p.conns {
				p.narrow(conn)
			}
		}
		if t.LinkLocal != old.LinkLocal {
			p.hangUp(NDP)
			if t.LinkLocal.IsValid() {
				p.listen(NDP)
			}
		}
		if t.Flaps != old.Flaps {
			clear(p.announced)
			start = sorted(t.addrs.Lacking(byaddr.Map[struct{}]{}))
		}
		if slices.ContainsFunc(start, netip.Addr.Is6) || slices.ContainsFunc(stop, netip.Addr.Is6) {
			p.members.set(now, t.addrs)
		}
		p.start(now, start)
	}
	p.members.retry(now, p.current.addrs)
	p.warnOfLack(now)
	for _, addr := range again {
		delete(p.announced, addr)
	}
	p.start(now, again)
	p.syncPing()
	p.questions = append(p.questions, p.asks.take()...)
}

// sorted sorts the addresses and returns them.
func sorted(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// noteAnnounced records the new addresses that need no first announcement.
func (p *port) noteAnnounced(start []netip.Addr) {
	maps.DeleteFunc(p.announced, func(addr netip.Addr, _ struct{}) bool {
		return !p.current.announced.Has(addr)
	})
	for _, addr := range start {
		if p.current.announced.Has(addr) {
			p.announced[addr] = struct{}{}
		}
	}
}

// start announces the addresses that the port holds and has a socket for. An address recorded in p.announced gets only
// its refreshes this time.
func (p *port) start(now time.Time, addrs []netip.Addr) {
	for _, addr := range addrs {
		if !p.current.holds(addr) || p.conns[protocolOf(addr)] == nil {
			continue
		}
		if _, ok := p.announced[addr]; ok {
			delete(p.announced, addr)
			p.schedule.resume(now, addr)
			continue
		}
		p.schedule.start(now, addr)
	}
}
