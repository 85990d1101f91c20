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

// namedStrangers is how many MAC addresses a message names before it counts the others.
const namedStrangers = 3

// conflict returns the condition of a Service that has the assignments, nil when no stranger answers for any of them.
func (d *decider) conflict(assignments []allocator.Assignment) *cluster.Condition {
	if len(d.strangers) == 0 {
		return nil
	}
	var messages []string
	for _, a := range assignments {
		if macs := d.answering(a.Addr); len(macs) > 0 {
			messages = append(messages, conflictMessage(a.Addr, macs))
		}
	}
	if len(messages) == 0 {
		return nil
	}
	return &cluster.Condition{True: true, Reason: addressConflict, Message: strings.Join(messages, "; ")}
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

func sameConflict(was, is *cluster.Condition) bool {
	if was == nil || is == nil {
		return was == is
	}
	return was.True == is.True && was.Reason == is.Reason && was.Message == is.Message
}

// tellConflict adds to events what is told when a conflict begins, changes or ends.
func tellConflict(events []cluster.Event, svc *cluster.Service, is *cluster.Condition) []cluster.Event {
	switch {
	case sameConflict(svc.Conflict, is):
		return events
	case is != nil:
		return append(events, event(svc, true, addressConflict, is.Message))
	default:
		return append(events, event(svc, false, conflictOver, "nobody but the nodes answers for the Service's addresses"))
	}
}
