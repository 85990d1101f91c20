package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// addressConflict is the reason of the condition that tells of strangers, and of the Event when they come.
	addressConflict = "AddressConflict"
	// conflictOver is the reason of the Event when they are gone.
	conflictOver = "AddressConflictOver"
)

// namedStrangers is the number of MAC addresses in a message; further ones are counted.
const namedStrangers = 3

// conflict returns the condition and the record about the foreign hosts that answer for any of the assignments, nil when
// there are none.
func (d *decider) conflict(assignments []allocator.Assignment) (*cluster.Condition, []cluster.Conflict) {
	if len(d.strangers) == 0 {
		return nil, nil
	}
	var messages []string
	var conflicts []cluster.Conflict
	for _, a := range assignments {
		if macs := d.answering(a.Addr); len(macs) > 0 {
			messages = append(messages, conflictMessage(a.Addr, macs))
			macs = macs[:min(len(macs), cluster.MaxConflictMACs)]
			conflicts = append(conflicts, cluster.Conflict{Addr: a.Addr, MACs: macs})
		}
	}
	if len(messages) == 0 {
		return nil, nil
	}
	return &cluster.Condition{True: true, Reason: addressConflict, Message: strings.Join(messages, "; ")}, conflicts
}

// answering returns the MAC addresses of the strangers that answer for addr.
func (d *decider) answering(addr netip.Addr) []string {
	i, _ := slices.BinarySearchFunc(d.strangers, addr, func(s cluster.Stranger, a netip.Addr) int { return s.Addr.Compare(a) })
	var macs []string
	for ; i < len(d.strangers) && d.strangers[i].Addr == addr; i++ {
		macs = append(macs, d.strangers[i].MAC)
	}
	return macs
}

func conflictMessage(addr netip.Addr, macs []string) string {
	who, what := macs[0]+", which is no node's, answers", "that host"
	if len(macs) > 1 {
		names := strings.Join(macs[:min(len(macs), namedStrangers)], ", ")
		if more := len(macs) - namedStrangers; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		who, what = names+", which are no nodes', answer", "those hosts"
	}
	return fmt.Sprintf("%s for %s too: give %s another address, or leave %s out of the pool", who, addr, what, addr)
}

func sameCondition(was, is *cluster.Condition) bool {
	if was == nil || is == nil {
		return was == is
	}
	return was.True == is.True && was.Reason == is.Reason && was.Message == is.Message
}

// tellConflict appends the Event about a conflict that begins, changes or ends. Without a record the condition tells only
// whether there was a conflict.
func tellConflict(
	events []cluster.Event, svc *cluster.Service, is *cluster.Condition, hosts []cluster.Conflict,
) []cluster.Event {
	known := svc.Assignment != nil
	was := known && len(svc.Assignment.Conflicts) > 0 || !known && svc.Conflict != nil
	switch {
	case is == nil && !was:
		return events
	case is == nil:
		return append(events, event(svc, false, conflictOver, "nobody but the nodes answers for the Service's addresses"))
	case was && (!known || slices.EqualFunc(svc.Assignment.Conflicts, hosts, cluster.Conflict.Equal)):
		return events
	}
	return append(events, event(svc, true, addressConflict, is.Message))
}
