package speaker

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// refusals carries out what answers about paths demand of the loop.
type refusals struct{ *loop }

// told processes an answer about a path, and reports whether a round must follow.
func (l refusals) told(m pathNews, now time.Time) (news bool) {
	p := &l.proofs
	if p.boot.hear(m) {
		l.opt.Hooks.Reached()
		return false
	}
	addr, known := p.numbers[m.number]
	a, q := l.addrs.byAddr[addr], p.asked[addr]
	if !known || a == nil || q == nil {
		return false
	}
	if !q.move && a.AwaitsRules().IsZero() {
		return false // the wait is over
	}
	if q.move && !m.there && !m.compared {
		l.compare(a, q)
		return false
	}
	if !p.hear(m, q, now) {
		return false
	}
	switch {
	case q.result == ownership.PathThere && q.said:
		l.opt.Log.Info("the rules of the service proxy are there", "ip", addr, "service", q.service)
	case q.result == ownership.PathMissing && q.move:
		l.sayRefused(now, a, q)
	}
	l.addrs.note(a)
	return true
}

// learn finds out whether Services answer probes in this cluster, until a first answer: this node probes some Services
// through another member.
func (l refusals) learn(now time.Time) {
	p := &l.proofs
	if l.parts.answering.Load() || p.peers == nil || !p.accompanied || l.self.state != membership.Ready ||
		len(l.placements) == 0 {
		return
	}
	if p.boot.learn.After(now) {
		p.wake(p.boot.learn)
		return
	}
	begin := rand.N(len(l.placements))
	for n, found := 0, 0; n < len(l.placements) && found < bootServices; n++ {
		at := l.placements[(begin+n)%len(l.placements)]
		service := p.service(at, &l.snapshot)
		if service == nil || at.Reason != reason.Announced {
			continue
		}
		if mac, known := l.anotherStation(at.Addr); known {
			found++
			l.probe(mac, netip.AddrPortFrom(at.Addr, service.TCPPorts[0]), at.Interfaces, func() {})
		}
	}
	p.boot.attempt(now)
	p.wake(p.boot.learn)
}

// anotherStation returns the hardware address of a ready member in a subnet with the address.
func (l refusals) anotherStation(addr netip.Addr) (layer2.MAC, bool) {
	entries := l.table.Entries()
	for n, begin := 0, rand.N(max(len(entries), 1)); n < len(entries); n++ {
		e := entries[(begin+n)%len(entries)]
		if link, holds := linkWith(e, addr); holds && helps(e, l.opt.Self) {
			return layer2.MAC(link.MAC), true
		}
	}
	return layer2.MAC{}, false
}

// probe probes the path through a member, and calls there after an answer.
func (l refusals) probe(to layer2.MAC, service netip.AddrPort, interfaces []string, there func()) {
	q := layer2.PathQuestion{To: to, Service: service, Interfaces: interfaces, Options: pathprobe.Options{
		Questions: provingRound, Interval: proofInterval, Wait: comparing, Certain: true,
	}}
	l.prober.tasks.Go(func() {
		f, err := l.opt.Announcer.ProbePath(l.prober.ctx, q)
		if err == nil && answered(f) && layer2.MAC(f.By) == to {
			l.parts.answering.Store(true)
			there()
		}
	})
}

// compare probes the path through the present owner, because silence through this node proves nothing if the owner is
// silent too. Then the Service cannot be probed from the nodes, and the address moves.
func (l refusals) compare(a *ownership.Address, q *pathQuestion) {
	owner, known := l.ownerStation(a)
	if !known || !q.compare() {
		return
	}
	var interfaces []string
	if p := placement.Find(l.placements, a.Addr); p != nil {
		interfaces = p.Interfaces
	}
	number, news := q.Number, l.proofs.news
	l.probe(owner, q.Service, interfaces, func() { offer(news, pathNews{number: number, compared: true}) })
}

// ownerStation returns the hardware address of the member that has the address.
func (l refusals) ownerStation(a *ownership.Address) (layer2.MAC, bool) {
	holder := a.Holder()
	if mac := l.sightings.of(a.Addr).MAC; holder != "" && l.table.View().Station(mac).Name == holder {
		return mac, true
	}
	for _, e := range l.table.Entries() {
		if link, holds := linkWith(e, a.Addr); e.Name == holder && holds {
			return layer2.MAC(link.MAC), true
		}
	}
	return layer2.MAC{}, false
}

// sayRefused tells people that this node does not take an address, because it has no rules.
func (l refusals) sayRefused(now time.Time, a *ownership.Address, q *pathQuestion) {
	q.said = true
	l.opt.Log.Warn("this node has no rules for a Service, and leaves the address to its owner", "ip", a.Addr,
		"service", q.service, "node", a.Holder())
	if p := placement.Find(l.placements, a.Addr); p != nil {
		l.notifier.MoveRefused(now, a.Addr, a.Holder(), p)
	}
}

// sayMissing tells people of the new addresses that wait longer than usual for the rules of the service proxy.
func (l refusals) sayMissing(now time.Time) {
	for addr, q := range l.proofs.asked {
		a := l.addrs.byAddr[addr]
		if a == nil || q.move || q.said || q.result != ownership.PathMissing || a.State() != ownership.Probing {
			continue
		}
		if at := q.at.Add(ownership.RulesDelay); at.After(now) {
			l.proofs.wake(at)
			continue
		}
		q.said = true
		until := a.Facts().Due
		l.opt.Log.Info("waiting for the rules of the service proxy: no other node gets an answer from the Service "+
			"through this node", "ip", addr, "service", q.service, "until", until)
		if p := placement.Find(l.placements, addr); p != nil {
			l.notifier.RulesAwaited(now, addr, p)
		}
	}
}

// tookUnproven tells people that this node has taken a new address although no other member gets an answer from the
// Service through this node.
func (l refusals) tookUnproven(now time.Time, addr netip.Addr, p *placement.Placement) {
	q := l.proofs.asked[addr]
	if q == nil || q.move || q.result != ownership.PathMissing {
		return
	}
	l.proofs.silences.note(q.service)
	l.opt.Log.Warn("no other node gets an answer from a Service through this node, which announces its address now",
		"ip", addr, "service", q.service)
	if p != nil {
		l.notifier.RulesMissing(now, addr, p)
	}
}
