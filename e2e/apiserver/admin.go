package apiserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// kindNamed returns the kind of a resource, as "services".
func kindNamed(resource string) (kind, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.resource == resource })
	if i < 0 {
		return kind{}, fmt.Errorf("no %s are served", resource)
	}
	return kinds[i], nil
}

// object decodes what is stored, nil for nothing.
func (k kind) object(o *stored) (runtime.Object, error) {
	if o == nil {
		return nil, nil
	}
	into := k.make()
	return into, json.Unmarshal(o.text, into)
}

// Edit changes one object of a resource in place, with nobody's write in between, and returns false if there is none.
func (s *Server) Edit(resource string, key types.NamespacedName, change func(runtime.Object)) (bool, error) {
	k, err := kindNamed(resource)
	if err != nil {
		return false, err
	}
	for {
		before := s.get(resource, key)
		if before == nil {
			return false, nil
		}
		o, err := k.object(before)
		if err != nil {
			return false, err
		}
		change(o)
		lost := false
		_, err = s.put(k, o, func(now *stored) error {
			if lost = now != before; lost {
				return fmt.Errorf("%s %s has changed meanwhile", resource, key)
			}
			return nil
		})
		if !lost {
			return err == nil, err
		}
	}
}

// Delete removes an object, if there is one.
func (s *Server) Delete(resource string, key types.NamespacedName) error {
	k, err := kindNamed(resource)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.objects[resource][key]
	if before == nil {
		return nil
	}
	// The event of a deletion carries its own version.
	o, err := k.object(before)
	if err != nil {
		return err
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return err
	}
	s.version++
	m.SetResourceVersion(fmt.Sprint(s.version))
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	last := *before
	last.version, last.text = s.version, text
	delete(s.objects[resource], key)
	s.record(k, change{s.version, &last, nil})
	return nil
}

// DeleteEvents removes the Events there are, as an API server does after an hour, and returns how many there were of each reason.
func (s *Server) DeleteEvents() (map[string]int, error) {
	events, err := s.Events()
	count := make(map[string]int)
	for _, e := range events {
		count[strings.TrimSpace(e.Reason)]++
		if err == nil {
			err = s.Delete("events", types.NamespacedName{Namespace: e.Namespace, Name: e.Name})
		}
	}
	return count, err
}

// Change is what happened to one object: Before is nil when it was created, After when it was deleted.
type Change struct{ Before, After runtime.Object }

// Changes returns what has happened to the objects of a resource after a version, in order, and the version that now is. It is
// an error if that is forgotten.
func (s *Server) Changes(resource string, version uint64) ([]Change, uint64, error) {
	k, err := kindNamed(resource)
	if err != nil {
		return nil, version, err
	}
	s.mu.Lock()
	all, now, known := s.after(resource, version), s.version, version >= s.trimmed
	s.mu.Unlock()
	if !known {
		return nil, version, fmt.Errorf("the changes after version %d are forgotten", version)
	}
	changes := make([]Change, len(all))
	for i, c := range all {
		var before, after runtime.Object
		if before, err = k.object(c.before); err == nil {
			after, err = k.object(c.after)
		}
		if err != nil {
			return nil, version, err
		}
		changes[i] = Change{before, after}
	}
	return changes, now, nil
}

// Get returns an object, nil if there is none.
func (s *Server) Get(resource string, key types.NamespacedName) (runtime.Object, error) {
	k, err := kindNamed(resource)
	if err != nil {
		return nil, err
	}
	return k.object(s.get(resource, key))
}
