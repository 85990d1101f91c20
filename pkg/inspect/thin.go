package inspect

import (
	"slices"

	"github.com/lanlord/lanlord/pkg/status"
)

// mostProbes is the number of last probes that a Thinner keeps of all speakers together, at least the failed ones of the
// first speakers.
const mostProbes = 100_000

// mostRoutes is the number of routes that a Thinner keeps of all speakers together.
const mostRoutes = 100_000

// Thinner drops the parts of statuses that repeat what another speaker has said, so that the statuses of many speakers
// fit into memory. The reports about Services stay the same where the speakers agree. The report Who quotes each speaker,
// and needs whole statuses. The zero Thinner has seen no status.
type Thinner struct {
	seen    map[standby]bool
	strings map[string]string
	routes  int
	probes  int
}

// standby holds the part of a status.Watched that the reports use, of an address in standby.
type standby struct{ address, elected, reason, message string }

// Thin drops the parts of s that an earlier call has seen in another status. whole is false if s had more routes than
// fit into the limit; s then has none.
func (t *Thinner) Thin(s *status.Speaker) (whole bool) {
	if t.seen == nil {
		t.seen, t.strings = map[standby]bool{}, map[string]string{}
	}
	kept := s.Watched[:0]
	for _, w := range s.Watched {
		if w.State == status.StateStandby || w.State == "" {
			k := standby{address: w.Address, elected: w.Elected}
			if w.Elected == "" {
				k.reason, k.message = w.Reason, w.Message
			}
			if t.seen[k] {
				continue
			}
			t.seen[k] = true
		}
		kept = append(kept, w)
	}
	s.Probes = keepProbes(s.Probes, mostProbes-t.probes)
	t.probes += len(s.Probes)
	s.Watched = slices.Clone(kept) // a new array, so that the memory of the rest is free
	if t.routes += len(s.Routes); t.routes > mostRoutes {
		s.Routes = nil
		return false
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		r.Services = nil
		for _, text := range []*string{&r.Address, &r.Reason, &r.Message, &r.Exclusion} {
			*text = t.one(*text)
		}
		for _, list := range [][]string{r.Prefixes, r.Peers, r.Told} {
			for i := range list {
				list[i] = t.one(list[i])
			}
		}
	}
	return true
}

// one returns an equal string, the same for equal strings.
func (t *Thinner) one(text string) string {
	if same, has := t.strings[text]; has {
		return same
	}
	t.strings[text] = text
	return text
}
