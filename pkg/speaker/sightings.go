package speaker

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/ownership"
)

// sightings stores the last announcement of another host for each address. Heard writes an entry for each claim, and
// the status reads the entries, while the loop is busy.
type sightings struct {
	byAddr sync.Map // from netip.Addr to ownership.Sighting
	count  atomic.Int64
}

// note records that a host has the address. A host that has announced the address once counts as its announcer until
// this node hears another host.
func (s *sightings) note(a netip.Addr, x ownership.Sighting) {
	if last := s.of(a); last.MAC == x.MAC {
		x.Unasked = x.Unasked || last.Unasked
	}
	if _, known := s.byAddr.Swap(a, x); !known {
		s.count.Add(1)
	}
}

// of returns the last sighting of a; the time is zero if none exists.
func (s *sightings) of(a netip.Addr) ownership.Sighting {
	x, _ := s.byAddr.Load(a)
	last, _ := x.(ownership.Sighting)
	return last
}

// tidy forgets addresses without a Service, once they outnumber the addresses with a Service.
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
