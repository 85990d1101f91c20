package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// RoutesAnnotation is the annotation that a speaker with BGP writes on its own Pod. The annotation holds the addresses
// that the speaker has announced to routers, by the names of the peers, as in
// {"sets":[{"peers":["tor-a","tor-b"],"ranges":["192.0.2.1-192.0.2.9","2001:db8::1"]}]}.
const RoutesAnnotation = "lanlord.io/routes"

// These constants limit the annotation. An annotation with all the ranges and peers that fit is shorter than
// mostRoutesText bytes.
const (
	mostRanges     = 512
	mostRangesText = 32 << 10 // for the ranges and the names of the peers, in bytes
	mostRoutesText = 64 << 10
)

type (
	routesText struct {
		Sets    []routesSetText `json:"sets,omitempty"`
		Partial bool            `json:"partial,omitempty"`
	}
	routesSetText struct {
		Peers  []string `json:"peers"`
		Ranges []string `json:"ranges"`
	}
)

// formatRouted returns the text of the annotation. formatRouted leaves out ranges over the limits, and then sets
// partial in the text.
func formatRouted(sets []cluster.RoutedSet) string {
	t, ranges, size := routesText{}, 0, 0
	for _, s := range sets {
		set := routesSetText{Peers: s.Peers}
		for _, p := range s.Peers {
			size += len(p)*len(`\u0000`) + len(`"",`) // JSON may escape each byte
		}
		for _, r := range s.Ranges {
			text := r.String()
			size += len(text) + len(`"",`)
			if ranges++; ranges > mostRanges || size > mostRangesText {
				t.Partial = true
				break
			}
			set.Ranges = append(set.Ranges, text)
		}
		if len(set.Ranges) > 0 {
			t.Sets = append(t.Sets, set)
		}
		if t.Partial {
			break
		}
	}
	return marshalText(t)
}

// parseRouted reads the text of the annotation.
func parseRouted(text string) (r cluster.Routed, err error) {
	if len(text) > mostRoutesText {
		return r, fmt.Errorf("%d bytes long, more than %d", len(text), mostRoutesText)
	}
	var t routesText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return r, err
	}
	r.Partial = t.Partial
	for _, s := range t.Sets {
		set := cluster.RoutedSet{Peers: s.Peers}
		for _, text := range s.Ranges {
			from, to, ok := strings.Cut(text, "-")
			if !ok {
				to = from
			}
			var x config.Range
			if x.From, err = parseAddress(from); err == nil {
				x.To, err = parseAddress(to)
			}
			if err != nil {
				return cluster.Routed{}, err
			}
			if !x.Contains(x.To) {
				return cluster.Routed{}, fmt.Errorf("%s is no range from a lower to a higher address", quote(text))
			}
			if last := len(set.Ranges) - 1; last >= 0 && set.Ranges[last].To.Compare(x.From) >= 0 {
				return cluster.Routed{}, fmt.Errorf("%s does not come after the range before", quote(text))
			}
			set.Ranges = append(set.Ranges, x)
		}
		if len(set.Peers) == 0 {
			return cluster.Routed{}, fmt.Errorf("%d ranges without a peer", len(set.Ranges))
		}
		r.Sets = append(r.Sets, set)
	}
	return r, nil
}

// publishRouted updates Routed of the snapshot: the reports of the ready speakers, sorted by the names of the nodes.
// While a rollout replaces a Pod, the node has two reports with the same content. The caller holds Store.mu.
func (s *Store) publishRouted() {
	if !s.dirtyRouted {
		return
	}
	s.dirtyRouted = false
	var list []cluster.Routed
	for _, p := range s.pods.rows {
		if p.routed != nil && p.ready {
			list = append(list, *p.routed)
		}
	}
	slices.SortFunc(list, func(x, y cluster.Routed) int { return strings.Compare(x.Node, y.Node) })
	s.publishedRouted = slices.CompactFunc(list, func(x, y cluster.Routed) bool { return x.Node == y.Node })
}

// routedChanged reports whether the report of a Pod counts differently than before.
func routedChanged(old, row *podRow) bool {
	was, is := old.counted(), row.counted()
	if was == nil || is == nil {
		return was != is
	}
	return !was.Equal(is)
}

// counted returns the report of a Pod that is ready, nil for none.
func (p *podRow) counted() *cluster.Routed {
	if p == nil || !p.ready {
		return nil
	}
	return p.routed
}
