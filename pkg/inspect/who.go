package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

// Answer describes the nodes that answer for an address.
type Answer struct {
	Address netip.Addr `json:"address"`
	// Services are the Services with the address; empty if no Service has the address.
	Services []string `json:"services"`
	Pool     string   `json:"pool,omitempty"`
	// Nodes are the answering nodes, as the speakers report, the latest takeover first; normally one node. Since and
	// Cause are the time and the cause of the latest takeover.
	Nodes []string   `json:"nodes"`
	Since *time.Time `json:"since,omitempty"`
	Cause string     `json:"cause,omitempty"`
	// State is a state as in AddressRow, or NoService, or TakenByNode for the address of a Node.
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
	// Owner is the elected node. The elected node waits while another node may keep the address.
	Owner string `json:"owner,omitempty"`
	// Strangers are the MAC addresses of the foreign hosts that answer for the address.
	Strangers []string `json:"strangers,omitempty"`
	// NodeAddress lists the Nodes with this address as their own.
	NodeAddress []NodeAddress `json:"nodeAddress,omitempty"`
	// Routing describes the announcement by BGP; left out for an address that BGP does not announce.
	Routing *Routing `json:"routing,omitempty"`
	// Speakers holds the report of each speaker.
	Speakers []SpeakerView `json:"speakers"`
	NotKnown []Gap         `json:"notKnown,omitempty"`

	at time.Time
}

// SpeakerView is the report of one speaker about an address.
type SpeakerView struct {
	Node string `json:"node"`
	// Answers is true when the speaker reports that its node answers for the address. Since and Cause are the time and
	// the cause of the takeover.
	Answers bool       `json:"answers"`
	Since   *time.Time `json:"since,omitempty"`
	Cause   string     `json:"cause,omitempty"`
	// Owner is the elected node in the view of this speaker. Reason and Detail explain why the node does not answer, or
	// why no node is elected.
	Owner  string `json:"owner,omitempty"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// State is the state of the address on the node; empty when the version of the speaker does not report the state.
	State status.AddressState `json:"state,omitempty"`
	// Exclusion is the word of the reason.Exclusion that makes the node ineligible.
	Exclusion string `json:"exclusion,omitempty"`
	// WaitsFor explains what has to happen before this node answers. Fix explains how to make an excluded node
	// eligible.
	WaitsFor string `json:"waitsFor,omitempty"`
	Fix      string `json:"fix,omitempty"`
	// Problem explains why the speaker could not be asked; empty if the speaker was asked.
	Problem string `json:"problem,omitempty"`
}

// The states of an address that no Service has.
const (
	stateNoService   = "NoService"
	stateTakenByNode = "TakenByNode"
)

// standsIn is the cause of a backup takeover: a node answers in place of the elected node.
const standsIn = "stand-in"

// Who returns the nodes that answer for an address, and the report of each speaker.
func Who(c *Cluster, addr netip.Addr) Answer {
	v := newView(c)
	f := v.facts(addr)
	a := Answer{
		Address: addr, Services: []string{}, Pool: c.poolOf(addr), Nodes: []string{}, NotKnown: c.gaps(OfServices, OfOthers, OfNodes, OfConfig, OfProcesses), at: c.At,
		Owner: f.owner, Speakers: v.opinions(addr),
	}
	for _, key := range v.holders[addr] {
		a.Services = append(a.Services, key.String())
	}
	for _, h := range f.answering {
		a.Nodes = append(a.Nodes, h.node)
	}
	if len(f.answering) > 0 {
		a.Cause = f.answering[0].cause
		if t := f.answering[0].since; !t.IsZero() {
			a.Since = &t
		}
	}
	for _, s := range c.strangers() {
		if s.Addr == addr {
			a.Strangers = append(a.Strangers, s.MAC)
		}
	}
	a.State, a.Detail = v.state(addr, f)
	a.Routing = v.routing(addr)
	if layer2, _ := v.protocols(addr); !layer2 {
		a.Speakers = []SpeakerView{}
	}
	a.NodeAddress = c.nodeAddress(addr)
	switch {
	case a.State == stateNodeAddress && len(a.Services) > 0:
	case len(a.Services) == 0 && len(a.Nodes) == 0 && (a.Routing == nil || a.Routing.Nodes == 0):
		a.State, a.Detail = c.unowned(addr)
	case len(a.Strangers) > 0:
		a.State = stateConflict
		a.Detail = "a host that is no node answers for it too: " + strings.Join(a.Strangers, ", ")
	case len(a.NodeAddress) > 0 && a.State != stateNodeAddress:
		a.State, a.Detail = stateConflict, "it is also "+nodeAddressText(a.NodeAddress)
	}
	return a
}

// unowned returns the state of an address that no Service has.
func (c *Cluster) unowned(addr netip.Addr) (state, detail string) {
	if list := c.nodeAddress(addr); len(list) > 0 {
		return stateTakenByNode, "it is " + nodeAddressText(list)
	}
	for _, s := range c.strangers() {
		if s.Addr == addr {
			return stateNoService, "no Service has it, and none gets it, since a host that is no node has it: " + s.MAC
		}
	}
	for _, x := range c.Claims {
		if x.Addr == addr && !x.Managed {
			return stateNoService, "no Service of Lanlord has it, and none gets it, since it " + x.Text()
		}
	}
	switch pool := c.poolOf(addr); {
	case len(c.gaps(OfServices, OfOthers)) > 0 && !Asked(c):
		return stateUnknown, "no Service that could be looked at has it, and no speaker could be asked"
	case c.Config.Config == nil:
		return stateNoService, "no Service has it"
	case pool == "":
		return stateNoService, "no Service has it, and it is in no pool"
	default:
		return stateNoService, fmt.Sprintf("no Service has it; it is in the pool %q", pool)
	}
}

// Well reports whether the address is announced without a conflict, or belongs to a Node with the permission of the
// configuration.
func (a Answer) Well() bool { return isWell(a.State) }

// Known reports whether the state is known. The state is unknown if the necessary speakers could not be asked.
func (a Answer) Known() bool { return a.State != stateUnknown }

// speaks reports whether the view contains any information.
func (s SpeakerView) speaks() bool {
	return s.Answers || s.Owner != "" || s.Reason != "" || s.Problem != ""
}

// answers returns yes or no, with the state unless the state is Owner or Standby.
func (s SpeakerView) answers() string {
	text := "no"
	if s.Answers {
		text = "yes"
	}
	if s.State == "" || s.State == status.StateOwner || s.State == status.StateStandby {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, s.State)
}

// owner returns the state of the address on the first answering node, empty for Owner.
func (a Answer) owner() status.AddressState {
	for _, s := range a.Speakers {
		if s.Node == a.Nodes[0] && s.State != status.StateOwner {
			return s.State
		}
	}
	return ""
}

// WriteText writes a sentence, and a table with the report of each speaker.
func (a Answer) WriteText(out io.Writer) error {
	if err := line(out, a.summary()); err != nil {
		return err
	}
	if slices.ContainsFunc(a.Speakers, SpeakerView.speaks) {
		rows := [][]string{{"NODE", "ANSWERS", "SINCE", "BECAUSE", "NAMES", "DETAIL"}}
		for _, s := range a.Speakers {
			answers, detail := s.answers(), s.Detail
			if s.Problem != "" {
				answers, detail = unknown, s.Problem
			}
			names := or(s.Owner, or(s.Reason, none))
			rows = append(rows, []string{s.Node, answers, age(s.Since, a.at), or(s.Cause, none), names, or(sentence(detail), none)})
		}
		if err := line(out, ""); err != nil {
			return err
		}
		if err := writeTable(out, rows); err != nil {
			return err
		}
	}
	if a.Routing != nil {
		if err := a.Routing.write(out); err != nil {
			return err
		}
	}
	return writeGaps(out, a.NotKnown)
}

// summary returns the answer as a sentence.
func (a Answer) summary() string {
	of := ""
	if len(a.Services) > 0 {
		of = " of " + strings.Join(a.Services, ", ")
	}
	switch {
	case len(a.Nodes) == 1:
		text := fmt.Sprintf("%s%s: the node %s answers", a.Address, of, a.Nodes[0])
		if a.Since != nil {
			text += fmt.Sprintf(", since %s (%s ago)", a.Since.UTC().Format(time.RFC3339), age(a.Since, a.at))
		}
		if a.Cause != "" {
			text += ", " + causeText(a.Cause, a.Owner)
		}
		if state := a.owner(); state != "" {
			text += fmt.Sprintf(" (%s: %s)", state, or(state.Text(), "a state of a later version"))
		}
		if a.Detail != "" {
			text += ". " + capital(a.Detail) + a.conflict()
		}
		return text + a.routed("; it is ") + "."
	case a.Routing != nil && a.State == stateAnnounced:
		return fmt.Sprintf("%s%s: %s.", a.Address, of, a.Routing.Summary())
	case a.Detail != "":
		return fmt.Sprintf("%s%s: %s%s.", a.Address, of, a.Detail, a.conflict())
	}
	return fmt.Sprintf("%s%s: nobody answers (%s).", a.Address, of, a.State)
}

// routed returns the summary of the announcement by BGP after the text joint, empty without BGP.
func (a Answer) routed(joint string) string {
	if a.Routing == nil {
		return ""
	}
	return joint + a.Routing.Summary()
}

// conflict names a conflict with the word from Events and conditions.
func (a Answer) conflict() string {
	if a.State != stateConflict {
		return ""
	}
	return " (" + stateConflict + ")"
}

// causeText explains a cause in a sentence; elected is the elected node.
func causeText(cause, elected string) string {
	if text, ok := map[string]string{
		"new":        "because the address was new",
		"crash":      "because the node with the address was gone without notice",
		"silent":     "because the node with the address did not answer",
		"left":       "because the speaker with the address was told to stop",
		"ineligible": "because the node with the address may no longer announce the address",
		standsIn:     "in place of " + or(elected, "the node that the election names") + ", because nobody answered",
		"failback":   "because the election names the node",
		"spread":     "because the speakers started together and share the addresses",
		"wish":       "because a Service prefers the node",
		"outranked":  "because the node ranks before the node that had the address",
		"standstill": "because the node still had the address after a stall of the speaker",
		"inherited":  "because the previous speaker of the node had the address",
	}[cause]; ok {
		return text
	}
	return "because: " + cause
}

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
