package inspect

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// Explanation explains the state of a Service.
type Explanation struct {
	Service string `json:"service"`
	// Well is true when the Service has all required addresses and the addresses are announced.
	Well bool `json:"well"`
	// Reason is the word of the Service's condition, or of the state of an address that is not announced.
	Reason string `json:"reason"`
	// Message explains the reason in a sentence.
	Message string `json:"message"`
	// Mend explains the fix; empty if no fix is needed.
	Mend string `json:"mend,omitempty"`
	// Requests lists the requests of the Service as text.
	Requests  []string     `json:"requests,omitempty"`
	Addresses []AddressRow `json:"addresses"`
	Events    []Event      `json:"events,omitempty"`
	NotKnown  []Gap        `json:"notKnown,omitempty"`

	at time.Time
}

// Event is an Event about a Service.
type Event struct {
	Last    time.Time `json:"last"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	From    string    `json:"from,omitempty"`
	Message string    `json:"message"`
}

// mostEvents is the maximum number of Events in an explanation; the newest Events count.
const mostEvents = 10

// Why explains a Service that Lanlord manages. The Service must exist in the Cluster.
func Why(c *Cluster, key cluster.Key, events []Event) Explanation {
	v := newView(c)
	s := c.Service(key)
	row := v.service(s)
	e := Explanation{
		Service: key.String(), Reason: row.Reason, Message: row.Message, Well: row.Assigned,
		Requests: requests(s), Addresses: row.Addresses, NotKnown: c.gaps(OfServices, OfConfig, OfProcesses, OfEvents), at: c.At,
	}
	switch {
	case row.Reason == "":
		e.Reason = reasonUndecided
		e.Message = undecided + colonOr(c.controllerTrouble())
		e.Mend = "kubectl lanlord doctor tells whether the controller works"
	case !row.Assigned:
		e.Mend = serviceFix(s)
		if problem := c.configProblem(); problem != "" && c.Config.Known {
			e.Message += ". " + problem
			e.Mend = "mend the configuration; kubectl lanlord check -f FILE checks a file"
		}
	default:
		for _, a := range row.Addresses {
			if isWell(a.State) {
				continue
			}
			e.Well, e.Reason, e.Message = false, a.State, fmt.Sprintf("%s: %s", a.Address, a.Detail)
			e.Mend = or(exclusionFixes(v.facts(a.Address).exclusions), mendOf(a.State))
			if a.Routing != nil {
				e.Mend = or(a.Routing.fix(a.State), e.Mend)
			}
			break
		}
	}
	e.enterProbes(v)
	slices.SortStableFunc(events, func(x, y Event) int { return y.Last.Compare(x.Last) })
	e.Events = events[:min(len(events), mostEvents)]
	return e
}

// apiServer is the Service that the API server keeps for itself.
var apiServer = cluster.Key{Namespace: "default", Name: "kubernetes"}

// WhyNot explains why Lanlord does not manage a Service. kind is the spec.type of the Service.
func WhyNot(c *Cluster, key cluster.Key, kind, class string) Explanation {
	e := Explanation{Service: key.String(), Addresses: []AddressRow{}, at: c.At, Reason: "NotManaged"}
	switch {
	case key == apiServer:
		e.Message = "it is the Service of the API server itself, which sets its type " + kind +
			"; only Services of type LoadBalancer get addresses"
	case kind != "LoadBalancer" && key.Namespace == c.Namespace:
		e.Message = fmt.Sprintf("it is of type %s, and belongs to Lanlord; only Services of type LoadBalancer get addresses", kind)
	case kind != "LoadBalancer":
		e.Message = fmt.Sprintf("it is of type %s; only Services of type LoadBalancer get addresses", kind)
		e.Mend = "if everybody who reaches the addresses of the pools may reach this Service: give it spec.type LoadBalancer"
		if c.Class != "" {
			e.Mend += " and spec.loadBalancerClass " + c.Class
		}
	case class != c.Class && c.announces(class):
		return whyAnnounceOnly(c, key, class)
	case class != c.Class && c.Class == "":
		e.Message = fmt.Sprintf("its spec.loadBalancerClass is %q, and Lanlord serves Services without a class", class)
		e.Mend = "make it again without the class, which cannot be changed, or give Lanlord that class (--load-balancer-class); " +
			announceHint
	case class != c.Class:
		e.Message = fmt.Sprintf("its spec.loadBalancerClass is %q, and Lanlord serves the class %q", class, c.Class)
		e.Mend = "make it again with that class, which cannot be changed; " + announceHint
	default:
		e.Message = "it has no cluster IP, so nothing could be reached at an address"
	}
	return e
}

func colonOr(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// statesText names the nodes on which the address is in another state than Owner or Standby.
func (a *AddressRow) statesText() string {
	text := ""
	for _, node := range slices.Sorted(keysOf(a.SpeakerStates)) {
		if state := a.SpeakerStates[node]; state != status.StateOwner {
			text += fmt.Sprintf("; %s is in state %s", node, state)
		}
	}
	return text
}

// requests lists the requests of a Service as text.
func requests(s *cluster.Service) (list []string) {
	for _, a := range s.Requested {
		list = append(list, "the address "+a.String())
	}
	for _, a := range s.ExternalIPs {
		list = append(list, fmt.Sprintf("the address %s by spec.externalIPs, if a pool contains it", a))
	}
	if s.RequestedPool != "" {
		list = append(list, fmt.Sprintf("an address of the pool %q", s.RequestedPool))
	}
	if s.PreferNode != "" {
		list = append(list, "to be announced by the node "+s.PreferNode)
	}
	switch s.AnnounceFrom {
	case cluster.FromEndpoints:
		list = append(list, "to be announced by a node with a ready endpoint, if there is one")
	case cluster.FromAny:
		list = append(list, "to be announced by any node, with or without an endpoint")
	}
	if s.SharingKey != "" {
		list = append(list, fmt.Sprintf("to share with Services of the key %q", s.SharingKey))
	}
	for _, problem := range []string{s.RequestProblem, s.PreferNodeProblem} {
		if problem != "" {
			list = append(list, problem)
		}
	}
	return list
}

// Known reports whether the state of the Service could be determined.
func (e Explanation) Known() bool { return e.Reason != stateUnknown }

// WriteText writes the explanation for people.
func (e Explanation) WriteText(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", e.Service, e.Reason)
	fmt.Fprintf(&b, "  %s\n", sentence(e.Message))
	if e.Mend != "" {
		fmt.Fprintf(&b, "  -> %s\n", e.Mend)
	}
	if len(e.Requests) > 0 {
		fmt.Fprintf(&b, "\nIt asks for\n")
		for _, r := range e.Requests {
			fmt.Fprintf(&b, "  %s\n", sentence(r))
		}
	}
	if len(e.Addresses) > 0 {
		b.WriteString("\n")
		rows := [][]string{{"ADDRESS", "POOL", "NODE", "SINCE", "STATE", "DETAIL"}}
		for _, a := range e.Addresses {
			detail := strings.TrimPrefix(a.Detail+a.statesText(), "; ")
			if len(a.SharedWith) > 0 {
				detail = strings.TrimPrefix(detail+"; shared with "+listed(a.SharedWith), "; ")
			}
			rows = append(rows, []string{
				a.Address.String(), or(a.Pool, none), a.nodeText(), age(a.Since, e.at), a.State, or(sentence(detail), none),
			})
		}
		if err := writeTable(&b, rows); err != nil {
			return err
		}
	}
	for _, a := range e.Addresses {
		if a.Routing == nil {
			continue
		}
		fmt.Fprintf(&b, "\n%s is %s.\n", a.Address, a.Routing.Summary())
		if err := a.Routing.write(&b); err != nil {
			return err
		}
	}
	if err := e.writeProbes(&b); err != nil {
		return err
	}
	if len(e.Events) > 0 {
		b.WriteString("\n")
		rows := [][]string{{"LAST SEEN", "TYPE", "REASON", "MESSAGE"}}
		for _, v := range e.Events {
			rows = append(rows, []string{age(&v.Last, e.at), v.Type, v.Reason, sentence(v.Message)})
		}
		if err := writeTable(&b, rows); err != nil {
			return err
		}
	}
	if err := writeGaps(&b, e.NotKnown); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}
