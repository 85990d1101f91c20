package kube

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

func newQuietStore() *Store {
	return New(Options{Namespace: "lanlord-system", ConfigMap: "config", Log: slog.New(slog.DiscardHandler)})
}

func versioned(o *corev1.Service, version int) *corev1.Service {
	o.ResourceVersion = strconv.Itoa(version)
	return o
}

// happened is one change in a history. After the change, the object name exists or does not exist.
type happened struct {
	version int
	name    string
	exists  bool
}

// history returns a random history of Services. Unrelated changes use up versions, too.
func history(random *rand.Rand) (all []happened) {
	exists := map[string]bool{}
	for version := 100 + random.IntN(3); len(all) < 12; version += 1 + random.IntN(3) {
		name := string(rune('a' + random.IntN(4)))
		gone := exists[name] && random.IntN(2) == 0
		exists[name] = !gone
		all = append(all, happened{version, name, !gone})
	}
	return all
}

// reader is a Store that follows a history.
type reader struct {
	store *Store
	// next is the index of the first change that the reader has not seen. complete is a version up to which the reader
	// has seen every change.
	next, complete int
	// shown holds the versions of the changes that the reader has seen as events or as objects of a list.
	shown map[int]bool
}

func (r *reader) list(t *testing.T, all []happened, next int) {
	t.Helper()
	objects := map[string]*corev1.Service{}
	version := 99
	for _, h := range all[:next] {
		version = h.version
		if delete(objects, h.name); h.exists {
			objects[h.name] = versioned(service(h.name), h.version)
		}
	}
	var list []any
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		list = append(list, objects[name])
		v, err := strconv.Atoi(objects[name].ResourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		r.shown[v] = true
	}
	r.next, r.complete = next, max(r.complete, version)
	if err := r.store.services.Replace(list, strconv.Itoa(r.complete)); err != nil {
		t.Fatal(err)
	}
}

// step shows the reader a further part of the history: the next event, a bookmark before the next event, or a list at
// any later point.
func (r *reader) step(t *testing.T, random *rand.Rand, all []happened) {
	t.Helper()
	switch {
	case random.IntN(5) == 0:
		r.list(t, all, r.next+random.IntN(len(all)-r.next+1))
	case random.IntN(4) == 0 && r.next < len(all):
		r.complete = max(r.complete, all[r.next].version-1)
		if err := r.store.services.Bookmark(strconv.Itoa(r.complete)); err != nil {
			t.Fatal(err)
		}
	case r.next < len(all):
		h := all[r.next]
		do := r.store.services.Update
		if !h.exists {
			do = r.store.services.Delete
		}
		if err := do(versioned(service(h.name), h.version)); err != nil {
			t.Fatal(err)
		}
		r.shown[h.version], r.complete = true, h.version
		r.next++
	}
}

// lacks reports whether o has seen a change that r has not seen.
func (r *reader) lacks(o *reader) bool {
	for version := range o.shown {
		if version > r.complete {
			return true
		}
	}
	return false
}

// TestVersionsLaw lets two readers follow one history, each with lists, bookmarks and events of its own. Readers that
// have seen the same changes are never Less than each other, and a reader is Less exactly when the other reader has
// seen a change that the reader has not seen. A list cannot show a deletion, so a deletion counts only for a reader
// that watched the deletion, or had the object before.
func TestVersionsLaw(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 15))
		all := history(random)
		a, b := &reader{store: newQuietStore(), shown: map[int]bool{}}, &reader{store: newQuietStore(), shown: map[int]bool{}}
		a.list(t, all, random.IntN(len(all)))
		b.list(t, all, random.IntN(len(all)))
		for range 30 {
			pair := []*reader{a, b}
			pair[random.IntN(2)].step(t, random, all)
			x, y := a.store.Snapshot().Versions, b.store.Snapshot().Versions
			state := fmt.Sprintf("seed %d: a at %d has %+v, b at %d has %+v", seed, a.next, x.Services, b.next, y.Services)
			if a.next == b.next && (x.Less(y) || y.Less(x)) {
				t.Fatalf("%s: both have seen the same changes", state)
			}
			if a.lacks(b) && !x.Less(y) || b.lacks(a) && !y.Less(x) {
				t.Fatalf("%s: a change is missing that the other one has seen", state)
			}
			if x.Less(y) && a.next > b.next || y.Less(x) && b.next > a.next {
				t.Fatalf("%s: the one that has seen more is Less", state)
			}
		}
	}
}

// TestVersionsOfDeletion compares a node that watched a deletion with a node that started after the deletion.
func TestVersionsOfDeletion(t *testing.T) {
	watched, started := newQuietStore(), newQuietStore()
	for _, err := range []error{
		watched.services.Replace([]any{versioned(service("a"), 2500), versioned(service("b"), 2000)}, "2600"),
		watched.services.Delete(versioned(service("b"), 3000)),
		started.services.Replace([]any{versioned(service("a"), 2500)}, "3100"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if x, y := watched.Snapshot().Versions, started.Snapshot().Versions; x.Less(y) || y.Less(x) {
		t.Errorf("%+v and %+v have seen the same changes", x.Services, y.Services)
	}
	if got, want := watched.Snapshot().Versions.Services, (cluster.Seen{Changed: 3000, Complete: 3000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestVersionsOfRelist lists the Services after a deletion. A node that has seen no change since is behind, and a node
// that watched the deletion is not.
func TestVersionsOfRelist(t *testing.T) {
	stale, relisted, watched := newQuietStore(), newQuietStore(), newQuietStore()
	for _, s := range []*Store{stale, relisted, watched} {
		if err := s.services.Replace([]any{versioned(service("a"), 2500), versioned(service("b"), 2000)}, "2600"); err != nil {
			t.Fatal(err)
		}
	}
	if err := relisted.services.Replace([]any{versioned(service("a"), 2500)}, "3100"); err != nil {
		t.Fatal(err)
	}
	if err := watched.services.Delete(versioned(service("b"), 2700)); err != nil {
		t.Fatal(err)
	}
	of := func(s *Store) cluster.Versions { return s.Snapshot().Versions }
	if !of(stale).Less(of(relisted)) || of(watched).Less(of(relisted)) || of(relisted).Less(of(watched)) {
		t.Errorf("stale %+v, relisted %+v, watched %+v", of(stale).Services, of(relisted).Services, of(watched).Services)
	}
}

// TestVersionsOfBackup lists data that was restored from a backup: earlier versions no longer count.
func TestVersionsOfBackup(t *testing.T) {
	s := newQuietStore()
	for _, err := range []error{
		s.services.Replace([]any{versioned(service("a"), 900)}, "1000"),
		s.services.Update(versioned(service("b"), 1100)),
		s.services.Replace([]any{versioned(service("a"), 300)}, "400"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := s.Snapshot().Versions.Services, (cluster.Seen{Changed: 300, Complete: 400}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
