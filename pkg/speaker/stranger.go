package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
)

const (
	// strangerMemory is how long after its last claim a stranger is told of.
	strangerMemory = time.Minute
	// quarantineLook is how often an address in quarantine is asked for, to see whether it has become free.
	quarantineLook = 30 * time.Second
	// mostStrangers is how many are told of, and asked for.
	mostStrangers = 256
)

// stranger is a host that is no node and has an address of a Service.
type stranger struct {
	mac  layer2.MAC
	last time.Time
	// quarantine is true when the address was new: nobody is to have it as long as the stranger has it.
	quarantine bool
	// look asks whether the stranger is still there, while no decision is about the address.
	look *pursuit
}

// due returns when there is something to do about the stranger.
func (x *stranger) due() time.Time {
	switch {
	case !x.quarantine:
		return x.last.Add(strangerMemory)
	case x.look.asking:
		return time.Time{}
	}
	return x.look.next
}

// noteStranger remembers that a station which is no node claims or answers for an address.
func (s *Speaker) noteStranger(a netip.Addr, mac layer2.MAC, now time.Time) *stranger {
	x := s.strangers[a]
	if x == nil {
		x = &stranger{look: &pursuit{addr: a, next: now.Add(quarantineLook)}}
		if len(s.strangers) < mostStrangers {
			s.strangers[a] = x
		}
	}
	if x.mac != mac {
		x.mac = mac
		s.Log.Warn("another host has an address of a Service", "ip", a, "mac", mac)
		who := fmt.Sprintf("the host with the MAC address %s, which is no node, answers for", mac)
		const do = ": give that host another address, or take "
		s.news.add(piece{
			story: story{reason: conflictReason, warning: true, why: mac.String()}, addr: a,
			message: fmt.Sprintf("%s %s%sthis one out of the pool with exclude", who, a, do),
			head:    who, rest: do + "these out of the pool with exclude", of: s.decision(a),
		}, now)
	}
	x.last = now
	return x
}

// facesStranger is what judge does when a station that is no node answers: a new address is left to it, and the controller gives
// another one; one that Services had before is taken after a while and defended.
func (s *Speaker) facesStranger(d *Decision, p *pursuit, mac layer2.MAC, now time.Time) (take bool) {
	s.metrics.conflicts[conflictStranger].Inc()
	if p.strange.IsZero() {
		p.strange = now
	}
	x := s.noteStranger(d.Addr, mac, now)
	since := s.since[d.Addr]
	if !since.IsZero() && p.strange.Sub(since) < freshness {
		x.quarantine = true
	}
	p.next = now.Add(lastLook)
	return !x.quarantine && now.Sub(p.strange) >= strangerBound
}

// recheckStrangers forgets those that are gone.
func (s *Speaker) recheckStrangers(now time.Time) {
	for a, x := range s.strangers {
		switch {
		case s.pursued[a] != nil || x.look.asking:
		case !x.quarantine:
			if !now.Before(x.last.Add(strangerMemory)) {
				delete(s.strangers, a)
			}
		case x.look.finding != nil:
			if x.look.finding.Outcome == layer2.Taken {
				x.last = now
				x.look.finding, x.look.next = nil, now.Add(quarantineLook)
				continue
			}
			delete(s.strangers, a) // it is silent, or out of all pools, so that it cannot be asked for
			s.Log.Info("address is free again", "ip", a)
		case !x.look.next.After(now):
			s.ask(x.look, nil)
		}
	}
}

func (s *Speaker) listStrangers() []cluster.Stranger {
	var list []cluster.Stranger
	for a, x := range s.strangers {
		list = append(list, cluster.Stranger{Addr: a, MAC: x.mac.String(), Quarantine: x.quarantine})
	}
	slices.SortFunc(list, func(x, y cluster.Stranger) int { return x.Addr.Compare(y.Addr) })
	return list
}
