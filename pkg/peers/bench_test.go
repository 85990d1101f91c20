package peers

import (
	"fmt"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
)

// BenchmarkUpdate updates a table of 1,000 nodes. The loop of the speaker updates its table in each step.
func BenchmarkUpdate(b *testing.B) {
	var in Input
	for i := range 1000 {
		name := fmt.Sprintf("node-%04d", i)
		link := membership.Link{Name: "eth0", MAC: membership.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}}
		in.Members = append(in.Members,
			membership.Member{Name: name, State: membership.Ready, Links: []membership.Link{link}})
		in.Nodes = append(in.Nodes, cluster.Node{Name: name, MACs: [][6]byte{{4, 0, 0, 0, byte(i >> 8), byte(i)}}})
	}
	in.Self = in.Members[0]
	b.Run("same", func(b *testing.B) {
		t, now := NewTable("node-0000"), time.Now()
		for b.Loop() {
			t.Update(now, in)
			t.View()
		}
	})
	b.Run("changed", func(b *testing.B) {
		t, now := NewTable("node-0000"), time.Now()
		for n := range b.N {
			in.Members[1].Since = time.Unix(int64(n), 0)
			t.Update(now, in)
			t.View()
		}
	})
}
