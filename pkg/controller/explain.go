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
	// withdrawing is for an address that a Service has and may not keep, before it loses it, withdrawn for when it has.
	withdrawing = "Withdrawing"
	withdrawn   = "Withdrawn"
	// released is for the addresses of a Service that is not of our kind any more.
	released = "Released"
	// preferenceIgnored is for a preferred node that there cannot be.
	preferenceIgnored = "PreferenceIgnored"
)

// maxEvent is how much text an Event holds, in bytes.
const maxEvent = 1024

// appendMessage appends the message of the condition of svc that goes with r.
func appendMessage(text []byte, svc *cluster.Service, r allocator.Result) []byte {
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

// vouches is true when the condition of svc tells that it has addr, and of all by which it shares the address now.
func (d *decider) vouches(svc *cluster.Service, addr netip.Addr) bool {
	if !d.tellsOf(svc, addr) {
		return false
	}
	if svc.SharingKey == "" {
		return true
	}
	d.text = allocator.AppendSharing(d.text[:0], svc)
	return mentions(svc.Condition.Message, d.text)
}

// tellsOf is true when the condition of svc tells that it has addr.
func (d *decider) tellsOf(svc *cluster.Service, addr netip.Addr) bool {
	if svc.Condition == nil {
		return false
	}
	d.text = append(addr.AppendTo(d.text[:0]), " from pool "...)
	return mentions(svc.Condition.Message, d.text)
}

// mentions is true when text stands in the message, at its beginning or after a blank.
func mentions(message string, text []byte) bool {
	for i := 0; i+len(text) <= len(message); i++ {
		if (i == 0 || message[i-1] == ' ') && message[i:i+len(text)] == string(text) {
			return true
		}
	}
	return false
}

// pools returns the names of the pools that the assignments are of, as the annotation has them: one name, or two with a
// comma between them.
func pools(assignments []allocator.Assignment) string {
	switch {
	case len(assignments) == 0:
		return ""
	case len(assignments) == 1 || assignments[0].Pool == assignments[1].Pool:
		return assignments[0].Pool
	}
	return assignments[0].Pool + "," + assignments[1].Pool
}

// isFrom is true when the annotation is what pools returns.
func isFrom(annotation string, assignments []allocator.Assignment) bool {
	if len(assignments) < 2 || assignments[0].Pool == assignments[1].Pool {
		return annotation == pools(assignments)
	}
	first, second, ok := strings.Cut(annotation, assignments[0].Pool+",")
	return ok && first == "" && second == assignments[1].Pool
}

// tell returns what is told of a change. Before it: each address that is going to be lost, unless the Service itself has
// asked for that. After it: each address that was lost, and then what the Service has now or why it has nothing. All
// follows from the status that was there before, so a mere resync, or a restart, tells nothing.
func (d *decider) tell(c *claim, now *cluster.Condition, r allocator.Result) (before, after []cluster.Event) {
	for _, l := range c.lost {
		if slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool { return a.Addr == l.addr }) {
			continue
		}
		by, warning := replacement(c.svc, r, l.addr), !isOwnWish(l.why.Reason)
		if warning {
			before = append(before, event(c.svc, true, withdrawing, lossMessage(l, "is about to be withdrawn", by, "is to take its place")))
		}
		after = append(after, event(c.svc, warning, withdrawn, lossMessage(l, "is withdrawn", by, "takes its place")))
	}
	was := c.svc.Condition
	var news bool
	if now.True {
		news = was != nil && !was.True || slices.ContainsFunc(r.Assignments, func(a allocator.Assignment) bool {
			return !slices.Contains(c.svc.Ingress, a.Addr)
		})
	} else {
		news = was == nil || was.True || was.Reason != now.Reason || was.Message != now.Message && r.Refusal.Reason.AboutRequest()
	}
	if news {
		if after == nil {
			after = d.events.take(1)[:0]
		}
		after = append(after, event(c.svc, !now.True, now.Reason, now.Message))
	}
	if problem := c.svc.PreferNodeProblem; problem != "" && (was == nil || !strings.Contains(was.Message, problem)) {
		after = append(after, event(c.svc, true, preferenceIgnored, problem))
	}
	return before, after
}

func event(svc *cluster.Service, warning bool, reason, message string) cluster.Event {
	return cluster.Event{Object: serviceRef(svc), Warning: warning, Reason: reason, Message: allocator.Shorten(message, maxEvent)}
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

func lossMessage(l loss, what string, by netip.Addr, then string) string {
	text := l.addr.String() + " " + what + ": " + l.why.Message
	if by.IsValid() {
		return text + "; " + by.String() + " " + then
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
