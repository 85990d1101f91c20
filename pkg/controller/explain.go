package controller

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
)

// The reasons of Events on Services, beside those of the allocator, whose words are also the condition's.
const (
	// withdrawn is for an address that a Service has and may not keep.
	withdrawn = "Withdrawn"
	// released is for the addresses of a Service that is not of our kind any more.
	released = "Released"
)

// maxEvent is how much text an Event holds, in bytes.
const maxEvent = 1024

// appendMessage appends the message of the condition that goes with r.
func appendMessage(text []byte, r allocator.Result) []byte {
	if r.Refusal != nil {
		text = append(text, r.Refusal.Message...)
		if len(r.Assignments) > 0 {
			text = append(text, "; it keeps "...)
		}
	}
	for i, a := range r.Assignments {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = a.AppendTo(text)
	}
	if r.Remark != "" {
		text = append(append(text, "; "...), r.Remark...)
	}
	return text
}

// appendPools appends the names of the pools that the assignments are of, as the annotation has them: one name, or two
// with a comma between them.
func appendPools(text []byte, assignments []allocator.Assignment) []byte {
	for i, a := range assignments {
		if i > 0 && a.Pool == assignments[0].Pool {
			continue
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, a.Pool...)
	}
	return text
}

// events returns what is told of a change: each address that is lost, and then what the Service has now or why it has
// nothing. They follow from the status that was there before, so a mere resync, or a restart, tells nothing.
func events(c *claim, now *cluster.Condition, r allocator.Result) []cluster.Event {
	var told []cluster.Event
	tell := func(warning bool, reason, message string) {
		told = append(told, cluster.Event{
			Object: serviceRef(c.svc), Warning: warning, Reason: reason, Message: allocator.Shorten(message, maxEvent),
		})
	}
	has := func(addr netip.Addr) bool {
		return slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool { return a.Addr == addr })
	}
	for _, l := range c.lost {
		if !has(l.addr) {
			tell(!isOwnWish(l.why.Reason), withdrawn, withdrawnMessage(l, replacement(c.svc, r, l.addr)))
		}
	}
	gained := slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool {
		return !slices.Contains(c.svc.Ingress, a.Addr)
	})
	before := c.svc.Condition
	switch {
	case now.True && (gained || before != nil && !before.True):
		tell(false, now.Reason, now.Message)
	case !now.True && (before == nil || before.True || before.Reason != now.Reason ||
		before.Message != now.Message && r.Refusal.Reason.AboutRequest()):
		tell(true, now.Reason, now.Message)
	}
	return told
}

// isOwnWish is true when a Service loses an address because its own specification says so.
func isOwnWish(r allocator.Reason) bool {
	return r == allocator.NotRequested || r == allocator.FamilyMismatch || r == allocator.Surplus
}

// replacement returns the address that takes the place of lost, the zero Addr if none does.
func replacement(svc *cluster.Service, r allocator.Result, lost netip.Addr) netip.Addr {
	for _, a := range r.Assignments {
		if a.Addr.BitLen() == lost.BitLen() && !slices.Contains(svc.Ingress, a.Addr) {
			return a.Addr
		}
	}
	return netip.Addr{}
}

func withdrawnMessage(l loss, by netip.Addr) string {
	text := l.addr.String() + " is withdrawn: " + l.why.Message
	if by.IsValid() {
		return text + "; " + by.String() + " takes its place"
	}
	return text
}

// releaseEvents tells which addresses a Service has given back.
func releaseEvents(svc *cluster.Service) []cluster.Event {
	if len(svc.Ingress) == 0 {
		return nil
	}
	addrs := make([]string, len(svc.Ingress))
	for i, a := range svc.Ingress {
		addrs[i] = a.String()
	}
	return []cluster.Event{{
		Object: serviceRef(svc), Reason: released,
		Message: allocator.Shorten(strings.Join(addrs, ", ")+
			": the Service is no longer of type LoadBalancer with a cluster IP and this controller's class", maxEvent),
	}}
}

func serviceRef(svc *cluster.Service) cluster.ObjectRef {
	return cluster.ObjectRef{Kind: "Service", Namespace: svc.Key.Namespace, Name: svc.Key.Name, UID: svc.UID}
}
