package inspect

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
	"github.com/lanlord/lanlord/pkg/status"
)

// Controller is the Pod of a controller with the status of the process.
type Controller struct {
	Pod
	// Says is nil if the process could not be asked. Silence then gives the reason.
	Says    *status.Controller
	Silence string
}

// Speaker is the Pod of a speaker with the status of the process.
type Speaker struct {
	Pod
	// Networks describes the networks of the node, as the Pod reports them to the controller.
	Networks cluster.Networks
	// Says is nil if the process could not be asked. Silence then gives the reason.
	Says    *status.Speaker
	Silence string
}

// stateUpdating is the state of a new speaker process that waits, during an update, to take over from the present
// process.
const stateUpdating = status.SpeakerStandby

// stateJoining is the state of a speaker that is not a gossip member yet.
const stateJoining = "joining"

// leader returns the controller that holds the Lease, nil if none is known.
func (c *Cluster) leader() *Controller {
	for i := range c.Controllers {
		if s := c.Controllers[i].Says; s != nil && s.Role == status.Leader {
			return &c.Controllers[i]
		}
	}
	return nil
}

// Leader returns the status of the controller that holds the Lease, nil if none is known.
func (c *Cluster) Leader() *status.Controller {
	if l := c.leader(); l != nil {
		return l.Says
	}
	return nil
}

// speakers returns the speakers that could be asked, without the new processes that wait during an update.
func (c *Cluster) speakers() (list []*Speaker) {
	for i := range c.Speakers {
		if s := &c.Speakers[i]; s.Says != nil && s.Says.State != stateUpdating {
			list = append(list, s)
		}
	}
	return list
}

// strangers returns the foreign hosts that answer for addresses, sorted, each once. The hosts come from the status of
// each speaker, or from the report in the speaker's Pod if the speaker could not be asked. A single speaker may not
// know all nodes, so strangers leaves out every MAC address that belongs to the node of any speaker.
func (c *Cluster) strangers() (list []cluster.Stranger) {
	for i := range c.Speakers {
		s := &c.Speakers[i]
		if s.Says == nil {
			list = append(list, s.Networks.Strangers...)
			continue
		}
		for _, x := range s.Says.Conflicts {
			if a, err := netip.ParseAddr(x.Address); err == nil {
				list = append(list, cluster.Stranger{Addr: a, MAC: x.MAC, Quarantine: x.Quarantine})
			}
		}
	}
	list = slices.DeleteFunc(list, func(x cluster.Stranger) bool {
		return slices.ContainsFunc(c.Speakers, func(s Speaker) bool { return slices.Contains(s.Networks.MACs, x.MAC) })
	})
	slices.SortFunc(list, cluster.Stranger.Compare)
	return slices.Compact(list)
}

// speakerStates returns the state of the speaker on each node.
func (c *Cluster) speakerStates() map[string]string {
	states := map[string]string{}
	for i := range c.Speakers {
		s := &c.Speakers[i]
		if s.Node != "" && (states[s.Node] == "" || s.Ready) {
			states[s.Node] = s.state()
		}
	}
	return states
}

// state returns the state of the speaker in a word.
func (s *Speaker) state() string {
	switch {
	case s.Says != nil:
		return s.Says.State
	case s.Deleting:
		return "leaving"
	case s.Ready:
		return "unasked"
	}
	return "not ready"
}

// hasNotJoined reports whether the speaker still waits for the cluster, for its Node or for a gossip key. A speaker
// that has joined lists at least itself as a member.
func (s *Speaker) hasNotJoined() bool {
	return s.Says != nil && !s.Says.Ready && s.Says.State == stateJoining && len(s.Says.Members) == 0
}

// waitsFor returns the reason of a speaker that is not ready.
func (s *Speaker) waitsFor() string {
	if s.Says == nil {
		return s.Silence
	}
	return s.Says.NotReady
}

// facts combines the reports of all speakers about an address.
type facts struct {
	// answering lists the answering nodes, as the speakers report, the latest takeover first.
	answering []holding
	// owner is the elected node; reason and detail explain why no node is elected.
	owner, reason, detail string
	// exclusions counts the nodes that are not eligible, by the word of the reason.Exclusion.
	exclusions map[string]int
	// suspended lists the nodes that own the address and do not answer at the moment.
	suspended []string
	// states holds the state of the address on each node that is not in Standby.
	states map[string]status.AddressState
}

// enter records the state of the address on a node.
func (f *facts) enter(node string, state status.AddressState) {
	if state == "" || state == status.StateStandby {
		return
	}
	if f.states == nil {
		f.states = map[string]status.AddressState{}
	}
	f.states[node] = state
}

func (f facts) nodes() (names []string) {
	for _, h := range f.answering {
		names = append(names, h.node)
	}
	return names
}

// holding is the report of one node that answers for an address.
type holding struct {
	node, cause, from string
	since             time.Time
	leaving           bool
	// fresh is true for a takeover shortly before the speaker was asked: the other speakers may have been asked before
	// the takeover.
	fresh bool
}

// freshness is the assumed maximum time between the questions to two speakers.
const freshness = 3 * time.Second

// view adds lookup tables to a Cluster.
type view struct {
	cluster *Cluster
	holders map[netip.Addr][]cluster.Key
	// asked is true when at least one speaker could be asked. silent holds the nodes whose speakers could not be asked.
	asked  bool
	silent map[string]bool
	byAddr map[netip.Addr]facts
	// routes holds the announcements by BGP.
	routes map[netip.Addr]*Routing
	// probes holds the last probes of the paths to each address.
	probes map[netip.Addr][]NodeProbe
}

func newView(c *Cluster) *view {
	v := &view{
		cluster: c, holders: holdersOf(c), silent: map[string]bool{}, byAddr: map[netip.Addr]facts{}, routes: map[netip.Addr]*Routing{},
		probes: map[netip.Addr][]NodeProbe{},
	}
	for i := range c.Speakers {
		if s := &c.Speakers[i]; s.Says == nil && s.Node != "" {
			v.silent[s.Node] = true
		}
	}
	for _, s := range c.speakers() {
		v.asked = true
		delete(v.silent, s.Node)
		v.addRoutes(s)
		v.addProbes(s)
		for _, o := range s.Says.Owned {
			v.note(o.Address, func(f *facts) {
				f.enter(s.Node, o.State)
				f.owner = or(o.Elected, f.owner)
				if o.State == status.StateSuspended {
					f.suspended = append(f.suspended, s.Node)
					return
				}
				f.answering = append(f.answering, holding{
					s.Node, o.Reason, o.From, o.Since, o.Leaving, s.Says.Time.Sub(o.Since) < freshness,
				})
			})
		}
		for _, w := range s.Says.Watched {
			v.note(w.Address, func(f *facts) {
				f.enter(s.Node, w.State)
				f.owner = or(w.Elected, f.owner)
				if w.Elected == "" && w.Reason != "" {
					f.reason, f.detail, f.exclusions = w.Reason, w.Message, w.Exclusions
				}
			})
		}
	}
	return v
}

func (v *view) note(address string, change func(*facts)) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return // a later version may list more than addresses
	}
	f := v.byAddr[a]
	change(&f)
	v.byAddr[a] = f
}

// facts returns the reports of all speakers about an address. A draining node does not count if its successor answers
// already. When another node took the address only shortly before, older reports do not count either.
func (v *view) facts(a netip.Addr) facts {
	f := v.byAddr[a]
	slices.SortFunc(f.answering, func(x, y holding) int {
		return cmp.Or(y.since.Compare(x.since), strings.Compare(x.node, y.node))
	})
	if len(f.answering) > 1 {
		if staying := slices.DeleteFunc(slices.Clone(f.answering), func(h holding) bool { return h.leaving }); len(staying) > 0 {
			f.answering = staying
		}
	}
	if len(f.answering) > 1 && f.answering[0].fresh {
		f.answering = f.answering[:1]
	}
	return f
}

// opinions returns the report of each speaker about an address, by node.
func (v *view) opinions(a netip.Addr) (list []SpeakerView) {
	text := a.String()
	for i := range v.cluster.Speakers {
		s := &v.cluster.Speakers[i]
		if s.Says == nil && (s.Node == "" || !v.silent[s.Node]) || s.Says != nil && s.Says.State == stateUpdating {
			continue
		}
		o := SpeakerView{Node: s.Node}
		if s.Says == nil {
			o.Problem = or(s.Silence, or(s.Problem, "it could not be asked"))
			list = append(list, o)
			continue
		}
		for _, x := range s.Says.Owned {
			if x.Address == text {
				o.State, o.Answers, o.Cause, o.Owner = x.State, x.State != status.StateSuspended, x.Reason, x.Elected
				if t := x.Since; !t.IsZero() {
					o.Since = &t
				}
				if x.From != "" {
					o.Detail = "it was " + x.From + "'s"
				}
				if x.Reason == standsIn && x.Elected != s.Node {
					o.Detail = "in place of " + x.Elected + ", which is to answer and did not"
				}
				switch {
				case x.State != "" && x.State != status.StateOwner:
					o.Detail = x.State.Text()
				case x.Leaving:
					o.Detail = "only until its next owner is heard"
				}
			}
		}
		for _, x := range s.Says.Watched {
			if x.Address == text {
				o.State, o.Owner, o.Reason, o.Detail = x.State, x.Elected, x.Reason, x.Message
				o.Exclusion = x.Exclusion
				if w, known := reason.ParseWatch(x.Reason); known {
					o.WaitsFor = watchHint(w)
				}
				if e, known := reason.ParseExclusion(x.Exclusion); known {
					o.Fix = exclusionFix(e)
				}
				if x.Answers != nil {
					o.Detail += "; last heard from " + or(x.Answers.Node, "a host that is no node, "+x.Answers.MAC)
				}
			}
		}
		list = append(list, o)
	}
	if slices.ContainsFunc(list, SpeakerView.speaks) {
		for i := range list {
			if !list[i].speaks() {
				list[i].Detail = "it does not know of the address"
			}
		}
	}
	return list
}

// controllerTrouble explains why no controller decides; empty if a controller is ready.
func (c *Cluster) controllerTrouble() string {
	switch {
	case c.Hidden:
		return ""
	case len(c.Controllers) == 0:
		return "there is no controller"
	case !slices.ContainsFunc(c.Controllers, func(p Controller) bool { return p.Ready }):
		return "no controller is ready"
	}
	return ""
}

// stock returns the leader's counts for one family of a pool.
func (c *Cluster) stock(pool string, family cluster.Family) (status.Stock, bool) {
	if l := c.leader(); l != nil {
		for _, p := range l.Says.Pools {
			for _, s := range p.Families {
				if p.Name == pool && s.Family == family.String() {
					return s, true
				}
			}
		}
	}
	return status.Stock{}, false
}
