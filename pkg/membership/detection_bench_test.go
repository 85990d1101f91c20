package membership

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"
)

// BenchmarkCrashDetection prints the time from a crash until the last survivor has removed the member from its list.
func BenchmarkCrashDetection(b *testing.B) {
	for _, size := range []int{4, 10} {
		b.Run(fmt.Sprintf("members=%d", size), func(b *testing.B) {
			c := newCluster(b)
			c.log = slog.New(slog.DiscardHandler)
			nodes := c.startAll(size)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				victim, survivors := nodes[0], nodes[1:]
				name := victim.options.Name
				c.crash(victim)
				took = append(took, c.within(30*time.Second, "the crash is known to all", func() bool {
					return all(survivors, func(n *node) bool { _, found := n.find(name); return !found })
				}))
				b.StopTimer()
				victim.end()
				fresh := c.start(name)
				if err := fresh.SetState(Report{State: Ready}); err != nil {
					b.Fatal(err)
				}
				nodes = append(slices.Clone(survivors), fresh)
				c.eventually("the member is back", func() bool {
					return all(nodes, func(n *node) bool { return n.count(Ready) == size })
				})
				b.StartTimer()
			}
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2].Seconds(), "p50-s")
			b.ReportMetric(took[len(took)-1-len(took)/20].Seconds(), "p95-s")
			b.ReportMetric(took[len(took)-1].Seconds(), "max-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
