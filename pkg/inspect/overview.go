package inspect

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

// Overview summarizes the state of Lanlord.
type Overview struct {
	Namespace     string         `json:"namespace"`
	Class         string         `json:"loadBalancerClass,omitempty"`
	Controller    ControllerRow  `json:"controller"`
	Configuration ConfigRow      `json:"configuration"`
	Services      ServiceCount   `json:"services"`
	Addresses     map[string]int `json:"addresses"`
	Speakers      []SpeakerRow   `json:"speakers"`
	Pools         []PoolRow      `json:"pools"`
	// Waiting lists the Services that are not assigned.
	Waiting []ServiceRow `json:"waiting"`
	// Problems lists the problems that Examine finds in the gathered data.
	Problems []Finding `json:"problems"`
	NotKnown []Gap     `json:"notKnown,omitempty"`

	at     time.Time
	hidden bool
}

// ControllerRow describes the leader, or another controller when no leader is known.
type ControllerRow struct {
	Pod     string `json:"pod,omitempty"`
	Node    string `json:"node,omitempty"`
	Ready   bool   `json:"ready"`
	Version string `json:"version,omitempty"`
	// Since is the time at which the controller became leader.
	Since *time.Time `json:"since,omitempty"`
}

// ConfigRow describes the source of the configuration: the ConfigMap, or MetalLB's resources.
type ConfigRow struct {
	Source string `json:"source"`
	Valid  bool   `json:"valid"`
	Pools  int    `json:"pools"`
	// Loaded is the time at which the controller began to use the configuration.
	Loaded  *time.Time `json:"loaded,omitempty"`
	Hash    string     `json:"hash,omitempty"`
	Problem string     `json:"problem,omitempty"`
}

// ServiceCount counts the Services. Waiting counts the Services that are not assigned, by reason.
type ServiceCount struct {
	Total    int `json:"total"`
	Assigned int `json:"assigned"`
	// Announced counts the assigned Services with all addresses announced, and Unannounced counts the assigned Services
	// with an address that clients cannot reach. The other assigned Services have an address in an unknown state.
	Announced   int            `json:"announced"`
	Unannounced int            `json:"unannounced"`
	Waiting     map[string]int `json:"waiting,omitempty"`
}

// add counts a Service.
func (n *ServiceCount) add(row *ServiceRow) {
	n.Total++
	if !row.Assigned {
		if n.Waiting == nil {
			n.Waiting = map[string]int{}
		}
		n.Waiting[or(row.Reason, reasonUndecided)]++
		return
	}
	n.Assigned++
	switch {
	case slices.ContainsFunc(row.Addresses, func(a AddressRow) bool { return !isWell(a.State) && a.State != stateUnknown }):
		n.Unannounced++
	case !slices.ContainsFunc(row.Addresses, func(a AddressRow) bool { return a.State == stateUnknown }):
		n.Announced++
	}
}

// text returns the counts in one line.
func (n *ServiceCount) text() string {
	text := fmt.Sprintf("%d, %d announced", n.Total, n.Announced)
	if n.Unannounced > 0 {
		text += fmt.Sprintf(", %d assigned and not announced", n.Unannounced)
	}
	if more := n.Assigned - n.Announced - n.Unannounced; more > 0 {
		text += fmt.Sprintf(", %d assigned and perhaps not announced", more)
	}
	for _, reason := range slices.Sorted(keysOf(n.Waiting)) {
		text += fmt.Sprintf(", %d %s", n.Waiting[reason], reason)
	}
	return text
}

// SpeakerRow describes the speaker of one node.
type SpeakerRow struct {
	Node string `json:"node"`
	Pod  string `json:"pod,omitempty"`
	// State is the state that the speaker reports; "missing" for a node without a speaker, "unasked" for a ready
	// speaker that could not be asked.
	State string `json:"state"`
	// Addresses counts the addresses that the node owns. Members counts the ready speakers that the speaker knows,
	// including itself. Both are nil if the speaker could not be asked.
	Addresses *int `json:"addresses,omitempty"`
	Members   *int `json:"members,omitempty"`
	// Sessions counts the BGP sessions of the node; nil without sessions.
	Sessions   *SessionCount `json:"bgpSessions,omitempty"`
	Interfaces string        `json:"interfaces,omitempty"`
	Version    string        `json:"version,omitempty"`
	Problem    string        `json:"problem,omitempty"`
}

// SessionCount counts the BGP sessions of a node.
type SessionCount struct {
	Established int `json:"established"`
	Total       int `json:"total"`
}

// sessionCount counts the BGP sessions of a node, nil without sessions.
func sessionCount(peers []status.Peer) *SessionCount {
	if len(peers) == 0 {
		return nil
	}
	n := SessionCount{Total: len(peers)}
	for _, p := range peers {
		if p.Up {
			n.Established++
		}
	}
	return &n
}

// Look returns the overview.
func Look(c *Cluster) Overview {
	o := Overview{
		Namespace: c.Namespace, Class: c.Class, Controller: c.controllerRow(), Configuration: c.configRow(), Pools: Pools(c).Pools,
		Speakers: c.speakerRows(), NotKnown: c.Gaps, at: c.At, hidden: c.Hidden, Addresses: map[string]int{}, Waiting: []ServiceRow{}, Problems: []Finding{},
	}
	v := newView(c)
	for i := range c.Services {
		row := v.service(&c.Services[i])
		if o.Services.add(&row); !row.Assigned {
			o.Waiting = append(o.Waiting, row)
		}
	}
	conflicts := map[netip.Addr]bool{}
	for _, s := range c.strangers() {
		conflicts[s.Addr] = true
	}
	for a := range v.holders {
		state, _ := v.state(a, v.facts(a))
		if conflicts[a] {
			state = stateConflict
		}
		o.Addresses[state]++
	}
	for _, check := range Examine(c).Checks {
		for _, f := range check.Findings {
			if f.Verdict == Wrong {
				o.Problems = append(o.Problems, f)
			}
		}
	}
	return o
}

func (c *Cluster) controllerRow() ControllerRow {
	if l := c.leader(); l != nil {
		row := ControllerRow{Pod: l.Name, Node: l.Node, Ready: l.Ready, Version: l.Says.Version}
		if t := l.Says.Since; !t.IsZero() {
			row.Since = &t
		}
		return row
	}
	for _, p := range c.Controllers {
		return ControllerRow{Pod: p.Name, Node: p.Node, Ready: p.Ready}
	}
	return ControllerRow{}
}

func (c *Cluster) configRow() ConfigRow {
	row := ConfigRow{Source: c.Namespace + "/" + c.Config.Name, Valid: c.Config.Config != nil, Problem: c.configProblem()}
	if c.Config.MetalLB != "" {
		row.Source = c.configOrigin()
	}
	if c.Config.Config != nil {
		row.Pools = len(c.Config.Config.Pools)
	}
	if l := c.leader(); l != nil {
		row.Hash = l.Says.Configuration.Hash
		if t := l.Says.Configuration.Loaded; !t.IsZero() {
			row.Loaded = &t
		}
	}
	return row
}

func (c *Cluster) speakerRows() []SpeakerRow {
	rows := []SpeakerRow{}
	seen := map[string]bool{}
	for i := range c.Speakers {
		s := &c.Speakers[i]
		seen[s.Node] = true
		row := SpeakerRow{Node: s.Node, Pod: s.Name, State: s.state(), Problem: s.Problem}
		if s.Says == nil {
			row.Problem = or(row.Problem, s.Silence)
			rows = append(rows, row)
			continue
		}
		row.Version = s.Says.Version
		row.Problem = or(s.Says.NotReady, row.Problem)
		row.Addresses = new(len(s.Says.Owned))
		members := 0
		for _, m := range s.Says.Members {
			if m.State == "ready" {
				members++
			}
		}
		row.Members, row.Sessions = &members, sessionCount(s.Says.Peers)
		row.Interfaces = interfaceText(s.Says.Interfaces)
		rows = append(rows, row)
	}
	for _, n := range c.Nodes {
		if n.Linux && !seen[n.Name] && !c.Hidden {
			rows = append(rows, SpeakerRow{Node: n.Name, State: "missing"})
		}
	}
	slices.SortStableFunc(rows, func(x, y SpeakerRow) int { return cmp.Compare(x.Node, y.Node) })
	return rows
}

// interfaceText names the interfaces that the speaker uses for announcements.
func interfaceText(list []status.Interface) string {
	var names []string
	for _, i := range list {
		switch {
		case i.Used && i.Carrier:
			names = append(names, i.Name)
		case i.Used:
			names = append(names, i.Name+" (down)")
		}
	}
	return strings.Join(names, ",")
}

// Well reports whether no problem is known.
func (o Overview) Well() bool { return len(o.Problems) == 0 }

// WriteText writes the overview for people.
func (o Overview) WriteText(out io.Writer) error { return o.write(out, false) }

// WriteWide writes the overview with versions and Pods.
func (o Overview) WriteWide(out io.Writer) error { return o.write(out, true) }

func (o Overview) write(out io.Writer, wide bool) error {
	var b strings.Builder
	for _, row := range o.heading() {
		fmt.Fprintf(&b, "%-15s%s\n", row[0]+":", row[1])
	}
	if len(o.Speakers) > 0 {
		b.WriteString("\n")
		if err := writeTable(&b, o.speakerTable(wide)); err != nil {
			return err
		}
	}
	if len(o.Pools) > 0 {
		b.WriteString("\n")
		if err := writeTable(&b, PoolList{Pools: o.Pools}.rows(wide)); err != nil {
			return err
		}
	}
	const most = 10
	if len(o.Waiting) > 0 {
		b.WriteString("\n")
		rows := [][]string{{"WAITING", "SINCE", "REASON", "MESSAGE"}}
		for _, s := range o.Waiting[:min(len(o.Waiting), most)] {
			rows = append(rows, []string{s.Namespace + "/" + s.Name, age(s.Since, o.at), or(s.Reason, reasonUndecided), or(sentence(s.Message), undecided)})
		}
		if err := writeTable(&b, rows); err != nil {
			return err
		}
		if more := len(o.Waiting) - most; more > 0 {
			fmt.Fprintf(&b, "and %d more; kubectl lanlord services lists all\n", more)
		}
	}
	if len(o.Problems) > 0 {
		fmt.Fprintf(&b, "\n%s; kubectl lanlord doctor says what to do:\n", Count(len(o.Problems), "problem"))
		for _, f := range o.Problems[:min(len(o.Problems), most)] {
			fmt.Fprintf(&b, "  %s\n", f.Message)
		}
		if more := len(o.Problems) - most; more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	if err := writeGaps(&b, o.NotKnown); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// heading returns the lines above the tables.
func (o Overview) heading() [][2]string {
	controller := "none"
	if o.hidden {
		controller = unknown
	}
	if p := o.Controller; p.Pod != "" {
		controller = p.Pod + onNode(p.Node)
		switch {
		case !p.Ready:
			controller += ", not ready"
		case p.Since != nil:
			controller += ", deciding for " + age(p.Since, o.at)
		}
		if p.Version != "" {
			controller += ", version " + p.Version
		}
	}
	config := fmt.Sprintf("%s, %s", o.Configuration.Source, Count(o.Configuration.Pools, "pool"))
	if o.Configuration.Loaded != nil {
		config += ", in use for " + age(o.Configuration.Loaded, o.at)
	}
	if o.Configuration.Problem != "" {
		config = o.Configuration.Problem
	}
	rows := [][2]string{{"Namespace", o.Namespace}}
	if o.Class != "" {
		rows = append(rows, [2]string{"Class", o.Class})
	}
	total, parts := 0, ""
	for _, state := range slices.Sorted(keysOf(o.Addresses)) {
		total += o.Addresses[state]
		parts += fmt.Sprintf(", %d %s", o.Addresses[state], state)
	}
	return append(rows,
		[2]string{"Controller", controller}, [2]string{"Configuration", config}, [2]string{"Services", o.Services.text()},
		[2]string{"Addresses", fmt.Sprint(total) + parts})
}

func (o Overview) speakerTable(wide bool) [][]string {
	rows := [][]string{{"NODE", "SPEAKER", "ADDRESSES", "MEMBERS", "INTERFACES"}}
	bgp := slices.ContainsFunc(o.Speakers, func(s SpeakerRow) bool { return s.Sessions != nil })
	if bgp {
		rows[0] = append(rows[0], "BGP SESSIONS")
	}
	if wide {
		rows[0] = append(rows[0], "POD", "VERSION", "PROBLEM")
	}
	number := func(n *int) string {
		if n == nil {
			return unknown
		}
		return fmt.Sprint(*n)
	}
	for _, s := range o.Speakers {
		row := []string{or(s.Node, none), s.State, number(s.Addresses), number(s.Members), or(s.Interfaces, none)}
		switch {
		case bgp && s.Sessions != nil:
			row = append(row, fmt.Sprintf("%d/%d", s.Sessions.Established, s.Sessions.Total))
		case bgp:
			row = append(row, none)
		}
		if wide {
			row = append(row, or(s.Pod, none), or(s.Version, unknown), or(sentence(s.Problem), none))
		}
		rows = append(rows, row)
	}
	return rows
}
