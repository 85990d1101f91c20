package notify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/ownership"
	"github.com/lanlord/lanlord/pkg/placement"
	"github.com/lanlord/lanlord/pkg/reason"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stage is node a of three nodes. Each Service has one address: Service n has address n.
type stage struct {
	*Notifier
	round   Round
	owned   map[netip.Addr]bool
	foreign map[netip.Addr]ownership.Host
	// prevOwners has the owners of the previous round.
	prevOwners map[netip.Addr]string
}

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

func key(n int) cluster.Key { return cluster.Key{Namespace: "default", Name: fmt.Sprintf("s%04d", n)} }

// newStage returns a stage with Services of the given age. Node a owns the addresses of all Services.
func newStage(services int, age time.Duration) *stage {
	s := &stage{Notifier: New("a"), owned: map[netip.Addr]bool{}, foreign: map[netip.Addr]ownership.Host{},
		prevOwners: map[netip.Addr]string{}}
	s.round = Round{
		First:     true,
		PrevOwner: func(a netip.Addr) string { return s.prevOwners[a] },
		Owned:     func(a netip.Addr) bool { return s.owned[a] },
		Foreign:   func(a netip.Addr) ownership.Host { return s.foreign[a] },
	}
	for _, name := range []string{"a", "b", "c"} {
		s.round.Snapshot.Nodes = append(s.round.Snapshot.Nodes, cluster.Node{Name: name, UID: "uid-of-" + name})
	}
	for n := 1; n <= services; n++ {
		s.round.Snapshot.Services = append(s.round.Snapshot.Services, &cluster.Service{
			Key: key(n), UID: "uid-of-" + key(n).Name, Created: epoch.Add(-age), Ingress: []netip.Addr{addr(n)},
		})
		s.round.Placements = append(s.round.Placements, &placement.Placement{
			Addr: addr(n), Services: []cluster.Key{key(n)}, Reason: reason.Announced, Owner: "a",
		})
		s.round.Touched = append(s.round.Touched, addr(n))
		s.owned[addr(n)] = true
	}
	return s
}

// at returns the placement of address n.
func (s *stage) at(n int) *placement.Placement { return s.round.Placements[n-1] }

// gain lets node a take over address n.
func (s *stage) gain(at time.Time, n int, cause ownership.Cause, from string) {
	s.Gained(at, ownership.Change{At: at, Addr: addr(n), Cause: cause, Peer: from}, s.at(n))
}

// gainAll lets node a take over all addresses of the node from, one after the other, and returns the time of the last
// takeover.
func (s *stage) gainAll(cause ownership.Cause, from string) time.Time {
	at := epoch
	for n := range s.round.Placements {
		at = at.Add(time.Millisecond)
		s.gain(at, n+1, cause, from)
	}
	return at
}

// tell returns the Events of a Review at the given time, as text.
func (s *stage) tell(at time.Time) (lines []string) {
	events, _ := s.Review(at, s.round)
	for _, e := range events {
		lines = append(lines, describe(e))
	}
	return lines
}

func describe(e cluster.Event) string {
	kind := "Normal"
	if e.Warning {
		kind = "Warning"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", e.Object.Kind, e.Object.Name, kind+" "+e.Reason, e.Message))
}

// want compares the Events with the expected Events.
func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

const (
	old   = time.Hour
	young = time.Second
)

func TestGained(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *stage)
		want string
	}{
		{"new", func(s *stage) { s.gain(epoch, 1, ownership.CauseNew, "") }, `node "a" answers for 10.0.0.1`},
		{"crash", func(s *stage) { s.gain(epoch, 1, ownership.CauseCrash, "b") }, `node "a" answers for 10.0.0.1, which node "b" had: crash`},
		{"left", func(s *stage) { s.gain(epoch, 1, ownership.CauseLeft, "b") }, `node "a" answers for 10.0.0.1, which node "b" had: left`},
		{"failback", func(s *stage) { s.gain(epoch, 1, ownership.CauseFailback, "c") }, `node "a" answers for 10.0.0.1, which node "c" had: failback`},
		{"spread", func(s *stage) { s.gain(epoch, 1, ownership.CauseSpread, "b") }, `node "a" answers for 10.0.0.1`},
		{"backup", func(s *stage) {
			s.at(1).Owner = "b"
			s.gain(epoch, 1, ownership.CauseBackup, "")
		}, `node "a" answers for 10.0.0.1 in place of node "b", which did not take it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(1, old)
			c.do(s)
			want(t, s.tell(epoch.Add(quiet-1)))
			if next := s.Next(); !next.Equal(epoch.Add(quiet)) {
				t.Errorf("the next review is due at %v", next)
			}
			want(t, s.tell(epoch.Add(quiet)), "Service s0001 Normal Announced: "+c.want)
			want(t, s.tell(epoch.Add(time.Minute)))
			if next := s.Next(); !next.IsZero() {
				t.Errorf("another review is due at %v", next)
			}
		})
	}
}

// TestFewAndMany moves the maximum number of addresses with separate Events, and then one address more.
func TestFewAndMany(t *testing.T) {
	for _, c := range []struct {
		services int
		cause    ownership.Cause
		from     string
		want     string // the Event about the Node, empty if each Service gets its own Event
	}{
		{fewServices, ownership.CauseCrash, "b", ""},
		{fewServices + 1, ownership.CauseCrash, "b",
			`Node b Normal Announced: node "a" answers for 11 addresses (10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 6 more), which node "b" had: crash`},
		{300, ownership.CauseNew, "",
			`Node a Normal Announced: node "a" answers for 300 addresses (10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 295 more)`},
		{300, ownership.CauseSpread, "b",
			`Node a Normal Announced: node "a" answers for 300 addresses (10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 295 more)`},
	} {
		t.Run(fmt.Sprintf("%d %s", c.services, c.cause), func(t *testing.T) {
			s := newStage(c.services, old)
			got := s.tell(s.gainAll(c.cause, c.from).Add(quiet))
			if c.want != "" {
				want(t, got, c.want)
			} else if len(got) != c.services {
				t.Errorf("%d Events of %d Services", len(got), c.services)
			}
		})
	}
}

// TestFewOfMany gives this node a few of the many addresses that another node has lost. The other nodes report the
// remaining addresses on the Node, so this node reports on the Node too.
func TestFewOfMany(t *testing.T) {
	s := newStage(30, old)
	for n := range 30 {
		s.prevOwners[addr(n+1)] = "b"
		if n >= 3 {
			s.at(n + 1).Owner = "c"
		}
	}
	s.tell(epoch)
	s.prevOwners = nil
	for n := 1; n <= 3; n++ {
		s.gain(epoch, n, ownership.CauseCrash, "b")
	}
	want(t, s.tell(epoch.Add(quiet)), `Node b Normal Announced: node "a" answers for 3 addresses (10.0.0.1, 10.0.0.2, 10.0.0.3), which node "b" had: crash`)
}

// TestNewServices checks that many new Services get an Event each, and that the old Services share an Event.
func TestNewServices(t *testing.T) {
	s := newStage(40, old)
	for _, svc := range s.round.Snapshot.Services[:15] {
		svc.Created = epoch.Add(-young)
	}
	got := s.tell(s.gainAll(ownership.CauseNew, "").Add(quiet))
	if len(got) != 16 || !strings.HasPrefix(got[15], `Node a Normal Announced: node "a" answers for 25 addresses (`) {
		t.Errorf("%d Events, the last one %s", len(got), got[len(got)-1])
	}
}

// TestStaleItems removes addresses and Services before the Event is due.
func TestStaleItems(t *testing.T) {
	s := newStage(3, old)
	s.gainAll(ownership.CauseCrash, "b")
	s.owned[addr(1)] = false
	s.round.Snapshot.Services = slices.Delete(s.round.Snapshot.Services, 1, 2)
	want(t, s.tell(epoch.Add(2*time.Second)), `Service s0003 Normal Announced: node "a" answers for 10.0.0.3, which node "b" had: crash`)
}

// TestBusy makes changes without a break. The Notifier must delay Events by five seconds at most.
func TestBusy(t *testing.T) {
	s := newStage(1, old)
	for at := epoch; at.Before(epoch.Add(quietBound)); at = at.Add(quiet / 2) {
		s.gain(at, 1, ownership.CauseNew, "")
		want(t, s.tell(at))
	}
	if got := s.tell(epoch.Add(quietBound)); len(got) != 10 {
		t.Errorf("%d Events after the bound", len(got))
	}
}

func TestForeignHost(t *testing.T) {
	mac := layer2.MAC{2, 5: 9}
	stranger, kernel := ownership.Host{MAC: mac}, ownership.Host{MAC: mac, Node: "b"}
	for _, c := range []struct {
		name   string
		host   ownership.Host
		after  ownership.Host // the host when the Event is due
		number int
		want   []string
	}{
		{"kernel of a node in IPVS mode", kernel, kernel, 1, []string{
			`Service s0001 Warning AddressConflict: the kernel of node "b" answers for 10.0.0.1, because kube-proxy runs there in ` +
				"IPVS mode without strictARP: set ipvs.strictARP: true in the configuration of kube-proxy, and restart kube-proxy"}},
		{"foreign", stranger, stranger, 1, []string{
			"Service s0001 Warning AddressConflict: the host with the MAC address 02:00:00:00:00:09, which is no node, answers for 10.0.0.1: " +
				"give that host another address, or take this one out of the pool with exclude"}},
		{"kernel of a node", kernel, kernel, 1, []string{
			`Service s0001 Warning AddressConflict: the kernel of node "b" answers for 10.0.0.1, which no speaker announces: ` +
				"remove the address from that node, or take it out of the pool with exclude"}},
		{"foreign to many", stranger, stranger, 20, []string{
			"Node a Warning AddressConflict: the host with the MAC address 02:00:00:00:00:09, which is no node, answers for 20 addresses " +
				"(10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 15 more): give that host another address, or take these out of the pool with exclude"}},
		{"named by gossip meanwhile", stranger, ownership.Host{}, 20, nil},
		{"another host meanwhile", stranger, kernel, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(c.number, old)
			for n := 1; n <= c.number; n++ {
				s.ForeignHost(epoch, addr(n), c.host, s.at(n), strings.Contains(c.name, "IPVS"))
				s.foreign[addr(n)] = c.after
			}
			want(t, s.tell(epoch.Add(quiet)), c.want...)
		})
	}
}

// TestKernelsAnswer lets the kernels of all nodes answer for one address, and for many addresses.
func TestKernelsAnswer(t *testing.T) {
	const tail = ", because kube-proxy runs in IPVS mode without strictARP: set ipvs.strictARP: true in the configuration " +
		"of kube-proxy, and restart kube-proxy"
	for services, event := range map[int]string{
		1: "Service s0001 Warning KernelsAnswer: the kernels of the nodes answer ARP requests for 10.0.0.1",
		20: "Node a Warning KernelsAnswer: the kernels of the nodes answer ARP requests for 20 addresses " +
			"(10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 15 more)",
	} {
		s := newStage(services, old)
		for n := range services {
			s.owned[addr(n+1)] = false
			s.KernelsAnswer(epoch, s.at(n+1))
		}
		want(t, s.tell(epoch.Add(quiet)), event+tail)
	}
}

// TestNoSubnet lets a node announce an address outside all subnets. The first owner of the address must report the need
// for a route.
func TestNoSubnet(t *testing.T) {
	for _, c := range []struct {
		from  string
		cause ownership.Cause
		n     int
	}{{"", ownership.CauseNew, 2}, {"b", ownership.CauseCrash, 1}} {
		s := newStage(1, old)
		s.at(1).Everywhere = true
		s.gain(epoch, 1, c.cause, c.from)
		if got := s.tell(epoch.Add(quiet)); len(got) != c.n {
			t.Errorf("%d Events, want %d: %q", len(got), c.n, got)
		}
	}
}

// TestUnannounced removes the eligible nodes of an address. The first of the ready nodes must send one Event after five
// seconds.
func TestUnannounced(t *testing.T) {
	for _, first := range []bool{true, false} {
		s := newStage(1, old)
		s.tell(epoch)
		s.round.First, s.prevOwners[addr(1)] = first, "a"
		p := s.at(1)
		p.Reason, p.Owner, p.Detail = reason.NoEndpoints, "", "no endpoint is ready"
		s.tell(epoch)
		due := epoch.Add(unannouncedDelay)
		if next := s.Next(); !next.Equal(epoch.Add(reportDelay(first))) {
			t.Errorf("the next review is due at %v, want %v", next, due)
		}
		_, tell := s.Review(due, s.round)
		got := s.tell(due.Add(quiet))
		if first {
			want(t, got, "Service s0001 Warning NoEndpoints: nobody answers for 10.0.0.1: no endpoint is ready")
		} else {
			want(t, got)
		}
		if (len(tell) == 1) != first {
			t.Errorf("first %t: %d placements are told of", first, len(tell))
		}
		want(t, s.tell(due.Add(time.Hour)))
		p.Reason, p.Owner = reason.Announced, "a"
		s.tell(due.Add(2 * time.Hour))
		if len(s.unannounced.byAddr) > 0 {
			t.Error("the address is still unannounced")
		}
	}
}

// TestUnannouncedByTheNextNode loses the first of the ready nodes before that node was due to report an unannounced
// address, shortly afterwards, and later. The next node reports the address unless the first node has surely reported
// the address: a loss shortly after the report causes a second report.
func TestUnannouncedByTheNextNode(t *testing.T) {
	for lost, want := range map[time.Duration]int{
		unannouncedDelay - time.Second: 1, unannouncedDelay + time.Second: 1, 2*unannouncedDelay + time.Second: 0,
	} {
		s := newStage(1, old)
		s.tell(epoch)
		s.round.First = false
		p := s.at(1)
		p.Reason, p.Owner, p.Detail = reason.NoEndpoints, "", "no endpoint is ready"
		told := 0
		for at := time.Duration(0); at < 3*unannouncedDelay; at += time.Second {
			s.round.First = at >= lost
			_, tell := s.Review(epoch.Add(at), s.round)
			told += len(tell)
		}
		if told != want {
			t.Errorf("the first node was lost after %v: %d reports, want %d", lost, told, want)
		}
	}
}

// TestBond checks the Event about a bond: a warning for a fault that nothing prevents.
func TestBond(t *testing.T) {
	s := newStage(0, old)
	for _, c := range []struct {
		fault reason.BondFault
		want  string
	}{
		{reason.BondFault{Text: "wrong", Mend: "do this", Certain: true}, `Node a Warning BondMode: the interface bond0.7 of node "a" is on a bond in mode odd: wrong; do this`},
		{reason.BondFault{Text: "maybe wrong", Mend: "do that"}, `Node a Normal BondMode: the interface bond0.7 of node "a" is on a bond in mode odd: maybe wrong; do that`},
	} {
		want(t, []string{describe(s.Bond(s.round.Snapshot, "bond0.7", "odd", c.fault))}, c.want)
	}
}

// TestGossipBlocked checks that each change of the set of unreached nodes causes one Event.
func TestGossipBlocked(t *testing.T) {
	s := newStage(0, old)
	for _, c := range []struct {
		nodes []string
		want  []string
	}{
		{nil, nil},
		{[]string{"b"}, []string{"Node a Warning GossipBlocked: gossip with node b does not pass: open TCP and UDP port 7950 between the nodes, in both directions"}},
		{[]string{"b"}, nil},
		{[]string{"b", "c"}, []string{"Node a Warning GossipBlocked: gossip with nodes b, c does not pass: open TCP and UDP port 7950 between the nodes, in both directions"}},
		{nil, nil},
		{[]string{"b", "c", "d", "e", "f", "g", "h"}, []string{
			"Node a Warning GossipBlocked: gossip with nodes b, c, d, e, f and 2 more does not pass: open TCP and UDP port 7950 between the nodes, in both directions"}},
	} {
		var got []string
		for _, e := range s.GossipBlocked(s.round.Snapshot, c.nodes, 7950) {
			got = append(got, describe(e))
		}
		want(t, got, c.want...)
	}
}
