package speaker

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/peers"
	"github.com/lanlord/lanlord/pkg/placement"
)

// mostProvers is the number of members that this node asks to probe one new address.
const mostProvers = 2

// proofs tracks the questions of this node about the paths to new addresses. The goroutine of the loop owns proofs.
type proofs struct {
	self      string
	announcer *layer2.Announcer
	peers     PathPeers // nil when gossip carries no questions
	// asked maps each address that waits for rules to the number of its question.
	asked  map[netip.Addr]uint32
	number uint32
}

func newProofs(o *Options) proofs {
	carrier, _ := o.Peers.(PathPeers)
	return proofs{self: o.Self, announcer: o.Announcer, peers: carrier, asked: map[netip.Addr]uint32{}}
}

// ask asks other members to probe the path through this node to the new addresses that wait for rules. Each address is
// asked about once.
func (p *proofs) ask(now time.Time, addrs *addressSet, snapshot *cluster.Snapshot, placements []*placement.Placement,
	entries func() []peers.Entry) {
	if p.peers == nil {
		return
	}
	for addr := range p.asked {
		if a := addrs.byAddr[addr]; a == nil || !a.AwaitsRules() {
			delete(p.asked, addr)
		}
	}
	for addr, a := range addrs.open {
		if _, asked := p.asked[addr]; asked || !a.AwaitsRules() {
			continue
		}
		q, ok := p.question(snapshot, placement.Find(placements, addr))
		if !ok {
			continue
		}
		q.Wait = a.Next().Sub(now)
		p.asked[addr] = q.Number
		for _, name := range p.provers(addr, q.Number, entries()) {
			p.peers.AskPath(name, q)
		}
	}
}

// question returns the question about an address. The result is false for an address whose path cannot be probed: of
// several Services, the rules may come at different times, and only TCP ports answer.
func (p *proofs) question(snapshot *cluster.Snapshot, at *placement.Placement) (q membership.PathQuestion, ok bool) {
	if at == nil || len(at.Services) != 1 {
		return q, false
	}
	service := snapshot.Service(at.Services[0])
	names := p.announcer.Serving(at.Addr, at.Interfaces)
	if service == nil || len(service.TCPPorts) == 0 || len(names) != 1 {
		return q, false
	}
	interfaces := p.announcer.Interfaces()
	i := slices.IndexFunc(interfaces, func(i layer2.Interface) bool { return i.Name == names[0] })
	if i < 0 {
		return q, false
	}
	p.number++
	return membership.PathQuestion{
		Number: p.number, MAC: membership.MAC(interfaces[i].MAC),
		Service: netip.AddrPortFrom(at.Addr, service.TCPPorts[0]),
	}, true
}

// provers returns the members to ask: ready members that other members hear, on a network with the address if there are
// any. The number spreads the questions over the members.
func (p *proofs) provers(addr netip.Addr, number uint32, entries []peers.Entry) (names []string) {
	var inside, others []string
	for _, e := range entries {
		if e.Name == p.self || e.Gone || e.Suspected || e.State != membership.Ready {
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
func (p *proofs) proven(number uint32, addrs *addressSet, arrivals *arrivals) (news bool) {
	for addr, asked := range p.asked {
		if a := addrs.byAddr[addr]; asked == number && a != nil && a.AwaitsRules() {
			arrivals.prove(addr)
			addrs.note(a)
			return true
		}
	}
	return false
}
