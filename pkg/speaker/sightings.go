package speaker

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
)

// sighting is which station was heard to have an address, and when.
type sighting struct {
	mac layer2.MAC
	at  time.Time
}

// sightings are who was heard last to have each address that this node does not answer for. They are written as claims come in and
// read when somebody asks for the status, neither of which the loop waits for.
type sightings struct {
	byAddr sync.Map // from netip.Addr to sighting
	count  atomic.Int64
}

func (s *sightings) note(c layer2.Claim, now time.Time) {
	if _, known := s.byAddr.Swap(c.Addr, sighting{c.MAC, now}); !known {
		s.count.Add(1)
	}
}

// of returns the last one for addr; its time is zero if there is none.
func (s *sightings) of(addr netip.Addr) sighting {
	x, _ := s.byAddr.Load(addr)
	last, _ := x.(sighting)
	return last
}

// tidy forgets those of addresses that no Service has any more, once there are as many of them as may be of use.
func (s *sightings) tidy(of int, known func(netip.Addr) bool) {
	if s.count.Load() <= int64(2*of+64) {
		return
	}
	s.byAddr.Range(func(addr, _ any) bool {
		if !known(addr.(netip.Addr)) {
			s.byAddr.Delete(addr)
			s.count.Add(-1)
		}
		return true
	})
}
