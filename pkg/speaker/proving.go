package speaker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// newsPause is the pause before the next look whether this node has seen a new Service.
const newsPause = 20 * time.Millisecond

// PathAnswered receives the answer of another member to a question of this node. PathAnswered never blocks.
func (s *Speaker) PathAnswered(_ string, number uint32, there bool) {
	offer(s.mailbox.proofs, pathNews{number: number, there: there})
}

// PathAsked receives the question of another member: does a Service answer through that member? This node probes until
// the Service answers or the wait of the question is over. This node tells the member about an answer, and about each
// round without an answer. PathAsked never blocks.
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
		ctx, cancel := context.WithTimeout(s.life, min(q.Wait, ownership.RulesBound))
		defer cancel()
		s.prove(ctx, name, q, func(there bool) { pathPeers.AnswerPath(name, q.Number, there) })
	}()
}

// prove probes the path through a member until an answer comes, the member announces the address, or ctx ends. The first
// answer of all is of use after the announcement too.
func (s *Speaker) prove(ctx context.Context, name string, q membership.PathQuestion, tell func(there bool)) {
	began, pause := time.Now(), newsPause
	for {
		st := s.Status()
		question, service := s.mayProve(&st, name, q)
		heard := s.sightings.of(q.Service.Addr())
		if heard.At.After(began) && s.answering.Load() && st.view.Station(heard.MAC).Name == name {
			return
		}
		if service != nil {
			question.Options = provingOptions(ctx, time.Since(began))
			f, err := s.opt.Announcer.ProbePath(ctx, question)
			switch {
			case err == nil && answered(f):
				if s.Status().view.Station(layer2.MAC(f.By)).Name == name {
					s.answering.Store(true)
					tell(true)
				}
				return // another station answers for the member (direct server return): silence proves nothing
			case err == nil && lacksRules(f, service):
				tell(false)
			case err != nil && !errors.Is(err, layer2.ErrNotOurs) && !errors.Is(err, layer2.ErrPathRate):
				return
			}
		}
		if time.Since(began) > provingEagerly {
			pause = lateInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// mayProve returns the probe for a question of a member, and the Service. The Service is nil while this node has not
// seen that a Service has the address and the port, and for a station that is not the member: nobody makes this node
// send to another host.
func (s *Speaker) mayProve(st *Status, name string, q membership.PathQuestion) (layer2.PathQuestion, *cluster.Service) {
	p := placement.Find(st.Placements, q.Service.Addr())
	if p == nil || p.Reason != reason.Announced || st.view.Station(layer2.MAC(q.MAC)).Name != name {
		return layer2.PathQuestion{}, nil
	}
	for _, key := range p.Services {
		service := st.snapshot.Service(key)
		if service != nil && slices.Contains(service.TCPPorts, q.Service.Port()) {
			return layer2.PathQuestion{To: layer2.MAC(q.MAC), Service: q.Service, Interfaces: p.Interfaces}, service
		}
	}
	return layer2.PathQuestion{}, nil
}
