package layer2

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// round is the urgency of an announcement. When the rate does not allow all announcements, the lower round goes first.
type round uint8

const (
	// firstRound announces a new address to a segment.
	firstRound round = iota
	// repeatRound covers frames that were lost, or that a neighbour ignored because they followed another frame too
	// soon.
	repeatRound
	// refreshRound keeps switches and neighbours from forgetting the address.
	refreshRound

	rounds
)

// String returns the round for metrics.
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

// offsets holds the times of an address's announcements, counted from the first. The times lie on both sides of the
// second for which Linux keeps an entry unchanged (locktime), and cover losses of some seconds, for example at a switch
// port that comes up.
var offsets = [...]time.Duration{0, 200 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second}

// jitter is the maximum shift of a refresh to either side, as a part of the refresh interval. The jitter keeps
// refreshes from synchronizing with other periodic traffic. The jitter does not add up from one refresh to the next, so
// evenly spread refreshes stay evenly spread.
const jitter = 0.1

// golden is the distance between the first refreshes of two successive addresses, as a part of the refresh interval.
// The multiples of the golden ratio fill all parts of the interval equally, for any number of addresses.
const golden = 1 / math.Phi

// job is the entry of one address in the schedule.
type job struct {
	addr  netip.Addr
	count int       // announcements sent so far
	due   time.Time // time of the next announcement
	ideal time.Time // time of the next refresh, without the jitter
	held  bool      // the rate has delayed the next announcement
	order uint64    // order among jobs due at the same time
	index int       // position in the heap of the round, -1 outside
}

// round returns the urgency of the next announcement.
func (j *job) round() round {
	switch {
	case j.count == 0:
		return firstRound
	case j.count < len(offsets):
		return repeatRound
	}
	return refreshRound
}

// schedule plans the announcements of each address. schedule has no clock, sends nothing and belongs to one goroutine.
type schedule struct {
	refresh time.Duration // zero or negative means never
	jobs    map[netip.Addr]*job
	due     [rounds]jobHeap
	order   uint64
	phase   float64 // position of the last first refresh, as a part of the refresh interval
}

func newSchedule(refresh time.Duration) *schedule {
	return &schedule{refresh: refresh, jobs: map[netip.Addr]*job{}}
}

// start makes the first announcement of addr due now, whether the schedule contains addr or not.
func (s *schedule) start(now time.Time, addr netip.Addr) {
	s.stop(addr)
	j := &job{addr: addr, due: now}
	s.jobs[addr] = j
	s.push(j)
}

// resume plans only the refreshes of addr, as if the announcements had been sent.
func (s *schedule) resume(now time.Time, addr netip.Addr) {
	s.stop(addr)
	j := &job{addr: addr, count: len(offsets)}
	s.jobs[addr] = j
	s.firstRefresh(now, j)
	s.push(j)
}

// stop removes addr.
func (s *schedule) stop(addr netip.Addr) {
	if j := s.jobs[addr]; j != nil {
		delete(s.jobs, addr)
		s.remove(j)
	}
}

// next returns the most urgent job that is due, or nil.
func (s *schedule) next(now time.Time) *job {
	for _, h := range s.due {
		if len(h) > 0 && !h[0].due.After(now) {
			return h[0]
		}
	}
	return nil
}

// sent records that j was announced, and plans the next announcement. A late announcement delays the following
// announcements: without a delay, the repeats would cover no loss.
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

// wakeAt returns the time at which the next job is due. ok is false without jobs.
func (s *schedule) wakeAt() (at time.Time, ok bool) {
	for _, h := range s.due {
		if len(h) > 0 && (!ok || h[0].due.Before(at)) {
			at, ok = h[0].due, true
		}
	}
	return at, ok
}

// setRefresh changes the interval, and spreads the planned refreshes anew.
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

// firstRefresh plans the first refresh at any time within the interval, so that the refreshes of addresses taken over
// together do not coincide.
func (s *schedule) firstRefresh(now time.Time, j *job) {
	_, s.phase = math.Modf(s.phase + golden)
	j.ideal = now.Add(time.Duration(s.phase * float64(s.refresh)))
	j.due = j.ideal.Add(s.jitter())
}

// nextRefresh plans the refresh after a sent refresh. A refresh delayed by the rate shifts the following refreshes.
func (s *schedule) nextRefresh(now time.Time, j *job) {
	if late := now.Add(-time.Duration(jitter * float64(s.refresh))); j.ideal.Before(late) {
		j.ideal = late
	}
	j.ideal = j.ideal.Add(s.refresh)
	j.due = j.ideal.Add(s.jitter())
}

// jitter returns a random shift, positive or negative, of a refresh.
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
