package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/reason"
)

// announceOnlyReason is the reason of a Service whose addresses Lanlord announces but did not assign.
const announceOnlyReason = "AnnounceOnly"

// announceHint tells users of other controllers about announce-classes.
const announceHint = "if another controller gives the address, list the class under announce-classes"

// stateNodeAddress is the word of reason.NodeAddress.
const stateNodeAddress = "NodeAddress"

// isWell reports whether clients can reach an address in this state.
func isWell(state string) bool { return state == stateAnnounced || state == stateNodeAddress }

// announces reports whether Lanlord announces the addresses that another controller assigns to Services of the class.
func (c *Cluster) announces(class string) bool {
	return class != c.Class && c.Config.Config != nil && c.Config.Config.Announces(class)
}

// announceOnly returns the Services that get their addresses from other controllers and that Lanlord announces.
func (c *Cluster) announceOnly() (list []*cluster.Service) {
	for i := range c.Foreign {
		if f := &c.Foreign[i]; c.announces(f.Class) {
			list = append(list, &f.Service)
		}
	}
	return list
}

// usesExcluded reports whether some pool lets nodes with the exclude label announce.
func (c *Cluster) usesExcluded() bool {
	return c.Config.Config != nil && slices.ContainsFunc(c.Config.Config.Pools, func(p config.Pool) bool {
		return p.Layer2 && p.UseExcluded.Layer2 || p.BGP && p.UseExcluded.BGP
	})
}

// excludedAnnounce reports whether nodes with the exclude label may answer for every given address.
func (c *Cluster) excludedAnnounce(addrs []netip.Addr) bool {
	return c.Config.Config != nil && !slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		p := c.Config.Config.PoolOf(a)
		return p == nil || p.Layer2 && !p.UseExcluded.Layer2
	})
}

// whyAnnounceOnly explains a Service of a class in announce-classes.
func whyAnnounceOnly(c *Cluster, key cluster.Key, class string) Explanation {
	e := Explanation{
		Service: key.String(), Reason: announceOnlyReason, Addresses: []AddressRow{}, at: c.At,
		NotKnown: c.gaps(OfServices, OfConfig, OfProcesses),
	}
	i := slices.IndexFunc(c.Foreign, func(f ForeignService) bool { return f.Key == key })
	if i < 0 {
		e.Message = "it was not among the Services a moment ago"
		return e
	}
	s, v := &c.Foreign[i].Service, newView(c)
	e.Requests = requests(s)
	e.Message = fmt.Sprintf("%s gives the addresses; Lanlord announces them, and writes nothing to the Service "+
		"(announce-classes)", controllerOf(class))
	if len(s.Ingress) == 0 {
		e.Message = fmt.Sprintf("%s has given no address yet; Lanlord announces the addresses in the status (announce-classes)",
			controllerOf(class))
		e.Mend = "see what that controller says of the Service"
		return e
	}
	e.Well = true
	for _, a := range s.Ingress {
		row := v.address(a, s)
		switch {
		case row.Pool == "":
			row.State, row.Detail = reason.NotInPool.String(), "no pool contains the address, so Lanlord does not announce it"
			e.fail(row, "add the address to a pool, best to one with auto-assign: false")
		case len(c.Holders(a)) > 0:
			row.State, row.Detail = reason.AddressInUse.String(), fmt.Sprintf("Lanlord gave the address to %s, and announces it "+
				"for that alone", holdersText(c.Holders(a)))
			row.SharedWith = nil
			e.fail(row, "give one of the Services another address")
		case !isWell(row.State):
			e.fail(row, or(exclusionFixes(v.facts(a).exclusions), mendOf(row.State)))
		}
		e.Addresses = append(e.Addresses, row)
	}
	return e
}

// fail makes the problem of the first failed address the result of the explanation. mend explains the fix.
func (e *Explanation) fail(row AddressRow, mend string) {
	if e.Well {
		e.Well, e.Reason, e.Message, e.Mend = false, row.State, fmt.Sprintf("%s: %s", row.Address, row.Detail), mend
	}
}

func controllerOf(class string) string {
	if class == "" {
		return "another controller"
	}
	return fmt.Sprintf("the controller of the load-balancer class %q", class)
}

func holdersText(keys []cluster.Key) string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.String()
	}
	return strings.Join(texts, ", ")
}
