package speaker

import (
	"sync/atomic"

	"github.com/lanlord/lanlord/pkg/cluster"
)

const (
	// mostSilences is the number of Services in a row whose rules did not come, after which silence tells nothing: most
	// likely a policy drops the packets of the nodes. mostSilent limits the remembered Services.
	mostSilences = 3
	mostSilent   = 1024
)

// silences remembers the Services that never answered another member through this node. Silence about such a Service
// tells nothing, and no address waits for the Service again.
type silences struct {
	// answering is parts.answering.
	answering *atomic.Bool
	services  map[cluster.Key]bool
	row       int
}

// tells reports whether the silence of a Service means that rules are missing.
func (s *silences) tells(key cluster.Key) bool {
	return s.answering.Load() && s.row < mostSilences && !s.services[key]
}

// note records a Service whose rules did not come.
func (s *silences) note(key cluster.Key) {
	if s.services == nil || len(s.services) >= mostSilent {
		s.services = map[cluster.Key]bool{}
	}
	s.services[key] = true
	s.row++
}

// end records a Service that has answered.
func (s *silences) end(key cluster.Key) {
	delete(s.services, key)
	s.row = 0
}
