package membership

import (
	"maps"
	"slices"
	"strings"
)

// view is the list of members at one moment. A view is immutable.
type view struct {
	members []Member // sorted by name
	// problems maps the name of a member to the reason why its metadata cannot be read; nil when there is none.
	problems map[string]error
	// lives maps the name of each other member, and of each member lost after a short life, to its life.
	lives map[string]life
}

// find returns the index of the member with this name, or the index for an insertion.
func (v *view) find(name string) (int, bool) {
	return slices.BinarySearchFunc(v.members, name, func(m Member, name string) int {
		return strings.Compare(m.Name, name)
	})
}

// with returns the view including this member. with returns v itself when nothing changes.
func (v *view) with(member Member, problem error) *view {
	i, found := v.find(member.Name)
	old := v.problems[member.Name]
	if found && v.members[i].equal(member) && (problem == nil) == (old == nil) {
		return v
	}
	next := &view{members: slices.Clone(v.members), problems: v.problems, lives: v.lives}
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

// without returns the view without the member with this name.
func (v *view) without(name string) *view {
	i, found := v.find(name)
	if !found {
		return v
	}
	next := &view{members: slices.Delete(slices.Clone(v.members), i, i+1), problems: v.problems, lives: v.lives}
	if v.problems[name] != nil {
		next.problems = maps.Clone(v.problems)
		delete(next.problems, name)
	}
	return next
}

// publish replaces the view with the result of change, wakes the loop of Run, and calls Options.Wake when the members
// have changed.
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
			default: // the loop of Run has not seen the previous view yet
			}
			if !before.sameMembers(after) {
				m.options.Wake()
			}
			return
		}
	}
}

// sameMembers reports whether the members of v and o are the same list in memory.
func (v *view) sameMembers(o *view) bool {
	return len(v.members) == len(o.members) && (len(v.members) == 0 || &v.members[0] == &o.members[0])
}

// logChanges logs the differences between two views, except the changes of this member.
func (m *Membership) logChanges(before, after *view) {
	log := m.options.Log
	for _, old := range before.members {
		if _, found := after.find(old.Name); !found {
			log.Info("member gone", "node", old.Name, "address", old.Addr, "state", old.State)
		}
	}
	for name, l := range after.lives {
		if l.unstable() && !before.lives[name].unstable() {
			log.Warn("member joins and is lost again and again, and counts only when it stays", "node", name, "for", minLife)
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
