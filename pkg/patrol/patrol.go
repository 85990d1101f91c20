package patrol

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// visits is the number of nodes that probe an address in a period, the owner included.
	visits = 2
	// FramesOpen is the number of frames for a probe of an open path: the SYN, the SYN-ACK, the RST of the prober, and
	// the RST of the kernel of the prober.
	FramesOpen = 4
	// FrameTime is the time of a node for a frame: a node sends one frame a second.
	FrameTime = time.Second
)

// Inputs describe the cluster at one moment.
type Inputs struct {
	// Period is the configured period, more than 0.
	Period time.Duration
	// Nodes is the number of nodes that probe, and Self the index of this node among them, in the order of the names.
	Nodes, Self int
	// Addrs are the addresses to probe, including the addresses of this node, sorted. All nodes have the same list.
	Addrs []netip.Addr
	// Own reports whether this node answers for an address.
	Own func(netip.Addr) bool
}

// Patrol is the state of the probes of one node. The zero Patrol has probed nothing.
type Patrol struct {
	records map[netip.Addr]status.LastProbe
	failed  map[netip.Addr]bool
	// key, addrs, order, begin and gap are the plan of the present period: the address order[n] is due n gaps after begin.
	key   planKey
	addrs []netip.Addr // the Inputs.Addrs of the plan
	order []netip.Addr
	begin time.Time
	gap   time.Duration
	// free is the time from which this node may send again. retried is true after a repeated probe.
	free    time.Time
	retried bool
}

// planKey tells a plan from another. wish is the configured period, and period the period in use.
type planKey struct {
	round        int64
	wish, period time.Duration
	nodes, self  int
}

// Period returns the time in which the nodes probe every address: the configured period, or longer in steps of a quarter
// until a node that sends one frame a second has time for its group, and an eighth of the time for repeated probes.
func Period(in Inputs) time.Duration {
	counts := make([]int, groupsOf(in.Nodes))
	for _, a := range in.Addrs {
		counts[groupOf(a, len(counts))]++
	}
	need := time.Duration(slices.Max(counts)) * FramesOpen * FrameTime * 8 / 7
	period := in.Period
	for period < need {
		period += period / 4
	}
	return period
}

// Step returns the address to probe now, and reports the probe to [Patrol.Done] afterwards. Without an address to probe,
// the address is not valid, and next is the time of the next call.
func (p *Patrol) Step(now time.Time, in Inputs) (addr netip.Addr, next time.Time) {
	if in.Nodes < 2 || in.Period <= 0 {
		p.Reset()
		return netip.Addr{}, now.Add(time.Minute)
	}
	key, same := p.key, slices.Equal(p.addrs, in.Addrs)
	if !same || key.wish != in.Period || key.nodes != in.Nodes {
		key = planKey{wish: in.Period, period: Period(in), nodes: in.Nodes}
	}
	key.self, key.round = in.Self, now.UnixNano()/int64(key.period)
	if !same || key != p.key {
		p.plan(now, in, key)
	}
	p.release(in)
	end := time.Unix(0, (key.round+1)*int64(key.period))
	if now.Before(p.free) {
		return netip.Addr{}, p.free
	}
	regular, due := p.due(in)
	if due.IsZero() {
		due = end
	}
	again, at := p.again(in)
	// A repeated probe may take as long as a period. So an address of the plan comes before the next repeated probe, even
	// before its time.
	switch ready, repeat := regular.IsValid() && !now.Before(due), again.IsValid() && !now.Before(at); {
	case ready && !repeat, regular.IsValid() && repeat && p.retried:
		p.order, p.begin, p.retried = p.order[1:], p.begin.Add(p.gap), false
		return regular, time.Time{}
	case repeat:
		p.retried = true
		return again, time.Time{}
	}
	if again.IsValid() && at.Before(due) {
		due = at
	}
	return netip.Addr{}, due
}

// plan makes the plan for the rest of a period. The addresses whose last probe is the oldest come first, so that an
// address that did not fit into a period is not left out again. Addresses that failed are not in the plan; see again.
func (p *Patrol) plan(now time.Time, in Inputs, key planKey) {
	known := map[netip.Addr]bool{}
	began := time.Unix(0, key.round*int64(key.period))
	p.order = nil
	groups := groupsOf(key.nodes)
	for _, a := range in.Addrs {
		known[a] = true
		mine := groupOf(a, groups) == int((int64(in.Self)+key.round)%int64(groups))
		if mine && !p.failed[a] && p.records[a].At.Before(began) {
			p.order = append(p.order, a)
		}
	}
	for a := range p.records {
		if !known[a] {
			p.forget(a)
		}
	}
	slices.SortFunc(p.order, func(x, y netip.Addr) int {
		return cmp.Or(p.records[x].At.Compare(p.records[y].At), cmp.Compare(hash(x, in.Self), hash(y, in.Self)), x.Compare(y))
	})
	p.key, p.addrs, p.begin = key, in.Addrs, began
	if now.After(began) {
		p.begin = now
	}
	left := began.Add(key.period).Sub(p.begin)
	p.gap = left / time.Duration(len(p.order)+1)
	// The nodes begin at different times within the first gap.
	p.begin = p.begin.Add(p.gap * time.Duration(in.Self+1) / time.Duration(in.Nodes+1))
}

// release forgets the failures of addresses that this node has now, or that no Service has.
func (p *Patrol) release(in Inputs) {
	for a := range p.failed {
		if _, has := slices.BinarySearchFunc(in.Addrs, a, netip.Addr.Compare); !has || in.Own(a) {
			p.forget(a)
		}
	}
}

// due returns the next address of the plan, and the time of its probe. Addresses that need no probe are left out.
func (p *Patrol) due(in Inputs) (netip.Addr, time.Time) {
	began := time.Unix(0, p.key.round*int64(p.key.period))
	for len(p.order) > 0 && (in.Own(p.order[0]) || !p.records[p.order[0]].At.Before(began)) {
		p.forgetOwn(in, p.order[0])
		p.order, p.begin = p.order[1:], p.begin.Add(p.gap)
	}
	if len(p.order) == 0 {
		return netip.Addr{}, time.Time{}
	}
	return p.order[0], p.begin
}

func (p *Patrol) forgetOwn(in Inputs, a netip.Addr) {
	if in.Own(a) {
		p.forget(a)
	}
}

// again returns the failed address with the oldest probe, and the time to probe the address again: after the configured
// period, whatever the number of addresses is.
func (p *Patrol) again(in Inputs) (oldest netip.Addr, at time.Time) {
	for a := range p.failed {
		if x := p.records[a].At; !oldest.IsValid() || x.Before(at) || x.Equal(at) && a.Less(oldest) {
			oldest, at = a, x
		}
	}
	return oldest, at.Add(in.Period)
}

// Done stores the result of a probe that began at the time began and took frames frames. A result without a word means
// that the address could not be probed.
func (p *Patrol) Done(began time.Time, addr netip.Addr, result status.LastProbe, frames int) {
	p.free = began.Add(time.Duration(frames) * FrameTime)
	if result.Result == "" {
		p.forget(addr)
		return
	}
	if p.records == nil {
		p.records, p.failed = map[netip.Addr]status.LastProbe{}, map[netip.Addr]bool{}
	}
	result.At = began.UTC()
	p.records[addr] = result
	delete(p.failed, addr)
	if result.Failed() {
		p.failed[addr] = true
	}
}

// Last returns the last probe of an address, false without one.
func (p *Patrol) Last(addr netip.Addr) (status.LastProbe, bool) {
	x, has := p.records[addr]
	return x, has
}

// Counts returns the number of addresses with a result, and of those whose last probe failed.
func (p *Patrol) Counts() (probed, failed int) { return len(p.records), len(p.failed) }

// InUse returns the length of the present period; 0 while nothing is probed.
func (p *Patrol) InUse() time.Duration { return p.key.period }

// Results returns at most most results, sorted by address: the failures, and then the newest results.
func (p *Patrol) Results(most int) []status.LastProbe {
	addrs := make([]netip.Addr, 0, len(p.records))
	for a := range p.records {
		addrs = append(addrs, a)
	}
	if len(addrs) > most {
		slices.SortFunc(addrs, func(x, y netip.Addr) int {
			if p.failed[x] != p.failed[y] {
				return map[bool]int{true: -1, false: 1}[p.failed[x]]
			}
			return cmp.Or(p.records[y].At.Compare(p.records[x].At), x.Compare(y))
		})
		addrs = addrs[:most]
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	list := make([]status.LastProbe, len(addrs))
	for i, a := range addrs {
		list[i] = p.records[a]
		list[i].At = list[i].At.Truncate(time.Second)
	}
	return list
}

// Reset forgets everything.
func (p *Patrol) Reset() { *p = Patrol{} }

func (p *Patrol) forget(a netip.Addr) {
	delete(p.records, a)
	delete(p.failed, a)
}

// NextPort returns the port to probe: the port that failed until the port is open, and otherwise the port after the last
// one. ports has at least one port. Different nodes begin with different ports.
func NextPort(last status.LastProbe, ports []uint16, self int) uint16 {
	at := slices.Index(ports, last.Port)
	switch {
	case at < 0:
		return ports[self%len(ports)]
	case last.Failed():
		return ports[at]
	}
	return ports[(at+1)%len(ports)]
}

// groupsOf returns the number of groups of addresses.
func groupsOf(nodes int) int { return max(1, nodes/visits) }

func groupOf(a netip.Addr, groups int) int { return int(hash(a, 0) % uint64(groups)) }

// hash returns a number that depends on an address and a number, evenly distributed.
func hash(a netip.Addr, salt int) uint64 {
	b := a.As16()
	return mix(binary.BigEndian.Uint64(b[:8]) ^ mix(binary.BigEndian.Uint64(b[8:])+uint64(salt)))
}

// mix is the finalizer of SplitMix64: each bit of the result depends on each bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
