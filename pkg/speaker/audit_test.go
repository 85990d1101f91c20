package speaker

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/membership"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

// auditor compares the results of each round of a loop, which looks only at what has changed, with the results for all
// addresses and all Services. It belongs to the goroutine of the loop.
type auditor struct {
	*testing.T
	arrivals naiveArrivals
	round    int
	// open is the number of open addresses after the last round, and most the most since a test has reset it.
	open, most int
}

func newAuditor(t *testing.T) *auditor { return &auditor{T: t} }

// audit checks the law of the incremental round.
func (d *auditor) audit(l *loop) {
	now := time.Now()
	d.round++
	d.open = len(l.addrs.open)
	d.most = max(d.most, d.open)
	// After a refuted suspicion the members are others than those of this round, and another round follows at once.
	want := placement.Decide(l.snapshot, l.table.Ready())
	if !l.pending.again && len(want)+len(l.placements) > 0 && !reflect.DeepEqual(l.placements, want) {
		d.Errorf("%s, round %d: the placements are not those of the whole cluster", l.opt.Self, d.round)
	}
	d.arrivals.update(now, l.self.state == membership.Ready, l.placements,
		slices.Concat(l.snapshot.Services, l.snapshot.AnnounceOnly()))
	d.auditArrivals(l)
	st := l.Status()
	var held []netip.Addr
	facts := map[netip.Addr]ownership.Facts{}
	for addr, a := range l.addrs.byAddr {
		if a.State().Holds() {
			held = append(held, addr)
		}
		if !a.Idle() {
			facts[addr] = a.Facts()
		}
		if _, open := l.addrs.open[addr]; !open {
			d.auditClosed(l, a, now)
		}
	}
	slices.SortFunc(held, netip.Addr.Compare)
	if !slices.Equal(held, st.Held) {
		d.Errorf("%s, round %d: the status says that the node has %v, want %v", l.opt.Self, d.round, st.Held, held)
	}
	if got := maps.Collect(st.Addresses.All()); !maps.Equal(got, facts) {
		d.Errorf("%s, round %d: the facts are %v, want %v", l.opt.Self, d.round, got, facts)
	}
	for _, p := range l.placements {
		if l.addrs.byAddr[p.Addr] == nil {
			d.Errorf("%s, round %d: nobody keeps %s", l.opt.Self, d.round, p.Addr)
		}
	}
}

// auditClosed requires that a review of an address that the next round leaves out does nothing, now and later.
func (d *auditor) auditClosed(l *loop, a *ownership.Address, now time.Time) {
	before, in := *a, l.nextInput(a)
	if !in.Heard.At.Before(now) {
		return // the claim has come since the review, and the mailbox has it
	}
	for _, at := range []time.Time{now, now.Add(time.Hour)} {
		actions := a.Step(at, in)
		if len(actions) > 0 || !reflect.DeepEqual(before, *a) {
			d.Errorf("%s, round %d: the review of %s changes %+v to %+v: %v; input %+v", l.opt.Self, d.round, a.Addr,
				before, *a, actions, in)
		}
	}
	if a.Idle() && placement.Find(l.placements, a.Addr) == nil {
		d.Errorf("%s, round %d: %s is not forgotten", l.opt.Self, d.round, a.Addr)
	}
}

// nextInput returns the input of the review in the next round if nothing changes until then. The round notices a change
// of the inputs that all addresses share; claims and suspicions since the last review are such changes.
func (l *loop) nextInput(a *ownership.Address) ownership.Input {
	in := l.input(a, ownership.Event{Kind: ownership.Review})
	in.Self, in.Peers, in.Failback = l.shared.self, l.shared.peers, l.shared.failback
	if in.PrevOwner = ""; in.Placement != nil {
		in.PrevOwner = in.Placement.Owner
	}
	return in
}

// naiveArrivals records all addresses anew in each round.
type naiveArrivals struct {
	byAddr  map[netip.Addr]bool // whether the address was new when it came
	waiting map[netip.Addr]bool
	dated   bool
}

func (a *naiveArrivals) update(_ time.Time, ready bool, placements []*placement.Placement, services []*cluster.Service) {
	old := !ready || !a.dated
	a.dated = ready
	byAddr, waiting := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	note := func(addr netip.Addr) {
		isNew, known := a.byAddr[addr]
		byAddr[addr] = isNew || !known && !old
	}
	for _, p := range placements {
		if p.Reason == reason.Announced {
			note(p.Addr)
		} else {
			waiting[p.Addr] = true
		}
	}
	for _, s := range services {
		for _, addr := range s.Ingress {
			if s.Managed && s.AllocatedFrom == "" {
				note(addr)
			}
		}
	}
	a.byAddr, a.waiting = byAddr, waiting
}

// auditArrivals requires the arrivals of the loop to be of the same addresses, and as new.
func (d *auditor) auditArrivals(l *loop) {
	byAddr, waiting := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for addr, arrival := range l.arrivals.byAddr {
		byAddr[addr] = !arrival.Since.IsZero()
	}
	for addr := range l.arrivals.waiting {
		waiting[addr] = true
	}
	if !maps.Equal(byAddr, d.arrivals.byAddr) || !maps.Equal(waiting, d.arrivals.waiting) {
		d.Errorf("%s, round %d: the arrivals are %v and %v, want %v and %v", l.opt.Self, d.round, byAddr, waiting,
			d.arrivals.byAddr, d.arrivals.waiting)
	}
}

// TestRoundsLeaveOutWhatIsAtRest assigns an address to one more Service. The rounds review the new address, and leave
// out the others.
func TestRoundsLeaveOutWhatIsAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const addrs = 30
		v := newTestCluster(t, "", []string{"a", "b", "c"}, many(addrs)...)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for name, p := range v.speakers {
			if p.auditor.open > 0 {
				t.Errorf("%s has %d open addresses at rest", name, p.auditor.open)
			}
			p.auditor.most = 0
		}
		v.change(func(s *cluster.Snapshot) { s.Services = append(s.Services, service("t", addr4)) })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for name, p := range v.speakers {
			if p.auditor.most != 1 || p.auditor.open > 0 {
				t.Errorf("%s had at most %d addresses open, and has %d, want 1 and 0", name, p.auditor.most, p.auditor.open)
			}
		}
		if v.only(addr4) == nil {
			t.Error("nobody answers for the new address")
		}
	})
}
