package speaker

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/ownership"
)

// sightings are the last announcements of other hosts, by address. They are written as claims come in and read for the status, while the
// loop does other things.
type sightings struct {
	byAddr sync.Map // from netip.Addr to ownership.Sighting
	count  atomic.Int64
}

// note replaces the sighting of a. An answer of the host that was announced last leaves it announced.
func (s *sightings) note(a netip.Addr, x ownership.Sighting) {
	if last := s.of(a); !last.At.IsZero() && last.MAC == x.MAC {
		x.Answer = x.Answer && last.Answer
	}
	if _, known := s.byAddr.Swap(a, x); !known {
		s.count.Add(1)
	}
}

// of returns the last sighting of a; its time is zero if there is none.
func (s *sightings) of(a netip.Addr) ownership.Sighting {
	x, _ := s.byAddr.Load(a)
	last, _ := x.(ownership.Sighting)
	return last
}

// tidy forgets the addresses that no Service has any longer, once there are more of them than of the others.
func (s *sightings) tidy(of int, known func(netip.Addr) bool) {
	if s.count.Load() <= int64(2*of+64) {
		return
	}
	s.byAddr.Range(func(a, _ any) bool {
		if !known(a.(netip.Addr)) {
			s.byAddr.Delete(a)
			s.count.Add(-1)
		}
		return true
	})
}
