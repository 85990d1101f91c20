package controller

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// slowSource is a Source that takes some time for each snapshot, as in a large cluster.
type slowSource struct {
	*fakeAPI
	takes time.Duration
	looks atomic.Int64
}

// Snapshot implements Source.
func (s *slowSource) Snapshot() cluster.Snapshot {
	s.looks.Add(1)
	time.Sleep(s.takes)
	return s.fakeAPI.Snapshot()
}

// TestPause wakes the loop all the time. The loop must spend only a part of the time on decisions, must not wait after
// an idle period, and must see all changes in the end.
func TestPause(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		most  int // snapshots in a second
	}{
		{2 * time.Millisecond, 101},
		{100 * time.Millisecond, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeAPI(t, documents[0])
			source := &slowSource{fakeAPI: f, takes: c.takes}
			_, stop := startWith(t, f, source)
			time.Sleep(time.Second)
			source.looks.Store(0)
			for range 1000 {
				f.wake()
				time.Sleep(time.Millisecond)
			}
			if n := int(source.looks.Load()); n > c.most || n < c.most/2 {
				t.Errorf("%d looks of %s in a second, want at most %d", n, c.takes, c.most)
			}
			time.Sleep(time.Second)
			f.apply("a", nil)
			began := time.Now()
			f.deliver()
			for f.took() == "" && time.Since(began) < time.Minute {
				time.Sleep(time.Millisecond)
			}
			if took := time.Since(began); took > c.takes+2*time.Millisecond {
				t.Errorf("a Service that came alone waited for %s, a look takes %s", took, c.takes)
			}
			stop()
		})
	}
}
