package membership

import (
	"maps"
	"slices"
	"strings"
)

// view is the list of members at one moment. It is immutable.
type view struct {
	members []Member // sorted by name
	// problems say by name why a member's metadata cannot be read; nil when all can.
	problems map[string]error
}

// find returns where the member of this name is, or would be.
func (v *view) find(name string) (int, bool) {
	return slices.BinarySearchFunc(v.members, name, func(m Member, name string) int {
		return strings.Compare(m.Name, name)
	})
}

// with returns the view in which member is as given. It returns v itself when that changes nothing.
func (v *view) with(member Member, problem error) *view {
	i, found := v.find(member.Name)
	old := v.problems[member.Name]
	if found && v.members[i].equal(member) && (problem == nil) == (old == nil) {
		return v
	}
	next := &view{members: slices.Clone(v.members), problems: v.problems}
	if found {
		next.members[i] = member
	} else {
		next.members = slices.Insert(next.members, i, member)
	}
	if problem != nil || old != nil {
		next.problems = maps.Clone(v.problems)
		delete(next.problems, member.Name)
		if problem != nil {
			if next.problems == nil {
				next.problems = make(map[string]error, 1)
			}
			next.problems[member.Name] = problem
		}
	}
	return next
}

// without returns the view in which there is no such member.
func (v *view) without(name string) *view {
	i, found := v.find(name)
	if !found {
		return v
	}
	next := &view{members: slices.Delete(slices.Clone(v.members), i, i+1), problems: v.problems}
	if v.problems[name] != nil {
		next.problems = maps.Clone(v.problems)
		delete(next.problems, name)
	}
	return next
}

// publish replaces the view by what change makes of it, and wakes the loop of Run and the owner's when that is a change.
func (m *Membership) publish(change func(*view) *view) {
	for !m.frozen.Load() {
		before := m.published.Load()
		after := change(before)
		if before == after {
			return
		}
		if m.published.CompareAndSwap(before, after) {
			if len(after.members) > 1 {
				m.settled.Store(true)
			}
			select {
			case m.changed <- struct{}{}:
			default: // the loop of Run will look anyway
			}
			m.options.Wake()
			return
		}
	}
}

// logChanges logs the difference between two views, this member left out.
func (m *Membership) logChanges(before, after *view) {
	log := m.options.Log
	for _, old := range before.members {
		if _, found := after.find(old.Name); !found {
			log.Info("member gone", "node", old.Name, "address", old.Addr, "state", old.State)
		}
	}
	for _, member := range after.members {
		if member.Name == m.options.Name {
			continue
		}
		i, found := before.find(member.Name)
		switch {
		case !found:
			log.Info("member joined", "node", member.Name, "address", member.Addr, "state", member.State)
		case !member.equal(before.members[i]):
			log.Info("member changed", "node", member.Name, "address", member.Addr, "state", member.State)
		}
		problem := after.problems[member.Name]
		if problem != nil && (before.problems[member.Name] == nil || before.problems[member.Name].Error() != problem.Error()) {
			log.Warn("member is not counted as ready", "node", member.Name, "err", problem)
		}
	}
}
