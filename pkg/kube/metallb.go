package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/metallb"
)

// These constants are the times of the conversion of MetalLB's resources.
const (
	// The Store converts the set when no resource has changed for quietTime, because kubectl apply of a file changes
	// the resources one after the other. No change waits longer than quietLimit.
	quietTime  = 200 * time.Millisecond
	quietLimit = 2 * time.Second
	// emptiedTime is the pause after the deletion of the last resource of a kind. When a CustomResourceDefinition is
	// deleted, the API server deletes the resources first and the definition some time later.
	emptiedTime = 5 * time.Second
	// absentRetry is the average pause between two requests for a kind whose CustomResourceDefinition does not exist.
	absentRetry = 20 * time.Second
)

// resourceSet holds the resources of MetalLB in one namespace. Store.mu guards the fields, unless a comment says
// otherwise.
type resourceSet struct {
	// kinds never changes. It is empty when the configuration is in a ConfigMap.
	kinds []*resourceKind
	// changed rings when generation moves.
	changed bell
	// first and last are the times of the first and the last change since the last conversion, zero for none.
	first, last time.Time
	// generation counts the changes, and converted is the generation of the last conversion. passed is closed and
	// replaced when converted moves.
	generation, converted uint64
	passed                chan struct{}
	// problems lists the problems in the newest set, each with its object.
	problems []cluster.ObjectProblem
}

// resourceKind holds the resources of one kind.
type resourceKind struct {
	metallb.Kind
	resource *Resource
	table    *table[customRow]
	// replacing is true while the table takes over a list.
	replacing bool
	// absent is true while the API server does not know the kind. returning is true from the time when the API server
	// knows the kind again until the kind is listed.
	absent, returning bool
	// version is the resourceVersion of the newest state of the kind's resources: first of the first list, then of each
	// change.
	version uint64
	// emptied is the time of the deletion of the last resource. It is zero while there are resources, and after the API
	// server has confirmed that the kind still exists.
	emptied time.Time
}

// known reports whether the resources of the kind are known.
func (k *resourceKind) known() bool { return k.absent || k.table.synced && !k.returning }

// title returns the name of the kind's watch.
func (k *resourceKind) title() string { return k.Definition() }

// makeResourceTables makes the tables of MetalLB's resources.
func (s *Store) makeResourceTables() {
	s.set.changed, s.set.passed = newBell(), make(chan struct{})
	if s.opt.MetalLB == "" {
		return
	}
	for _, kind := range metallb.Kinds() {
		k := &resourceKind{Kind: kind, resource: customResource(kind)}
		k.table = newTable(s, func(_ cluster.Key, at string, old, row *customRow) bool {
			if old.same(row) {
				return false
			}
			k.version = max(k.version, number(at))
			k.countRows()
			if !k.replacing {
				s.touchSet()
			}
			return false
		}, func(object any) (customRow, bool) { return convertCustom(kind, object.(*customObject)) })
		first := true
		k.table.listing = func(back bool) {
			if k.replacing = true; back {
				k.version = 0
				s.config.distrust(fromUser, fromHandover)
			}
		}
		k.table.listed = func() bool {
			if k.returning && len(k.table.rows) == 0 {
				k.emptied = time.Now() // the definition came before the resources
			}
			k.replacing, k.returning = false, false
			if first || k.version == 0 {
				first, k.version = false, number(k.table.seen)
			}
			s.touchSet()
			return false
		}
		s.set.kinds = append(s.set.kinds, k)
	}
}

// countRows records the time at which the last resource of the kind disappeared. The caller holds Store.mu.
func (k *resourceKind) countRows() {
	switch {
	case len(k.table.rows) > 0:
		k.emptied = time.Time{}
	case k.emptied.IsZero():
		k.emptied = time.Now()
	}
}

// touchSet records a change of the set. The caller holds Store.mu.
func (s *Store) touchSet() {
	now := time.Now()
	if s.set.first.IsZero() {
		s.set.first = now
	}
	s.set.last = now
	s.set.generation++
	s.set.changed.ring()
}

// watchedResources returns the watches of MetalLB's resources.
func (s *Store) watchedResources() (ws []watched) {
	for i, k := range s.set.kinds {
		ws = append(ws, watched{
			title: k.title(), resource: k.resource, namespace: s.opt.MetalLB, table: k.table, kind: k,
			// The first kind also waits for the first conversion of the set.
			synced: func() bool { return k.known() && (i > 0 || s.config.read || !s.knowSet()) },
		})
	}
	return ws
}

// knowSet reports whether the resources of all kinds are known. The caller holds Store.mu.
func (s *Store) knowSet() bool {
	return !slices.ContainsFunc(s.set.kinds, func(k *resourceKind) bool { return !k.known() })
}

// reportKind records whether the API server knows a kind, by the outcome of a list or watch.
func (s *Store) reportKind(k *resourceKind, err error) {
	if k == nil || err != nil && !apierrors.IsNotFound(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if absent := err != nil; absent != k.absent {
		k.absent, k.returning = absent, !absent
		s.touchSet()
	}
}

// pauseAbsent delays the error for a missing kind, so that the reflector asks seldom.
func (s *Store) pauseAbsent(ctx context.Context, w watched, err error) {
	if w.kind != nil && apierrors.IsNotFound(err) {
		s.health.wait(w.title, false)
		sleep(ctx, absentRetry/2+rand.N(absentRetry))
	}
}

// keepSet converts MetalLB's resources after each change, until ctx ends.
func (s *Store) keepSet(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		patient := s.config.read && s.config.inUse != nil
		wait := s.set.due(time.Now(), patient)
		if !s.knowSet() {
			wait = forever
		}
		s.mu.Unlock()
		switch {
		case wait > 0:
			s.set.changed.wait(ctx, wait)
		case !patient || s.confirmEmpty(ctx):
			s.convertSet()
		}
	}
}

// due returns the time until the next conversion. patient is true when a configuration is in use, so that the
// conversion can wait.
func (r *resourceSet) due(now time.Time, patient bool) time.Duration {
	if r.first.IsZero() {
		return forever
	}
	if !patient {
		return 0
	}
	at := r.last.Add(quietTime)
	if limit := r.first.Add(quietLimit); limit.Before(at) {
		at = limit
	}
	for _, k := range r.kinds {
		if !k.emptied.IsZero() && !k.absent {
			if settled := k.emptied.Add(emptiedTime); settled.After(at) {
				at = settled
			}
		}
	}
	return max(0, at.Sub(now))
}

// confirmEmpty asks the API server whether the kinds whose last resource was deleted still exist, and reports whether
// every request was answered.
func (s *Store) confirmEmpty(ctx context.Context) (sure bool) {
	s.mu.Lock()
	var ask []*resourceKind
	for _, k := range s.set.kinds {
		if !k.emptied.IsZero() && !k.absent {
			ask = append(ask, k)
		}
	}
	s.mu.Unlock()
	for _, k := range ask {
		limited, cancel := context.WithTimeout(ctx, keepLimit)
		_, err := s.opt.Client.Do(limited, Request{
			Verb: VerbList, Resource: k.resource, Namespace: s.opt.MetalLB, Options: metav1.ListOptions{Limit: 1},
		})
		cancel()
		s.mu.Lock()
		switch {
		case err == nil:
			k.emptied = time.Time{}
		case apierrors.IsNotFound(err):
			k.absent = true
			s.health.restart(k.title()) // the watch may not notice for minutes
		default:
			k.emptied = time.Now() // ask again later
			s.mu.Unlock()
			return false
		}
		s.mu.Unlock()
	}
	return true
}

// convertSet converts the current set and takes over the result.
func (s *Store) convertSet() {
	s.mu.Lock()
	var texts [][]byte
	var version uint64
	var missing []string
	for _, k := range s.set.kinds {
		version = max(version, k.version)
		switch {
		case !k.absent:
			for _, row := range k.table.rows {
				texts = append(texts, row.text)
			}
		case !k.Optional:
			missing = append(missing, k.Definition())
		}
	}
	generation := s.set.generation
	s.set.first, s.set.last = time.Time{}, time.Time{}
	s.mu.Unlock()

	var conversion *metallb.Configuration
	err := missingKinds(missing)
	if err == nil {
		conversion, err = metallb.ConvertObjects(s.opt.MetalLB, texts) // without mu: takes milliseconds
	}

	s.mu.Lock()
	changed := s.takeSet(conversion, version, err)
	s.set.converted = generation
	close(s.set.passed)
	s.set.passed = make(chan struct{})
	s.mu.Unlock()
	s.keeping.ring()
	s.moved(changed)
}

// missingKinds returns the problem of CustomResourceDefinitions that do not exist, nil if all exist.
func missingKinds(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the API server has no CustomResourceDefinition %s: apply those of MetalLB again, with the "+
		"resources, or use --config-source=configmap", strings.Join(names, ", "))
}

// takeSet takes over a conversion, or its error. The caller holds Store.mu.
func (s *Store) takeSet(conversion *metallb.Configuration, version uint64, err error) (changed bool) {
	c := &s.config
	was := fmt.Sprint(c.refusal)
	c.read, c.version, c.refusal = true, strconv.FormatUint(version, 10), err
	s.set.problems = s.objectProblems(err)
	if err == nil {
		c.last[fromUser] = &accepted{conversion.Config, conversion.Text, version}
	}
	return c.choose() || was != fmt.Sprint(err)
}

// objectProblems returns the problems of single resources. A problem of the whole set refers to the namespace.
func (s *Store) objectProblems(err error) (problems []cluster.ObjectProblem) {
	if err == nil {
		return nil
	}
	whole := cluster.ObjectProblem{Object: s.config.object, Message: err.Error()}
	list, ok := errors.AsType[*metallb.Problems](err)
	if !ok {
		return []cluster.ObjectProblem{whole}
	}
	for _, p := range list.List {
		object := s.config.object
		for _, k := range s.set.kinds {
			row := k.table.rows[cluster.Key{Namespace: s.opt.MetalLB, Name: p.Name}]
			if k.Name == p.Kind && row != nil {
				object = customRef(k.Kind, s.opt.MetalLB, p.Name, row.uid)
			}
		}
		message := p.Message
		if object == s.config.object {
			message = p.String()
		}
		problems = append(problems, cluster.ObjectProblem{Object: object, Message: message})
	}
	return problems
}

// waitSet waits until the newest set of the watches is converted.
func (s *Store) waitSet(ctx context.Context) error {
	if s.opt.MetalLB == "" {
		return nil
	}
	for {
		s.mu.Lock()
		done, passed := s.set.converted == s.set.generation, s.set.passed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the conversion of MetalLB's resources: %w", context.Cause(ctx))
		}
	}
}

// secretRole returns the Role that lets the speakers read the Secrets that the configuration names.
func (s *Store) secretRole() string {
	if s.opt.MetalLB != "" {
		return "lanlord-metallb-speaker"
	}
	return "lanlord-speaker"
}

// secretNamespace returns the namespace of the Secrets that the configuration names.
func (s *Store) secretNamespace() string {
	if s.opt.MetalLB != "" {
		return s.opt.MetalLB
	}
	return s.opt.Namespace
}
