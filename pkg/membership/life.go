package membership

import (
	"maps"
	"time"
)

const (
	// minLife is the time that a member must stay alive to count as stable.
	minLife = 10 * time.Second
	// maxShortLives is the number of consecutive lives shorter than minLife after which a member is unstable. An
	// unstable member counts as a member again only after a life of minLife.
	maxShortLives = 2
	// lifeMemory is the time after which the view forgets the lives of a lost member.
	lifeMemory = 10 * time.Minute
)

// life is a period in which memberlist considers another node alive.
//
// A firewall that blocks gossip from A to B makes memberlist on A alternate without end: B connects to A and joins, A
// gets no answer to its probes and declares B dead, and B refutes its death in the next exchange. So the view hides a
// member after several short lives, until a life of the member is long enough.
type life struct {
	// began and ended are the bounds of the newest life; ended is zero while the life lasts.
	began, ended time.Time
	// short is the number of previous lives that were shorter than minLife, since the last longer life.
	short int
	// ready is Member.Since in the newest life. Another value means another process, and resets short.
	ready time.Time
	// hidden is the member while the view hides the member; problem is the problem of the metadata of that member.
	hidden  *Member
	problem error
}

// unstable reports whether the lives of the member were too short.
func (l life) unstable() bool { return l.short >= maxShortLives }

// join returns the view after memberlist has found the member alive.
func (v *view) join(member Member, problem error, now time.Time) *view {
	l := v.lives[member.Name]
	if !member.Since.IsZero() && !l.ready.IsZero() && !member.Since.Equal(l.ready) {
		l.short = 0
	}
	l.began, l.ended, l.hidden, l.problem = now, time.Time{}, nil, nil
	if !member.Since.IsZero() {
		l.ready = member.Since
	}
	next := v
	if l.unstable() {
		l.hidden, l.problem = &member, problem
	} else {
		next = v.with(member, problem)
	}
	return next.withLife(member.Name, l, now)
}

// update returns the view after the metadata of the member has changed.
func (v *view) update(member Member, problem error) *view {
	l := v.lives[member.Name]
	if l.hidden == nil {
		return v.with(member, problem)
	}
	l.hidden, l.problem = &member, problem
	return v.withLife(member.Name, l, l.began)
}

// lose returns the view after memberlist has found the member dead, or after the member has announced that it leaves.
func (v *view) lose(name string, now time.Time) *view {
	l, state := v.lives[name], Unknown
	if !l.ended.IsZero() {
		return v
	}
	if i, found := v.find(name); found {
		state = v.members[i].State
	} else if l.hidden != nil {
		state = l.hidden.State
	}
	next := v.without(name)
	switch {
	case state == Leaving || l.began.IsZero():
		l = life{}
	case now.Sub(l.began) < minLife:
		l.short++
	default:
		l.short = 0
	}
	l.ended, l.hidden, l.problem = now, nil, nil
	return next.withLife(name, l, now)
}

// settleLives returns the view including the unstable members that have stayed for minLife.
func (v *view) settleLives(now time.Time) *view {
	next := v
	for name, l := range v.lives {
		if l.hidden != nil && now.Sub(l.began) >= minLife {
			next = next.with(*l.hidden, l.problem)
			l.short, l.hidden, l.problem = 0, nil, nil
			next = next.withLife(name, l, now)
		}
	}
	return next
}

// withLife returns a copy of v with this life. If l has ended, withLife also removes the lives that ended lifeMemory
// ago, and the ended lives without a previous short life.
func (v *view) withLife(name string, l life, now time.Time) *view {
	next := *v
	next.lives = maps.Clone(v.lives)
	if next.lives == nil {
		next.lives = make(map[string]life, 1)
	}
	next.lives[name] = l
	if l.ended.IsZero() {
		return &next
	}
	maps.DeleteFunc(next.lives, func(_ string, l life) bool {
		return !l.ended.IsZero() && (l.short == 0 || now.Sub(l.ended) >= lifeMemory)
	})
	return &next
}
