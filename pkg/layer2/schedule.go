package layer2

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// round is the urgency of an announcement. The lower goes first when there is more to send than the rate allows.
type round uint8

const (
	// firstRound tells a segment of an address that is new on it.
	firstRound round = iota
	// repeatRound makes up for frames that were lost, or that came too soon after another for a neighbour's liking.
	repeatRound
	// refreshRound keeps switches and neighbours from forgetting.
	refreshRound

	rounds
)

// String returns the round as it stands in metrics.
func (r round) String() string {
	switch r {
	case firstRound:
		return "first"
	case repeatRound:
		return "repeat"
	case refreshRound:
		return "refresh"
	}
	return "unknown"
}

// offsets are the times of an address's announcements, counted from the first. They lie on both sides of the second for which
// Linux holds on to an entry (locktime), and cover losses of some seconds, as of a switch port that comes up.
var offsets = [...]time.Duration{0, 200 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second}

// jitter is the part of the refresh interval by which a refresh may come before or after its time, so that it keeps step with
// nothing. It does not add up from one refresh to the next: what is spread evenly stays so.
const jitter = 0.1

// golden is the part of the refresh interval by which the first refreshes of two addresses, one after the other, lie apart. The
// multiples of the golden ratio leave no two parts of the interval unequally full, however many addresses there are.
const golden = 1 / math.Phi

// job is one address's place in the schedule.
type job struct {
	addr  netip.Addr
	count int       // announcements that were sent
	due   time.Time // of the next
	ideal time.Time // of the next refresh, without its jitter
	held  bool      // the rate did not allow the next one yet
	order uint64    // among jobs due at the same time
	index int       // in the heap of its round
}

// round tells the urgency of the next announcement.
func (j *job) round() round {
	switch {
	case j.count == 0:
		return firstRound
	case j.count < len(offsets):
		return repeatRound
	}
	return refreshRound
}

// schedule knows when each address is to be announced. It has no clock, sends nothing and belongs to one goroutine.
type schedule struct {
	refresh time.Duration // not positive: never
	jobs    map[netip.Addr]*job
	due     [rounds]jobHeap
	order   uint64
	phase   float64 // part of the refresh interval that the last first refresh was put at
}

func newSchedule(refresh time.Duration) *schedule {
	return &schedule{refresh: refresh, jobs: map[netip.Addr]*job{}}
}

// start makes addr's first announcement due, whether it has a place in the schedule or not.
func (s *schedule) start(now time.Time, addr netip.Addr) {
	s.stop(addr)
	j := &job{addr: addr, due: now}
	s.jobs[addr] = j
	s.push(j)
}

// resume plans addr's refreshes alone, as if its announcements had been sent.
func (s *schedule) resume(now time.Time, addr netip.Addr) {
	s.stop(addr)
	j := &job{addr: addr, count: len(offsets)}
	s.jobs[addr] = j
	s.firstRefresh(now, j)
	s.push(j)
}

// stop forgets addr.
func (s *schedule) stop(addr netip.Addr) {
	if j := s.jobs[addr]; j != nil {
		delete(s.jobs, addr)
		s.remove(j)
	}
}

// next returns the most urgent of the jobs that are due, or nil.
func (s *schedule) next(now time.Time) *job {
	for _, h := range s.due {
		if len(h) > 0 && !h[0].due.After(now) {
			return h[0]
		}
	}
	return nil
}

// sent notes that j was announced, and when it comes next. An announcement that came late delays those after it: they would
// make up for no loss if they followed at once.
func (s *schedule) sent(now time.Time, j *job) {
	s.remove(j)
	j.count++
	j.held = false
	switch {
	case j.count < len(offsets):
		j.due = now.Add(offsets[j.count] - offsets[j.count-1])
	case j.count == len(offsets):
		s.firstRefresh(now, j)
	default:
		s.nextRefresh(now, j)
	}
	s.push(j)
}

// wakeAt returns when the next job is due. ok is false when there is none.
func (s *schedule) wakeAt() (at time.Time, ok bool) {
	for _, h := range s.due {
		if len(h) > 0 && (!ok || h[0].due.Before(at)) {
			at, ok = h[0].due, true
		}
	}
	return at, ok
}

// setRefresh changes the interval. Refreshes that already had a time are spread anew.
func (s *schedule) setRefresh(now time.Time, refresh time.Duration) {
	if refresh == s.refresh {
		return
	}
	s.refresh = refresh
	s.due[refreshRound] = nil
	for _, j := range s.jobs {
		if j.round() == refreshRound {
			j.index = -1
			s.firstRefresh(now, j)
			s.push(j)
		}
	}
}

// firstRefresh plans the first refresh. It may come at any time within the interval, so that addresses that were taken over
// together do not come together again.
func (s *schedule) firstRefresh(now time.Time, j *job) {
	_, s.phase = math.Modf(s.phase + golden)
	j.ideal = now.Add(time.Duration(s.phase * float64(s.refresh)))
	j.due = j.ideal.Add(s.jitter())
}

// nextRefresh plans the refresh after one that was sent. One that the rate has held back moves those after it.
func (s *schedule) nextRefresh(now time.Time, j *job) {
	if late := now.Add(-time.Duration(jitter * float64(s.refresh))); j.ideal.Before(late) {
		j.ideal = late
	}
	j.ideal = j.ideal.Add(s.refresh)
	j.due = j.ideal.Add(s.jitter())
}

// jitter draws how much later, or earlier, a refresh comes.
func (s *schedule) jitter() time.Duration {
	return time.Duration(jitter * float64(s.refresh) * (2*rand.Float64() - 1))
}

func (s *schedule) push(j *job) {
	if j.round() == refreshRound && s.refresh <= 0 {
		j.index = -1
		return
	}
	s.order++
	j.order = s.order
	heap.Push(&s.due[j.round()], j)
}

func (s *schedule) remove(j *job) {
	if j.index >= 0 {
		heap.Remove(&s.due[j.round()], j.index)
	}
}

// jobHeap implements heap.Interface.
type jobHeap []*job

func (h jobHeap) Len() int { return len(h) }

func (h jobHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), cmp.Compare(h[i].order, h[j].order)) < 0
}

func (h jobHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *jobHeap) Push(x any) {
	j := x.(*job)
	j.index = len(*h)
	*h = append(*h, j)
}

func (h *jobHeap) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	j.index = -1
	return j
}
