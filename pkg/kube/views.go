package kube

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// The callers of the functions in this file hold Store.mu.

// serviceChanged takes over a row of the table. After an own write, serviceChanged ignores older rows until the watch
// has reached the write.
func (s *Store) serviceChanged(key cluster.Key, at string, old, row *serviceRow) (wake bool) {
	s.serve(row)
	if own, ok := s.own[key]; ok {
		if older(at, own.version) {
			return false
		}
		delete(s.own, key)
		old = own.row
	}
	if old == nil && row == nil {
		return false
	}
	s.dirty[key] = struct{}{}
	claims := s.claimsChanged(old, row)
	return old == nil || row == nil || claims || !sameService(&old.service, &row.service)
}

// claimsChanged records and reports whether two rows of a Service have different claims. Each row may be nil.
func (s *Store) claimsChanged(old, row *serviceRow) bool {
	var was, is []cluster.Claim
	if old != nil {
		was = old.claims
	}
	if row != nil {
		is = row.claims
	}
	if slices.Equal(was, is) {
		return false
	}
	s.dirtyClaims = true
	return true
}

// sameService reports whether two Services differ at most in their version.
func sameService(a, b *cluster.Service) bool {
	like := *a
	like.Version = b.Version
	return reflect.DeepEqual(&like, b)
}

// row returns the newest row of a Service, nil for none.
func (s *Store) row(key cluster.Key) *serviceRow {
	if own, ok := s.own[key]; ok {
		return own.row
	}
	return s.services.rows[key]
}

// keep stores the result of a write and reports whether the result was new: the watch may have passed the write
// already. A nil row hides the Service.
func (s *Store) keep(key cluster.Key, version string, row *serviceRow) bool {
	if own, ok := s.own[key]; ok && older(version, own.version) || !older(s.services.seen, version) {
		return false
	}
	s.serve(row)
	s.claimsChanged(s.row(key), row)
	s.own[key] = ownWrite{version: version, row: row}
	s.dirty[key] = struct{}{}
	return true
}

func (s *Store) sliceChanged(key cluster.Key, _ string, old, row *sliceRow) (wake bool) {
	if old != nil && (row == nil || row.service != old.service) {
		of := slices.DeleteFunc(s.slicesOf[old.service], func(k cluster.Key) bool { return k == key })
		if s.slicesOf[old.service] = of; len(of) == 0 {
			delete(s.slicesOf, old.service)
		}
		wake = s.refreshEndpoints(old.service)
	}
	if row != nil {
		if old == nil || row.service != old.service {
			s.slicesOf[row.service] = append(s.slicesOf[row.service], key)
		}
		wake = s.refreshEndpoints(row.service) || wake
	}
	return wake
}

// refreshEndpoints combines the slices of a Service and reports whether the result has changed and the Service has a
// row.
func (s *Store) refreshEndpoints(service cluster.Key) (wake bool) {
	var now endpoints
	for _, key := range s.slicesOf[service] {
		row := s.slices.rows[key]
		now.serving = now.serving || row.serving
		now.nodes, now.ready = append(now.nodes, row.nodes...), append(now.ready, row.ready...)
	}
	now.nodes, now.ready = compactNodes(now.nodes, now.ready)
	was := s.endpoints[service]
	if was.serving == now.serving && slices.Equal(was.nodes, now.nodes) && slices.Equal(was.ready, now.ready) {
		return false
	}
	if now.serving {
		s.endpoints[service] = now
	} else {
		delete(s.endpoints, service)
	}
	row := s.row(service)
	if row == nil {
		return false
	}
	s.replace(service, row)
	return true
}

// replace updates the endpoints and the Gateway addresses of a Service with the row row. Snapshots share the old row,
// so replace changes a copy.
func (s *Store) replace(service cluster.Key, row *serviceRow) {
	next := *row
	s.serve(&next)
	if own, ok := s.own[service]; ok {
		s.own[service] = ownWrite{version: own.version, row: &next}
	} else {
		s.services.rows[service] = &next
	}
	s.dirty[service] = struct{}{}
}

// serve writes the endpoints and the requested Gateway addresses of a Service into its row, which no snapshot shares
// yet. A nil row is ignored.
func (s *Store) serve(row *serviceRow) {
	if row != nil {
		row.service.GatewayAddresses = nil
		if g := s.gateways.rows[row.service.Gateway]; g != nil {
			row.service.GatewayAddresses = g.requested
		}
		e := s.endpoints[row.service.Key]
		row.service.HasServing, row.service.ServingNodes, row.service.ReadyNodes = e.serving, e.nodes, e.ready
	}
}

// publishServices updates published and publishedOthers. The new lists share all but the dirty Services with the old
// lists.
func (s *Store) publishServices() {
	if len(s.dirty) == 0 {
		return
	}
	dirty := slices.SortedFunc(maps.Keys(s.dirty), cluster.Key.Compare)
	s.published = s.publish(s.published, dirty, false)
	s.publishedOthers = s.publish(s.publishedOthers, dirty, true)
	clear(s.dirty)
}

// publish returns the list with the current version of the dirty Services. other selects the kind of Services in the
// list. A list without dirty Services is returned unchanged.
func (s *Store) publish(rest []*cluster.Service, dirty []cluster.Key, other bool) []*cluster.Service {
	was := rest
	var next []*cluster.Service
	for _, key := range dirty {
		i, found := slices.BinarySearchFunc(rest, key, func(v *cluster.Service, k cluster.Key) int { return v.Key.Compare(k) })
		row := s.row(key)
		if row != nil && (row.hidden || row.other != other) {
			row = nil
		}
		if !found && row == nil {
			continue
		}
		if next == nil {
			next = make([]*cluster.Service, 0, len(was)+len(dirty))
		}
		next = append(next, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if row != nil {
			next = append(next, &row.service)
		}
	}
	if next == nil {
		return was
	}
	return append(next, rest...)
}

func (s *Store) nodeChanged(_ cluster.Key, _ string, old, row *cluster.Node) (wake bool) {
	if old != nil && row != nil && reflect.DeepEqual(*old, *row) {
		return false
	}
	s.dirtyNodes, s.dirtyFacts, s.dirtyClaims = true, true, true
	s.keeping.ring()
	return true
}

func (s *Store) publishNodes() {
	if !s.dirtyNodes {
		return
	}
	next := make([]cluster.Node, 0, len(s.nodes.rows))
	for _, row := range s.nodes.rows {
		n := *row
		n.MACs = s.macs[n.Name]
		next = append(next, n)
	}
	slices.SortFunc(next, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) })
	s.publishedNodes, s.dirtyNodes = next, false
}

func (s *Store) namespaceChanged(_ cluster.Key, _ string, old, row *cluster.Namespace) (wake bool) {
	if old != nil && row != nil && maps.Equal(old.Labels, row.Labels) {
		return false
	}
	s.dirtyNamespaces = true
	return true
}

func (s *Store) publishNamespaces() {
	if !s.dirtyNamespaces {
		return
	}
	next := make([]cluster.Namespace, 0, len(s.namespaces.rows))
	for _, row := range s.namespaces.rows {
		next = append(next, *row)
	}
	slices.SortFunc(next, func(a, b cluster.Namespace) int { return strings.Compare(a.Name, b.Name) })
	s.publishedNamespaces, s.dirtyNamespaces = next, false
}

// secretChanged takes over the keys. When the Secret is deleted or emptied, the last keys stay, because the speakers
// still need common keys.
func (s *Store) secretChanged(key cluster.Key, _ string, old, row *[][]byte) (wake bool) {
	if row == nil || len(*row) == 0 {
		if old != nil && len(*old) > 0 {
			s.opt.Log.Warn("the gossip keys are gone; the last ones stay in use", "secret", key)
		}
		return false
	}
	wake = !slices.EqualFunc(s.keys, *row, bytes.Equal)
	s.keys = *row
	return wake
}
