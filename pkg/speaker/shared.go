package speaker

import (
	"net/netip"
	"slices"

	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/peers"
)

// sharedInputs are the inputs of ownership.Address.Step that all addresses share, as the last review had these inputs.
// LastDefense is missing: that input counts only for an address with an unanswered claim, and such an address is open.
type sharedInputs struct {
	self     ownership.Self
	failback ownership.Failback
	kernel   []netip.Addr
	peers    *peers.View
}

// follow stores the inputs for a review, and reports whether an input has changed.
func (s *sharedInputs) follow(self *self, view *peers.View) (changed bool) {
	before := *s
	*s = sharedInputs{self.facts(), self.failback(), self.kernel, view}
	return s.self != before.self || s.failback != before.failback || !slices.Equal(s.kernel, before.kernel) ||
		!s.peers.Equal(before.peers)
}
