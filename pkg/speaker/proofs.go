package speaker

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// mostProvers is the number of members that this node asks to probe one address.
	mostProvers = 2
	// pathRecheck is the time before the next question about a planned move that was refused. refusedRate limits these
	// questions, for all addresses together: one question takes about thirty frames.
	pathRecheck = ownership.PathRecheck
	refusedRate = 30 * time.Second
	// mostUntold is the number of questions in a row without an answer after which a refused move goes ahead: nobody can
	// probe the path any longer.
	mostUntold = 3
)

// proofs tracks the questions of this node about the paths through itself. The goroutine of the loop owns proofs.
type proofs struct {
	self      string
	announcer *layer2.Announcer
	peers     PathPeers // nil when gossip carries no questions
	prober    *prober
	news      chan pathNews
	// asked has the question about each address that waits for a path. numbers finds the address of a question.
	asked   map[netip.Addr]*pathQuestion
	numbers map[uint32]netip.Addr
	number  uint32
	// next is the time of the next call of ask, zero for none.
	next     time.Time
	silences silences
	boot     bootProofs
	// refused limits the questions about refused moves. mended is the last time at which such a move was proven: the
	// others are asked about at once.
	refused *rate.Limiter
	mended  time.Time
	// accompanied is true while another member is ready.
	accompanied bool
}

// pathQuestion is a question about the path to one address, and the answer.
type pathQuestion struct {
	membership.PathQuestion
	service cluster.Key
	// move is true for a planned move, and false for the first announcement of a new address.
	move bool
	at   time.Time
	// result is the newest answer. untold counts the questions since then.
	result ownership.Path
	untold int
	// compared is true once this node compares its path with the path through the present owner. said is true once
	// people know of the result.
	compared, said bool
}

// compare reports whether a comparison with the path through the present owner is to begin: true on the first call.
func (q *pathQuestion) compare() bool {
	was := q.compared
	q.compared = true
	return !was
}

func newProofs(o *Options, p *prober, news chan pathNews, answering *atomic.Bool) proofs {
	carrier, _ := o.Peers.(PathPeers)
	return proofs{self: o.Self, announcer: o.Announcer, peers: carrier, prober: p, news: news,
		silences: silences{answering: answering}, asked: map[netip.Addr]*pathQuestion{},
		numbers: map[uint32]netip.Addr{}, boot: newBootProofs(), refused: rate.NewLimiter(rate.Every(refusedRate), 1)}
}

// waits reports whether this node may take an address in this state.
func waits(s ownership.State) bool {
	return s == ownership.Probing || s == ownership.Backup || s == ownership.Deferred || s == ownership.Conflict
}

// path returns what other members know of the path to an address.
func (p *proofs) path(a *ownership.Address, at *placement.Placement, snapshot *cluster.Snapshot) ownership.Path {
	if p.peers == nil || !waits(a.State()) {
		return ownership.PathUnknown
	}
	q := p.asked[a.Addr]
	switch {
	case q != nil && (q.move || a.State() != ownership.Deferred) && q.result > ownership.PathUnasked:
		return q.result
	case !p.silences.answering.Load(), p.service(at, snapshot) == nil:
		return ownership.PathUnknown
	}
	return ownership.PathUnasked
}

// service returns the Service at an address if another member can probe the path to it, otherwise nil: of several
// Services the rules may come at different times, only TCP ports answer, and source ranges may exclude all nodes.
func (p *proofs) service(at *placement.Placement, snapshot *cluster.Snapshot) *cluster.Service {
	if at == nil || len(at.Services) != 1 || !p.accompanied {
		return nil
	}
	s := snapshot.Service(at.Services[0])
	if s == nil || len(s.TCPPorts) == 0 {
		return nil
	}
	if len(s.SourceRanges) > 0 && !slices.ContainsFunc(snapshot.Nodes, func(n cluster.Node) bool {
		return n.Name != p.self && slices.ContainsFunc(n.Addresses, func(a netip.Addr) bool { return admits(s, a) })
	}) {
		return nil
	}
	return s
}

// look notes whether another member is ready.
func (p *proofs) look(ready []membership.Member) {
	p.accompanied = slices.ContainsFunc(ready, func(m membership.Member) bool { return m.Name != p.self })
}

// ask asks other members to probe the path through this node to the new addresses that wait for rules, and to the
// addresses that a planned move is about to bring here.
func (p *proofs) ask(now time.Time, addrs *addressSet, d *decision, entries func() []peers.Entry) {
	p.next = time.Time{}
	if p.peers == nil {
		return
	}
	for addr, q := range p.asked {
		a := addrs.byAddr[addr]
		if a == nil || !waits(a.State()) || !q.move && a.State() == ownership.Deferred {
			delete(p.numbers, q.Number)
			delete(p.asked, addr)
		}
	}
	for addr, a := range addrs.open {
		from, move := a.AwaitsRules(), false
		if since := a.AwaitsPath(); !since.IsZero() {
			from, move = since, true
		}
		q := p.asked[addr]
		if from.IsZero() || q != nil && (!move || q.result != ownership.PathMissing) {
			continue
		}
		if at, due := p.due(now, from, q); !due {
			p.wake(at)
			continue
		}
		p.put(now, addr, q, move, d, entries)
	}
}

// askBooting asks other members whether Services answer through this node, while this node waits for its service proxy.
func (p *proofs) askBooting(now time.Time, forwards bool, d *decision, entries func() []peers.Entry) {
	switch {
	case forwards || p.peers == nil || !p.accompanied:
		p.boot.numbers = map[uint32]int{}
		return
	case p.boot.next.After(now):
		p.wake(p.boot.next)
		return
	}
	p.boot.next = now.Add(bootPause)
	p.wake(p.boot.next)
	p.boot.wants = [2]bool{}
	var found [2]int
	for n := range d.placements {
		at := d.placements[(n+int(p.number))%len(d.placements)]
		family := familyOf(at.Addr)
		service := p.service(at, &d.snapshot)
		if found[family] == bootServices || at.Reason != reason.Announced || service == nil ||
			service.TrafficPolicy == cluster.TrafficLocal {
			continue
		}
		q, ok := p.question(at, service.TCPPorts[0])
		if !ok {
			continue
		}
		found[family]++
		q.Wait, p.boot.wants[family], p.boot.numbers[q.Number] = bootPause, true, family
		for _, name := range p.provers(at.Addr, q.Number, entries()) {
			p.peers.AskPath(name, q)
		}
	}
}

// due returns the time of a question that is not due: a first question is due from a time on, and a question about a
// refused move after a while.
func (p *proofs) due(now, from time.Time, q *pathQuestion) (at time.Time, due bool) {
	switch {
	case q == nil:
		return from, !from.After(now)
	case q.at.Before(p.mended):
		return now, true
	case q.at.Add(pathRecheck).After(now):
		return q.at.Add(pathRecheck), false
	}
	return now.Add(refusedRate), p.refused.AllowN(now, 1)
}

// put asks about one address. q is the question before, nil for none.
func (p *proofs) put(now time.Time, addr netip.Addr, q *pathQuestion, move bool, d *decision,
	entries func() []peers.Entry) {
	at := placement.Find(d.placements, addr)
	service := p.service(at, &d.snapshot)
	if service == nil {
		return
	}
	question, ok := p.question(at, service.TCPPorts[0])
	if !ok {
		return
	}
	if question.Wait = ownership.RulesDelay; !move && (p.silences.tells(service.Key) || !p.silences.answering.Load()) {
		question.Wait = ownership.RulesBound
	}
	if q == nil {
		q = &pathQuestion{service: service.Key, move: move, result: ownership.PathUnasked}
		p.asked[addr] = q
	}
	delete(p.numbers, q.Number)
	q.PathQuestion, q.at, q.compared = question, now, false
	if q.untold++; q.untold > mostUntold {
		q.result = ownership.PathUnasked
		p.wake(now)
	}
	p.numbers[q.Number] = addr
	for _, name := range p.provers(addr, q.Number, entries()) {
		p.peers.AskPath(name, question)
	}
	if !move {
		p.wake(now.Add(ownership.RulesDelay)) // people hear of a longer wait
	}
}

// wake plans a call of ask.
func (p *proofs) wake(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

// question returns a question about a port at an address. ok is false when not exactly one interface serves the address.
func (p *proofs) question(at *placement.Placement, port uint16) (q membership.PathQuestion, ok bool) {
	names := p.announcer.Serving(at.Addr, at.Interfaces)
	if len(names) != 1 {
		return q, false
	}
	interfaces := p.announcer.Interfaces()
	i := slices.IndexFunc(interfaces, func(i layer2.Interface) bool { return i.Name == names[0] })
	if i < 0 {
		return q, false
	}
	p.number++
	return membership.PathQuestion{
		Number: p.number, MAC: membership.MAC(interfaces[i].MAC), Service: netip.AddrPortFrom(at.Addr, port),
	}, true
}

// provers returns the members to ask: ready members that other members hear, on a network with the address if there are
// any. The number spreads the questions over the members.
func (p *proofs) provers(addr netip.Addr, number uint32, entries []peers.Entry) (names []string) {
	var inside, others []string
	for _, e := range entries {
		if !helps(e, p.self) {
			continue
		}
		if _, holds := linkWith(e, addr); holds {
			inside = append(inside, e.Name)
		} else {
			others = append(others, e.Name)
		}
	}
	if len(inside) == 0 {
		inside = others
	}
	for n := range min(mostProvers, len(inside)) {
		names = append(names, inside[(int(number)+n)%len(inside)])
	}
	return names
}

// helps reports whether an entry is another member that is ready and alive, as far as this node knows.
func helps(e peers.Entry, self string) bool {
	return e.Name != self && e.State == membership.Ready && !e.Gone && !e.Suspected
}

// linkWith returns the link of the member in a subnet with the address.
func linkWith(e peers.Entry, addr netip.Addr) (membership.Link, bool) {
	i := slices.IndexFunc(e.Links, func(link membership.Link) bool {
		return slices.ContainsFunc(link.Subnets, func(s netip.Prefix) bool { return s.Contains(addr) })
	})
	if i < 0 {
		return membership.Link{}, false
	}
	return e.Links[i], true
}

// hear stores an answer, and reports whether the path to the address has another result now.
func (p *proofs) hear(m pathNews, q *pathQuestion, now time.Time) (changed bool) {
	before := q.result
	q.untold = 0
	switch {
	case m.there:
		if q.result = ownership.PathThere; q.move && before == ownership.PathMissing {
			p.mended = now
		}
		p.silences.end(q.service)
		p.silences.answering.Store(true)
	case before == ownership.PathThere, q.move && !m.compared, !q.move && !p.silences.tells(q.service):
		return false
	default:
		q.result = ownership.PathMissing
	}
	return q.result != before
}
