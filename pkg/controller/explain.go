package controller

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/allocator"
	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// The reasons of Events on Services. Events also use the reasons in reason.Assignment, as the conditions do.
const (
	// withdrawing is the reason of the Event before a Service loses an address, withdrawn of the Event after the loss.
	withdrawing = "Withdrawing"
	withdrawn   = "Withdrawn"
	// released is the reason of the Event about the addresses of a Service that Lanlord no longer manages.
	released = "Released"
	// annotationIgnored is the reason of the Event about annotations without effect: an invalid preferred node, or a
	// misspelt name.
	annotationIgnored = "AnnotationIgnored"
)

// maxEvent is the maximum size of the text of an Event, in bytes.
const maxEvent = 1024

// appendMessage appends the message of the condition of svc for the result r.
func appendMessage(text []byte, svc *cluster.Service, r allocator.Result, stays staying) []byte {
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
	if stays.text != "" {
		text = append(append(text, "; "...), stays.text...)
	}
	if len(r.Assignments) > 0 && svc.SharingKey != "" {
		text = allocator.AppendSharing(append(text, "; "...), svc)
	}
	if r.Remark != "" {
		text = append(append(text, "; "...), r.Remark...)
	}
	if svc.PreferNodeProblem != "" {
		text = append(append(text, "; "...), svc.PreferNodeProblem...)
	}
	return text
}

// pools returns the names of the pools of the assignments in the format of the annotation: one name, or two names
// separated by a comma.
func pools(assignments []allocator.Assignment) string {
	switch {
	case len(assignments) == 0:
		return ""
	case len(assignments) == 1 || assignments[0].Pool == assignments[1].Pool:
		return assignments[0].Pool
	}
	return assignments[0].Pool + "," + assignments[1].Pool
}

// isFrom reports whether annotation equals the result of pools. isFrom allocates nothing.
func isFrom(annotation string, assignments []allocator.Assignment) bool {
	if len(assignments) < 2 || assignments[0].Pool == assignments[1].Pool {
		return annotation == pools(assignments)
	}
	first, second := assignments[0].Pool, assignments[1].Pool
	return len(annotation) == len(first)+1+len(second) && annotation[:len(first)] == first &&
		annotation[len(first)] == ',' && annotation[len(first)+1:] == second
}

// tell returns the Events about a change. The Events in before announce each address that the Service is going to lose,
// unless the Service itself caused the loss. The Events in after report each lost address, and then the new addresses
// of the Service or the reason why the Service has none. tell derives all Events from the old status and the old
// record, so a resync or a restart sends no Event.
func (d *decider) tell(c *claim, now *cluster.Condition, r allocator.Result) (before, after []cluster.Event) {
	for _, l := range c.lost {
		if slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool { return a.Addr == l.addr }) {
			continue
		}
		by, warning := replacement(c.svc, r, l.addr), !isOwnWish(l.why.Reason)
		if warning {
			e := event(c.svc, true, withdrawing, lossMessage(l, "is about to be withdrawn", by, "is to take its place"))
			e.Addr = l.addr
			before = append(before, e)
		}
		after = append(after, event(c.svc, warning, withdrawn, lossMessage(l, "is withdrawn", by, "takes its place")))
	}
	var news bool
	if r.Refusal != nil {
		news = !wasTold(c.svc, r.Refusal)
	} else {
		news = lacked(c.svc) || slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool {
			return !slices.Contains(c.svc.Ingress, a.Addr)
		})
	}
	if news {
		if after == nil {
			after = d.events.take(1)[:0]
		}
		after = append(after, event(c.svc, !now.True, now.Reason, now.Message))
	}
	if problem := c.svc.PreferNodeProblem; problem != "" && !wasToldOfNode(c.svc) {
		after = append(after, event(c.svc, true, annotationIgnored, problem))
	}
	return before, after
}

func event(svc *cluster.Service, warning bool, reason, message string) cluster.Event {
	return cluster.Event{Object: serviceRef(svc), Warning: warning, Reason: reason, Message: allocator.Shorten(message, maxEvent)}
}

// isOwnWish reports whether a Service loses an address because of its own specification.
func isOwnWish(r reason.Assignment) bool {
	return r == reason.NotRequested || r == reason.FamilyMismatch || r == reason.Surplus
}

// replacement returns the address that replaces lost, or the zero Addr if no address does.
func replacement(svc *cluster.Service, r allocator.Result, lost netip.Addr) netip.Addr {
	for _, a := range r.Assignments {
		if a.Addr.BitLen() == lost.BitLen() && !slices.Contains(svc.Ingress, a.Addr) {
			return a.Addr
		}
	}
	return netip.Addr{}
}

func lossMessage(l loss, what string, by netip.Addr, then string) string {
	text := l.addr.String() + " " + what + ": " + l.why.Message
	if by.IsValid() {
		return text + "; " + by.String() + " " + then
	}
	return text
}

// listed returns the addresses, separated by commas.
func listed(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

// releaseEvents returns the Event about the addresses that a Service has given back.
func releaseEvents(svc *cluster.Service) []cluster.Event {
	if len(svc.Ingress) == 0 {
		return nil
	}
	return []cluster.Event{{
		Object: serviceRef(svc), Reason: released,
		Message: allocator.Shorten(listed(svc.Ingress)+
			": the Service is no longer of type LoadBalancer with a cluster IP and this controller's class", maxEvent),
	}}
}

func serviceRef(svc *cluster.Service) cluster.ObjectRef {
	return cluster.ObjectRef{Kind: "Service", Namespace: svc.Key.Namespace, Name: svc.Key.Name, UID: svc.UID}
}
