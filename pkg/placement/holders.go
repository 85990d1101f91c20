package placement

import (
	"fmt"
	"iter"
	"slices"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// Announceable yields the Services with addresses for Lanlord's speakers: first the Services with a status that Lanlord
// wrote, then the Services of other controllers with a load-balancer class of announce-classes.
func Announceable(snap *cluster.Snapshot) iter.Seq[*cluster.Service] {
	return func(yield func(*cluster.Service) bool) {
		for _, s := range snap.Services {
			if isAnnounceable(s) && !yield(s) {
				return
			}
		}
		for _, s := range snap.AnnounceOnly() {
			if !yield(s) {
				return
			}
		}
	}
}

// isAnnounceable reports whether Lanlord wrote the status of a Service.
func isAnnounceable(s *cluster.Service) bool { return s.Managed && s.AllocatedFrom != "" }

// Holders returns the Services that decide on an address which all of the given Services have, in their order. If Lanlord
// gave the address to some of the Services, these alone decide: a Service of another controller cannot change where an
// address of Lanlord's is announced.
func Holders(services []*cluster.Service) []*cluster.Service {
	managed := func(s *cluster.Service) bool { return s.Managed }
	if !slices.ContainsFunc(services, managed) {
		return services
	}
	return slices.DeleteFunc(slices.Clone(services), func(s *cluster.Service) bool { return !managed(s) })
}

// OwnAddressText says in a sentence why no speaker announces an address of node.
func OwnAddressText(node *cluster.Node) string {
	return fmt.Sprintf("the address is that of node %s, whose kernel answers for it; no other node takes over "+
		"(allow-node-addresses)", node.Name)
}
