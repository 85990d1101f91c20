package ownership

import (
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/peers"
)

// BenchmarkStep reviews an address that nothing has happened to, as a round does with each address of the cluster.
func BenchmarkStep(b *testing.B) {
	for name, a := range map[string]*Address{"Standby": New(alphabetic()), "Owner": Inherit(alphabetic())} {
		b.Run(name, func(b *testing.B) {
			s := newScene()
			s.in.Self.Name = "z"
			if name == "Owner" {
				s.in.Self.Name = s.in.Placement.Owner
			}
			s.in.Peers = peers.NewView(s.peers, map[layer2.MAC]string{}, 0)
			now := epoch.Add(time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				a.Step(now, s.in)
			}
		})
	}
}
