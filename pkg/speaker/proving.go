package speaker

import (
	"context"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// proofInterval is the time between two SYNs of a probe that waits for rules.
	proofInterval = 50 * time.Millisecond
	// newsPause is the pause before the next look whether this node has seen a new Service.
	newsPause = 20 * time.Millisecond
)

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
