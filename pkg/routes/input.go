package routes

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/reason"
)

// Input holds all inputs of a decision.
type Input struct {
	// Snapshot is the cluster. Decide does not change the parts of the snapshot, but the Table shares some of them.
	Snapshot cluster.Snapshot
	// Ready lists the members able to answer now, in any order.
	Ready []membership.Member
	// Self is the name of this node.
	Self string
	// Pending reports whether the service proxy of this node may lack the rules of a new address or a new endpoint. Such
	// an address is not announced. A nil function means that the service proxy has all rules.
	Pending func(netip.Addr) bool
	// Draining means that this node shuts down, because the process stops or the node may not serve any longer. The node
	// then announces its routes as the last choice, also with an exclusion for which Drains is true.
	Draining bool
}

// Drains reports whether a node with this exclusion shuts its routes down before the withdrawal. A node with any other
// exclusion cannot forward, so the node withdraws its routes at once.
func Drains(why reason.Exclusion) bool {
	switch why {
	case reason.NotANode, reason.Deleting, reason.OutOfService, reason.ExcludedByLabel, reason.Cordoned:
		return true
	}
	return false
}

// mayAnnounce reports whether a node with this exclusion announces routes. The speaker of a node that stops is no
// longer ready, and goes on until the drain time is over.
func (in *Input) mayAnnounce(why reason.Exclusion) bool {
	return why == reason.Eligible || in.Draining && (Drains(why) || why == reason.NoSpeaker)
}

// fits reports whether one of the selectors matches the labels, or there are no selectors.
func fits(selectors []labels.Selector, has labels.Set) bool {
	return len(selectors) == 0 || slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(has) })
}
