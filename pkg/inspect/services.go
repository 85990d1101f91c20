package inspect

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/status"
)

// ServiceList lists the Services that Lanlord manages, in all namespaces or in one.
type ServiceList struct {
	Services []ServiceRow `json:"services"`
	NotKnown []Gap        `json:"notKnown,omitempty"`

	at time.Time
	// filtered is true if the list leaves out Services.
	filtered bool
}

// ServiceRow describes one Service.
type ServiceRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Assigned is true when the Service has all required addresses. Reason and Message come from the condition of the
	// Service, and are empty before the first decision of the controller. Since is the time of the last change of
	// Assigned.
	Assigned bool       `json:"assigned"`
	Reason   string     `json:"reason,omitempty"`
	Message  string     `json:"message,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	// PreferNode is the node that the Service prefers.
	PreferNode string       `json:"preferNode,omitempty"`
	Addresses  []AddressRow `json:"addresses"`
}

// AddressRow describes one address of a Service.
type AddressRow struct {
	Address netip.Addr `json:"address"`
	Pool    string     `json:"pool,omitempty"`
	// Nodes are the answering nodes, as the speakers report, the latest takeover first; normally one node. Since is the
	// time of the latest takeover.
	Nodes []string   `json:"nodes"`
	Since *time.Time `json:"since,omitempty"`
	// Cause is the cause of the latest takeover, a word like "crash"; left out when no node answers.
	Cause string `json:"cause,omitempty"`
	// State is Announced; NodeAddress for the allowed address of a Node; AddressConflict; Disputed when several nodes
	// answer; Pending; Unknown when the speakers could not be asked; or the reason why no node announces the address.
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
	// SpeakerStates holds the state of the address on each node that is not in Standby, by node.
	SpeakerStates map[string]status.AddressState `json:"speakerStates,omitempty"`
	// Routing is the announcement by BGP; left out for an address that BGP does not announce.
	Routing *Routing `json:"routing,omitempty"`
	// SharedWith lists the other Services with the address.
	SharedWith []string `json:"sharedWith,omitempty"`
	// LastProbes holds the last probe of the path from each node that has probed; only in an Explanation.
	LastProbes []NodeProbe `json:"lastProbes,omitempty"`

	// elected is the elected node.
	elected string
}

// CauseText explains the cause of the latest takeover in a sentence; empty when no node answers.
func (a *AddressRow) CauseText() string {
	if a.Cause == "" {
		return ""
	}
	return causeText(a.Cause, a.elected)
}

// Well reports whether the address is announced as it should be.
func (a *AddressRow) Well() bool { return isWell(a.State) }

// Known reports whether the state of the address could be determined.
func (a *AddressRow) Known() bool { return a.State != stateUnknown }

// The states of an address besides the reasons from the speakers.
const (
	stateAnnounced = "Announced"
	stateConflict  = "AddressConflict"
	stateDisputed  = "Disputed"
	statePending   = "Pending" // a node should answer, and does not answer yet
	stateUnknown   = "Unknown"
)

// reasonUndecided and undecided describe a Service without a decision of the controller.
const (
	reasonUndecided = "Undecided"
	undecided       = "the controller has not said anything of it yet"
)

// Services lists the Services in a namespace, or all Services if namespace is empty.
func Services(c *Cluster, namespace string) ServiceList {
	list, _ := FilteredServices(c, Filter{Namespace: namespace})
	return list
}

func (v *view) service(s *cluster.Service) ServiceRow {
	row := ServiceRow{Namespace: s.Key.Namespace, Name: s.Key.Name, PreferNode: s.PreferNode, Addresses: []AddressRow{}}
	if s.Condition != nil {
		row.Assigned, row.Reason, row.Message = s.Condition.True, s.Condition.Reason, s.Condition.Message
		if !s.Condition.Since.IsZero() {
			row.Since = &s.Condition.Since
		}
	}
	for _, a := range s.Ingress {
		row.Addresses = append(row.Addresses, v.address(a, s))
	}
	return row
}

func (v *view) address(a netip.Addr, s *cluster.Service) AddressRow {
	row := AddressRow{Address: a, Pool: v.cluster.poolOf(a), Nodes: []string{}}
	row.Pool = or(row.Pool, s.Assignment.PoolOf(a))
	if row.Pool == "" && len(s.Ingress) == 1 {
		row.Pool = s.AllocatedFrom
	}
	for _, key := range v.holders[a] {
		if key != s.Key {
			row.SharedWith = append(row.SharedWith, key.String())
		}
	}
	facts := v.facts(a)
	for _, h := range facts.answering {
		row.Nodes = append(row.Nodes, h.node)
	}
	if len(facts.answering) > 0 && !facts.answering[0].since.IsZero() {
		row.Since = &facts.answering[0].since
	}
	if len(facts.answering) > 0 {
		row.Cause, row.elected = facts.answering[0].cause, facts.owner
	}
	row.State, row.Detail = v.state(a, facts)
	row.SpeakerStates, row.Routing = facts.states, v.routing(a)
	if inConflict(s, a) {
		row.State, row.Detail = stateConflict, s.Conflict.Message
	}
	return row
}

// inConflict reports whether a foreign host answers for a, an address of s. A Service from an earlier version of
// Lanlord has no record of conflicts, only one condition for all of its addresses; the condition counts only if the
// Service has a single address.
func inConflict(s *cluster.Service, a netip.Addr) bool {
	if s.Conflict == nil || !s.Conflict.True {
		return false
	}
	if s.Assignment == nil {
		return len(s.Ingress) == 1
	}
	_, found := s.Assignment.ConflictAt(a)
	return found
}

// state returns the state of an address as a word, and explains a problem in a sentence. An address of a pool with both
// protocols is announced only if both protocols announce the address.
func (v *view) state(a netip.Addr, f facts) (state, detail string) {
	if list := v.cluster.allowedAddress(a); len(list) > 0 {
		return stateNodeAddress, "it is " + nodeAddressText(list) + ", which alone serves it (allow-node-addresses)"
	}
	layer2, bgp := v.protocols(a)
	if layer2 {
		if state, detail = v.answered(f); state != stateAnnounced || !bgp {
			return state, detail
		}
	}
	return v.routed(a)
}

// answered returns the state of an address on layer 2.
func (v *view) answered(f facts) (state, detail string) {
	switch {
	case len(f.answering) > 1:
		return stateDisputed, "several nodes say that they answer for it: " + strings.Join(f.nodes(), ", ")
	case len(f.answering) == 1:
		return stateAnnounced, ""
	case !v.asked:
		return stateUnknown, "no speaker could be asked"
	case len(f.suspended) > 0:
		return statePending, fmt.Sprintf("%s has it and does not answer now (%s: %s)",
			listed(f.suspended), status.StateSuspended, status.StateSuspended.Text())
	case f.reason != "" && f.reason != stateAnnounced:
		return f.reason, f.detail
	case f.owner != "" && v.silent[f.owner]:
		return stateUnknown, "the speaker of " + f.owner + ", which is to answer, could not be asked"
	case f.owner != "":
		return statePending, f.owner + " is to answer, and does not yet"
	}
	return statePending, "no speaker knows of it yet"
}

// WriteText writes a table with one line for each address.
func (l ServiceList) WriteText(out io.Writer) error { return l.write(out, false) }

// WriteWide writes the table with the messages.
func (l ServiceList) WriteWide(out io.Writer) error { return l.write(out, true) }

func (l ServiceList) write(out io.Writer, wide bool) error {
	if len(l.Services) == 0 {
		text := "No Services of type LoadBalancer that are Lanlord's."
		if l.filtered {
			text = "No Service of Lanlord fits the filter."
		}
		if err := line(out, text); err != nil {
			return err
		}
		return writeGaps(out, l.NotKnown)
	}
	rows := [][]string{{"NAMESPACE", "NAME", "ADDRESS", "POOL", "NODE", "SINCE", "STATE"}}
	if wide {
		rows[0] = append(rows[0], "MESSAGE")
	}
	for _, s := range l.Services {
		rows = append(rows, s.rows(l.at, wide)...)
	}
	if err := writeTable(out, rows); err != nil {
		return err
	}
	return writeGaps(out, l.NotKnown)
}

func (s ServiceRow) rows(now time.Time, wide bool) (rows [][]string) {
	add := func(address, pool, node, since, state, message string) {
		row := []string{s.Namespace, s.Name, address, pool, node, since, state}
		if wide {
			row = append(row, or(sentence(message), none))
		}
		rows = append(rows, row)
	}
	for _, a := range s.Addresses {
		add(a.Address.String(), or(a.Pool, none), a.nodeText(), age(a.Since, now), a.State, or(a.Detail, s.Message))
	}
	if !s.Assigned {
		add(none, none, none, age(s.Since, now), or(s.Reason, reasonUndecided), or(s.Message, undecided))
	}
	return rows
}

// nodeText names the node that answers for the address, and counts the nodes that announce the address by BGP.
func (a *AddressRow) nodeText() string {
	text := strings.Join(a.Nodes, ",")
	switch {
	case a.Routing == nil:
		return or(text, none)
	case text != "":
		text += ", "
	}
	return fmt.Sprintf("%s%d of %s", text, a.Routing.Nodes, Count(a.Routing.OfNodes, "node"))
}

// waiting returns the Services that are not assigned.
func (c *Cluster) waiting() (list []*cluster.Service) {
	for i := range c.Services {
		if s := &c.Services[i]; s.Condition == nil || !s.Condition.True {
			list = append(list, s)
		}
	}
	return list
}

// writeGaps lists, below a table, the data that could not be gathered.
func writeGaps(out io.Writer, gaps []Gap) error {
	for _, g := range gaps {
		if err := line(out, "Note: "+g.String()); err != nil {
			return err
		}
	}
	return nil
}

func line(out io.Writer, text string) error {
	_, err := io.WriteString(out, text+"\n")
	return err
}

// holdersOf returns the Services with each address, sorted.
func holdersOf(c *Cluster) map[netip.Addr][]cluster.Key {
	holders := make(map[netip.Addr][]cluster.Key, len(c.Services))
	for i := range c.Services {
		s := &c.Services[i]
		for _, a := range s.Ingress {
			holders[a] = append(holders[a], s.Key)
		}
	}
	for _, s := range c.announceOnly() {
		for _, a := range s.Ingress {
			if c.poolOf(a) != "" {
				holders[a] = append(holders[a], s.Key)
			}
		}
	}
	for _, keys := range holders {
		slices.SortFunc(keys, cluster.Key.Compare)
	}
	return holders
}
