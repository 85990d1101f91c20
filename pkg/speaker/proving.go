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
	"github.com/lanlord/lanlord/pkg/pathprobe"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

const (
	// A round of a probe for another member asks provingRound questions. In the first second the questions are
	// proofInterval apart and a round takes provingWait, because the rules of most service proxies come within a second.
	// Afterwards the questions are lateInterval apart and a round takes lateWait.
	provingRound   = 6
	proofInterval  = 50 * time.Millisecond
	provingWait    = 400 * time.Millisecond
	lateInterval   = 200 * time.Millisecond
	lateWait       = 1200 * time.Millisecond
	provingEagerly = time.Second
	// comparing is the time for a probe of the path through the present owner of an address.
	comparing = 500 * time.Millisecond
	// newsPause is the pause before the next look whether this node has seen a new Service.
	newsPause = 20 * time.Millisecond
)

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

// prove probes the path through a member until an answer comes, the member announces the address, or ctx ends.
func (s *Speaker) prove(ctx context.Context, name string, q membership.PathQuestion, tell func(there bool)) {
	began, pause := time.Now(), newsPause
	for {
		st := s.Status()
		question, service := s.mayProve(&st, name, q)
		if heard := s.sightings.of(q.Service.Addr()); heard.At.After(began) && st.view.Station(heard.MAC).Name == name {
			return
		}
		if service != nil {
			question.Options = provingOptions(ctx, time.Since(began))
			f, err := s.opt.Announcer.ProbePath(ctx, question)
			switch {
			case err == nil && answered(f):
				if s.Status().view.Station(layer2.MAC(f.By)).Name == name {
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

// provingOptions returns the options of the next round of a probe that began some time ago.
func provingOptions(ctx context.Context, ago time.Duration) pathprobe.Options {
	o := pathprobe.Options{Questions: provingRound, Interval: proofInterval, Wait: provingWait, Certain: true}
	if ago > provingEagerly {
		o.Interval, o.Wait = lateInterval, lateWait
	}
	if until, ok := ctx.Deadline(); ok {
		o.Wait = max(min(o.Wait, time.Until(until)), time.Millisecond)
	}
	return o
}

// answered reports whether the packets of a probe have reached a Pod.
func answered(f layer2.PathFinding) bool {
	return f.Outcome == pathprobe.Open || f.Outcome == pathprobe.Refused
}

// lacksRules reports whether the station has no rules for the Service, as far as this node can tell: the station sends
// the packets back to the segment, or nothing comes. A rejection comes from a service proxy or a firewall.
func lacksRules(f layer2.PathFinding, service *cluster.Service) bool {
	switch f.Outcome {
	case pathprobe.Silent:
		return f.Redirected || admits(service, f.Source)
	case pathprobe.Unreachable:
		return f.HostUnreachable()
	}
	return false
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
