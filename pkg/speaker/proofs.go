package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// mostProvers is the number of members that this node asks to probe one new address.
	mostProvers = 2
	// mostProving limits the questions of other members that this node probes at a time. A member without an answer
	// waits for the rules as without probes.
	mostProving = 16
	// proofInterval is the time between two SYNs of a probe that waits for rules.
	proofInterval = 50 * time.Millisecond
	// newsPause is the pause before the next look whether this node has seen a new Service.
	newsPause = 20 * time.Millisecond
)

// PathPeers is an optional part of Peers: other members probe the path through this node before this node announces a
// new address. Without the part, this node waits until kube-proxy must have its rules.
type PathPeers interface {
	// AskPath asks the named member to probe, and AnswerPath answers a question of the named member. Both messages may
	// be lost.
	AskPath(name string, q membership.PathQuestion)
	AnswerPath(name string, number uint32, there bool)
}

// proofs tracks the questions of this node about the paths to new addresses, on the goroutine of the loop.
type proofs struct {
	// asked maps each address that waits for rules to the number of its question.
	asked  map[netip.Addr]uint32
	number uint32
}

// askForProofs asks other members to probe the path through this node to the new addresses that wait for rules. Each
// address is asked about once.
func (l *loop) askForProofs(now time.Time) {
	pathPeers, ok := l.opt.Peers.(PathPeers)
	if !ok {
		return
	}
	for addr := range l.proofs.asked {
		if a := l.addrs.byAddr[addr]; a == nil || !a.AwaitsRules() {
			delete(l.proofs.asked, addr)
		}
	}
	for addr, a := range l.addrs.open {
		if _, asked := l.proofs.asked[addr]; asked || !a.AwaitsRules() {
			continue
		}
		q, ok := l.pathQuestion(addr, a.Next().Sub(now))
		if !ok {
			continue
		}
		if l.proofs.asked == nil {
			l.proofs.asked = map[netip.Addr]uint32{}
		}
		l.proofs.asked[addr] = q.Number
		for _, name := range l.provers(addr, q.Number) {
			pathPeers.AskPath(name, q)
		}
	}
}

// pathQuestion returns the question about an address. The result is false for an address whose path cannot be probed:
// of several Services, the rules may come at different times, and only TCP ports answer.
func (l *loop) pathQuestion(addr netip.Addr, wait time.Duration) (q membership.PathQuestion, ok bool) {
	p := placement.Find(l.placements, addr)
	if p == nil || len(p.Services) != 1 {
		return q, false
	}
	service := l.snapshot.Service(p.Services[0])
	names := l.opt.Announcer.Serving(addr, p.Interfaces)
	if service == nil || len(service.TCPPorts) == 0 || len(names) != 1 {
		return q, false
	}
	interfaces := l.opt.Announcer.Interfaces()
	i := slices.IndexFunc(interfaces, func(i layer2.Interface) bool { return i.Name == names[0] })
	if i < 0 {
		return q, false
	}
	l.proofs.number++
	return membership.PathQuestion{
		Number: l.proofs.number, MAC: membership.MAC(interfaces[i].MAC), Wait: wait,
		Service: netip.AddrPortFrom(addr, service.TCPPorts[0]),
	}, true
}

// provers returns the members to ask: ready members that other members hear, on a network with the address if there are
// any. The number spreads the questions over the members.
func (l *loop) provers(addr netip.Addr, number uint32) (names []string) {
	var inside, others []string
	for _, e := range l.table.Entries() {
		if e.Name == l.opt.Self || e.Gone || e.Suspected || e.State != membership.Ready {
			continue
		}
		if holdsLink(e, addr) {
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

// holdsLink reports whether a link of the member is in a subnet with the address.
func holdsLink(e peers.Entry, addr netip.Addr) bool {
	return slices.ContainsFunc(e.Links, func(link membership.Link) bool {
		return slices.ContainsFunc(link.Subnets, func(s netip.Prefix) bool { return s.Contains(addr) })
	})
}

// proven notes the answer to a question, and reports whether a round must follow.
func (l *loop) proven(number uint32) (news bool) {
	for addr, asked := range l.proofs.asked {
		if a := l.addrs.byAddr[addr]; asked == number && a != nil && a.AwaitsRules() {
			l.arrivals.prove(addr)
			l.addrs.note(a)
			return true
		}
	}
	return false
}

// PathAnswered receives the answer of another member to a question of this node. PathAnswered never blocks.
func (s *Speaker) PathAnswered(_ string, number uint32, there bool) {
	if there {
		offer(s.mailbox.proofs, number)
	}
}

// PathAsked receives the question of another member: does a Service answer through that member? This node probes until
// the Service answers or the wait of the question is over, and tells the member about an answer only. PathAsked never
// blocks.
func (s *Speaker) PathAsked(name string, q membership.PathQuestion) {
	pathPeers, ok := s.opt.Peers.(PathPeers)
	if !ok {
		return
	}
	select {
	case s.proving <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-s.proving }()
		ctx, cancel := context.WithTimeout(context.Background(), min(q.Wait, ownership.RulesDelay))
		defer cancel()
		if s.reaches(ctx, name, q) {
			pathPeers.AnswerPath(name, q.Number, true)
		}
	}()
}

// reaches probes the path through a member until an answer comes or ctx ends.
func (s *Speaker) reaches(ctx context.Context, name string, q membership.PathQuestion) bool {
	for {
		if question, ok := s.mayProve(ctx, name, q); ok {
			f, err := s.opt.Announcer.ProbePath(ctx, question)
			answered := f.Outcome == pathprobe.Open || f.Outcome == pathprobe.Refused
			if err == nil {
				return answered && s.Status().view.Station(layer2.MAC(f.By)).Name == name
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(newsPause):
		}
	}
}

// mayProve returns the probe for a question of a member. The result is false while this node has not seen that a
// Service has the address and the port, and for a station that is not the member: nobody makes this node send to
// another host.
func (s *Speaker) mayProve(ctx context.Context, name string, q membership.PathQuestion) (layer2.PathQuestion, bool) {
	st, until := s.Status(), time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		until = deadline
	}
	wait := time.Until(until)
	p := placement.Find(st.Placements, q.Service.Addr())
	if p == nil || p.Reason != reason.Announced || wait < proofInterval ||
		st.view.Station(layer2.MAC(q.MAC)).Name != name {
		return layer2.PathQuestion{}, false
	}
	serves := slices.ContainsFunc(p.Services, func(key cluster.Key) bool {
		service := st.snapshot.Service(key)
		return service != nil && slices.Contains(service.TCPPorts, q.Service.Port())
	})
	return layer2.PathQuestion{
		To: layer2.MAC(q.MAC), Service: q.Service, Interfaces: p.Interfaces,
		Options: pathprobe.Options{
			Questions: int(wait / proofInterval), Interval: proofInterval, Wait: wait, Certain: true,
		},
	}, serves
}
