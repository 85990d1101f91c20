package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Change describes a difference between two Clusters.
type Change struct {
	At time.Time `json:"at"`
	// Object is the changed object, like "Service default/web", "Node n1" or "ConfigMap lanlord-system/config".
	Object string `json:"object"`
	// Reason names the change in one word.
	Reason string `json:"reason"`
	// Message describes the change in a sentence.
	Message string `json:"message"`
}

// String returns the change as one line.
func (c Change) String() string {
	return fmt.Sprintf("%s  %-16s  %s: %s", c.At.Local().Format(time.TimeOnly), c.Reason, c.Object, sentence(c.Message))
}

// Changes returns the changes between two Clusters. Data that could not be gathered does not count as changed.
func Changes(before, after *Cluster) []Change {
	d := differ{after: after}
	d.config(before, after)
	d.speakers(before, after)
	d.services(before, after)
	return d.changes
}

type differ struct {
	after   *Cluster
	changes []Change
}

func (d *differ) tell(object, reason, format string, args ...any) {
	d.changes = append(d.changes, Change{d.after.At, object, reason, fmt.Sprintf(format, args...)})
}

func (d *differ) config(before, after *Cluster) {
	was, is := before.Config, after.Config
	if !was.Known || !is.Known || was.Found == is.Found && was.Version == is.Version {
		return
	}
	object := after.configOrigin()
	switch {
	case !is.Found:
		d.tell(object, "ConfigGone", "it was deleted; the last good configuration stays in use")
	case is.Problem != nil:
		d.tell(object, "ConfigRejected", "not valid: %v", is.Problem)
	default:
		d.tell(object, "ConfigChanged", "valid, with %s", Count(len(is.Config.Pools), "pool"))
	}
}

func (d *differ) speakers(before, after *Cluster) {
	was := before.speakerStates()
	is := after.speakerStates()
	for _, node := range slices.Sorted(keysOf(was, is)) {
		if was[node] != is[node] {
			d.tell("Node "+node, "Speaker", "its speaker was %s and is %s", or(was[node], "not there"), or(is[node], "not there"))
		}
	}
}

func (d *differ) services(before, after *Cluster) {
	was := map[string]ServiceRow{}
	for _, row := range Services(before, "").Services {
		was[row.Namespace+"/"+row.Name] = row
	}
	for _, row := range Services(after, "").Services {
		key := row.Namespace + "/" + row.Name
		old, known := was[key]
		delete(was, key)
		d.service("Service "+key, old, row, known)
	}
	for _, key := range slices.Sorted(keysOf(was)) {
		d.tell("Service "+key, "Gone", "it had %s", or(addressTexts(was[key]), "no address"))
	}
}

func (d *differ) service(object string, was, is ServiceRow, known bool) {
	switch {
	case !known && is.Reason == "":
		d.tell(object, "New", "it waits for the controller")
	case !known || was.Reason != is.Reason || was.Message != is.Message:
		if is.Reason != "" {
			d.tell(object, is.Reason, "%s", is.Message)
		}
	}
	for _, a := range is.Addresses {
		old, had := rowOf(was, a)
		switch {
		case a.State == stateUnknown || had && old.State == stateUnknown:
		case a.State == stateAnnounced && a.Routing != nil && (!had || old.Routing == nil || old.State != a.State ||
			old.Routing.Summary() != a.Routing.Summary()):
			d.tell(object, stateAnnounced, "%s is %s", a.Address, a.Routing.Summary())
		case a.State == stateAnnounced && len(a.Nodes) == 0:
		case a.State == stateAnnounced && (!had || len(old.Nodes) == 0 || old.Nodes[0] != a.Nodes[0] || old.State != a.State):
			from := ""
			if had && len(old.Nodes) > 0 && old.Nodes[0] != a.Nodes[0] {
				from = ", and no longer " + strings.Join(old.Nodes, ", ")
			}
			d.tell(object, stateAnnounced, "%s answers for %s%s", a.Nodes[0], a.Address, from)
		case a.State != old.State && a.State != stateAnnounced:
			d.tell(object, a.State, "%s: %s", a.Address, a.Detail)
		}
	}
	for _, a := range was.Addresses {
		if _, has := rowOf(is, a); !has {
			d.tell(object, "Released", "it has %s no more", a.Address)
		}
	}
}

func rowOf(s ServiceRow, a AddressRow) (AddressRow, bool) {
	i := slices.IndexFunc(s.Addresses, func(x AddressRow) bool { return x.Address == a.Address })
	if i < 0 {
		return AddressRow{}, false
	}
	return s.Addresses[i], true
}

func addressTexts(s ServiceRow) string {
	texts := make([]string, len(s.Addresses))
	for i, a := range s.Addresses {
		texts[i] = a.Address.String()
	}
	return strings.Join(texts, ", ")
}

// keysOf yields the keys of all maps.
func keysOf[V any](all ...map[string]V) func(func(string) bool) {
	union := map[string]bool{}
	for _, m := range all {
		for k := range m {
			union[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range union {
			if !yield(k) {
				return
			}
		}
	}
}
