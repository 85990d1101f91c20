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
	// addressConflict is the reason of the condition about foreign hosts and claims, and of the Event when a conflict
	// begins or changes.
	addressConflict = "AddressConflict"
	// conflictOver is the reason of the Event when the conflict ends.
	conflictOver = "AddressConflictOver"
)

// namedStrangers is the number of MAC addresses, or of claims, that a message names; the message counts the others.
const namedStrangers = 3

// conflict returns the condition and the record about the foreign hosts that answer for any of the assignments, and
// about the objects that claim one of the addresses. Both are nil if there is no conflict.
func (d *decider) conflict(assignments []allocator.Assignment) (*cluster.Condition, []cluster.Conflict) {
	if len(d.strangers) == 0 && len(d.claims) == 0 {
		return nil, nil
	}
	var messages []string
	var conflicts []cluster.Conflict
	for _, a := range assignments {
		macs, claims := d.answering(a.Addr), d.claiming(a.Addr)
		if len(macs) > 0 {
			messages = append(messages, conflictMessage(a.Addr, macs))
		}
		if len(claims) > 0 {
			messages = append(messages, claimMessage(a.Addr, claims))
		}
		if len(macs)+len(claims) > 0 {
			macs = macs[:min(len(macs), cluster.MaxConflictMACs)]
			claims = claims[:min(len(claims), cluster.MaxConflictMACs)]
			conflicts = append(conflicts, cluster.Conflict{Addr: a.Addr, MACs: macs, Claims: claims})
		}
	}
	if len(messages) == 0 {
		return nil, nil
	}
	return &cluster.Condition{True: true, Reason: addressConflict, Message: strings.Join(messages, "; ")}, conflicts
}

// answering returns the MAC addresses of the foreign hosts that answer for addr.
func (d *decider) answering(addr netip.Addr) []string {
	i, _ := slices.BinarySearchFunc(d.strangers, addr, func(s cluster.Stranger, a netip.Addr) int { return s.Addr.Compare(a) })
	var macs []string
	for ; i < len(d.strangers) && d.strangers[i].Addr == addr; i++ {
		macs = append(macs, d.strangers[i].MAC)
	}
	return macs
}

// claiming describes how other objects use addr, which a Service of Lanlord has. claiming leaves out the claims of
// other Services of Lanlord, because the conditions of these Services report them, and the claims of Gateways, because
// a Gateway shows the address of its Service.
func (d *decider) claiming(addr netip.Addr) []string {
	i, _ := slices.BinarySearchFunc(d.claims, addr, func(c cluster.Claim, a netip.Addr) int { return c.Addr.Compare(a) })
	var texts []string
	for ; i < len(d.claims) && d.claims[i].Addr == addr; i++ {
		if c := &d.claims[i]; !c.Managed && c.By != cluster.ClaimedByGateway {
			texts = append(texts, cluster.Recorded(d.claims[i].Text()))
		}
	}
	return texts
}

func claimMessage(addr netip.Addr, claims []string) string {
	text := strings.Join(claims[:min(len(claims), namedStrangers)], " and ")
	switch more := len(claims) - namedStrangers; {
	case more == 1:
		text += " and 1 more object has it"
	case more > 1:
		text += fmt.Sprintf(" and %d more objects have it", more)
	}
	return fmt.Sprintf("%s %s; this Service keeps %s: remove it there, or let this Service request another address", addr, text, addr)
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

// overMessage returns the text of the Event about the end of a conflict.
func overMessage(svc *cluster.Service) string {
	if svc.Assignment != nil && !slices.ContainsFunc(svc.Assignment.Conflicts, func(c cluster.Conflict) bool { return len(c.MACs) > 0 }) {
		return "no other object has the Service's addresses any longer"
	}
	return "nobody but the nodes answers for the Service's addresses"
}

// tellConflict appends the Event about a conflict that begins, changes or ends. For a Service without a record, the
// condition shows only whether there was a conflict.
func tellConflict(
	events []cluster.Event, svc *cluster.Service, is *cluster.Condition, hosts []cluster.Conflict,
) []cluster.Event {
	known := svc.Assignment != nil
	was := known && len(svc.Assignment.Conflicts) > 0 || !known && svc.Conflict != nil
	switch {
	case is == nil && !was:
		return events
	case is == nil:
		return append(events, event(svc, false, conflictOver, overMessage(svc)))
	case was && (!known || slices.EqualFunc(svc.Assignment.Conflicts, hosts, cluster.Conflict.Equal)):
		return events
	}
	return append(events, event(svc, true, addressConflict, is.Message))
}
