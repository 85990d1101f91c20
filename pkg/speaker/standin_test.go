package speaker

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/election"
	"github.com/lanlord/lanlord/pkg/layer2/lantest"
	"github.com/lanlord/lanlord/pkg/status"
)

// standInBound is the additional time of a backup after its delay: the backup asks all nodes, and another backup may
// have asked just before.
const standInBound = standInQuestions*40*time.Millisecond + askInterval

// succession returns the nodes in the order of the election for addr.
func (v *testCluster) succession(addr netip.Addr) (order []*testNode) {
	var candidates []election.Candidate
	for _, n := range v.snap.Nodes {
		candidates = append(candidates, election.NewCandidate(n.Name))
	}
	for _, c := range election.Ranked(addr, candidates) {
		order = append(order, v.speakers[c.Name()])
	}
	return order
}

// assign gives addr to a new Service.
func (v *testCluster) assign(addr netip.Addr) {
	v.change(func(s *cluster.Snapshot) {
		svc := service("new-"+addr.String(), addr)
		svc.Created = time.Now()
		s.Services = append(s.Services, svc)
		slices.SortFunc(s.Services, func(x, y *cluster.Service) int { return x.Key.Compare(y.Key) })
	})
}

// owned returns the status of an address that p answers for, nil for any other address.
func owned(p *testNode, addr netip.Addr) *status.Owned {
	list := p.loop.Describe().Owned
	if i := slices.IndexFunc(list, func(o status.Owned) bool { return o.Address == addr.String() }); i >= 0 {
		return &list[i]
	}
	return nil
}

func namesOf(order []*testNode) (names []string) {
	for _, p := range order {
		names = append(names, p.name)
	}
	return names
}

// TestStandInForNews assigns an address while the first nodes in rank are cut off from the API server. The next node
// takes over as backup, and says why. The elected node takes the address back by the planned move once its watch shows
// the address, or never, as configured.
func TestStandInForNews(t *testing.T) {
	for _, c := range []struct {
		addr     netip.Addr
		stranded int
		failback string
	}{
		{addr4.Next(), 1, "10s"}, {addr6.Next(), 1, "never"}, {addr4.Next(), 2, "never"},
	} {
		t.Run(fmt.Sprintf("%s/%d/%s", c.addr, c.stranded, c.failback), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "layer2: {failback: "+c.failback+"}\n", []string{"a", "b", "c", "d"}, addr4, addr6)
				time.Sleep(10 * time.Second)
				order := v.succession(c.addr)
				v.strand(namesOf(order[:c.stranded])...)
				v.assign(c.addr)
				time.Sleep(time.Duration(c.stranded)*standInDelay - 10*time.Millisecond)
				for _, p := range order {
					if owned(p, c.addr) != nil {
						t.Fatalf("%s answers before the delay is over", p.name)
					}
				}
				last := order[len(order)-1].loop.Describe().Watched
				if i := slices.IndexFunc(last, func(w status.Watched) bool { return w.Address == c.addr.String() }); i < 0 ||
					!strings.Contains(last[i].Message, "as backup") {
					t.Errorf("%s tells %+v", order[len(order)-1].name, last)
				}
				time.Sleep(standInBound)
				owner := v.only(c.addr)
				if owner != order[c.stranded] {
					t.Fatalf("%s stands in, want %s", owner.name, order[c.stranded].name)
				}
				if o := owned(owner, c.addr); o.Reason != "stand-in" || o.Elected != order[0].name || o.From != "" {
					t.Errorf("%s tells %+v", owner.name, o)
				}
				time.Sleep(20 * time.Second) // nobody else thinks of standing in
				v.strand()
				time.Sleep(9 * time.Second)
				if now := v.only(c.addr); now != owner {
					t.Fatalf("%s has it before the delay of failback is over", now.name)
				}
				time.Sleep(3 * time.Second)
				if now, back := v.only(c.addr), c.failback != "never"; back && now != order[0] || !back && now != owner {
					t.Errorf("%s has it in the end", now.name)
				}
			})
		})
	}
}

// TestStandInForHanging freezes the owner of an address that the successor does not know yet.
func TestStandInForHanging(t *testing.T) {
	for _, addr := range []netip.Addr{addr4.Next(), addr6.Next()} {
		t.Run(addr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addr4, addr6)
				time.Sleep(10 * time.Second)
				order := v.succession(addr)
				v.strand(order[1].name)
				v.assign(addr)
				time.Sleep(rulesDelay + time.Second)
				if owner := v.only(addr); owner != order[0] {
					t.Fatalf("%s has it, want %s", owner.name, order[0].name)
				}
				order[0].nic.Freeze(true)
				v.split(order[0].name)
				time.Sleep(crashBound + standInDelay + standInBound)
				owner := v.only(addr)
				if owner != order[2] {
					t.Fatalf("%s stands in, want %s\n%s", owner.name, order[2].name, v.lan)
				}
				if o := owned(owner, addr); o.Reason != "stand-in" || o.Elected != order[1].name || o.From != order[0].name {
					t.Errorf("%s tells %+v", owner.name, o)
				}
				v.split()
				order[0].nic.Freeze(false)
				time.Sleep(5 * time.Second)
				if now := v.only(addr); now != owner {
					t.Errorf("%s has it after the other one goes on", now.name)
				}
			})
		})
	}
}

// TestStandInForLaggingWatch freezes the owner of a new address whose endpoints the node that is to follow does not see yet: each watch
// comes back at its own time when the API server was restarted. Seen in a soak: nobody answered for 7.8 s.
func TestStandInForLaggingWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addr4)
		time.Sleep(10 * time.Second)
		addr := addr4.Next()
		order := v.succession(addr)
		v.change(func(s *cluster.Snapshot) {
			svc := service("new", addr)
			svc.HasServing = false
			s.Services = append(s.Services, svc)
		})
		v.outdate(order[1])
		v.change(func(s *cluster.Snapshot) { s.Services[len(s.Services)-1].HasServing = true })
		time.Sleep(800 * time.Millisecond)
		if owner := v.only(addr); owner != order[0] {
			t.Fatalf("%s has it, want %s", owner.name, order[0].name)
		}
		order[0].nic.Freeze(true)
		v.split(order[0].name)
		time.Sleep(crashBound + standInDelay + standInBound)
		if owner := v.only(addr); owner != order[2] {
			t.Errorf("%s stands in, want %s", owner.name, order[2].name)
		}
	})
}

// asked counts the nodes' questions for addr, by node.
func (v *testCluster) asked(addr netip.Addr, frames []lantest.Frame) map[string]int {
	by := map[string]int{}
	for _, f := range frames {
		if name, _, _ := strings.Cut(f.From, "/"); v.speakers[name] != nil && len(f.Data) >= 42 && binary.BigEndian.Uint16(f.Data[12:]) == 0x0806 &&
			f.Data[0] == 0xff && f.Data[21] == 1 && netip.AddrFrom4([4]byte(f.Data[28:])).IsUnspecified() && netip.AddrFrom4([4]byte(f.Data[38:])) == addr {
			by[name]++
		}
	}
	return by
}

// TestNoStandInBesideOwner assigns addresses, loses nodes and restarts nodes while all watches are up to date. Only
// elected nodes ask, and nothing moves.
func TestNoStandInBesideOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addr4)
		time.Sleep(10 * time.Second)
		addr := addr4.Next()
		order := v.succession(addr)
		frames := len(v.lan.Trace())
		v.assign(addr)
		time.Sleep(20 * time.Second)
		if by := v.asked(addr, v.lan.Trace()[frames:]); len(by) != 1 || by[order[0].name] == 0 {
			t.Errorf("a new address was asked for by %v, want %s", by, order[0].name)
		}
		frames = len(v.lan.Trace())
		order[0].crash()
		time.Sleep(20 * time.Second)
		if by := v.asked(addr, v.lan.Trace()[frames:]); len(by) != 1 || by[order[1].name] == 0 {
			t.Errorf("the address of a crashed node was asked for by %v, want %s", by, order[1].name)
		}
		if owner := v.only(addr); owner != order[1] {
			t.Errorf("%s has it, want %s", owner.name, order[1].name)
		}
	})
}

// TestRestartOfAllIsNoStandIn restarts all speakers at once. Each owner is the elected node, and no backup takes an
// address.
func TestRestartOfAllIsNoStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{addr4, addr6, addr4.Next(), addr6.Next()}
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addrs...)
		for range 3 {
			time.Sleep(10 * time.Second)
			for _, p := range v.speakers {
				p.die()
			}
			for _, p := range v.speakers {
				p.boot()
			}
		}
		time.Sleep(20 * time.Second)
		for _, a := range addrs {
			v.only(a)
		}
		for _, p := range v.speakers {
			for _, o := range p.loop.Describe().Owned {
				if o.Reason == "stand-in" {
					t.Errorf("%s stands in for %+v", p.name, o)
				}
			}
		}
	})
}

// TestNoStandInWhoHearsNobody cuts a node off from the LAN, but not from gossip, and assigns an address: it does not take the silence for
// anybody's absence.
func TestNoStandInWhoHearsNobody(t *testing.T) {
	for i := range 4 {
		// When the addresses are not spread, one node owns all addresses, and the others have no probe address to be
		// asked for.
		deaf, spread := i%2 == 1, i/2 == 1
		t.Run(fmt.Sprintf("deaf=%t/spread=%t", deaf, spread), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failback := "never"
				if spread {
					failback = "1s"
				}
				v := newTestCluster(t, "layer2: {failback: "+failback+"}\n", []string{"a", "b", "c", "d"}, addresses(12)...)
				time.Sleep(10 * time.Second)
				addr := addr4.Prev()
				order := v.succession(addr)
				interrupt := v.lan.Cut
				if deaf {
					interrupt = v.lan.Deafen
				}
				interrupt(order[1].name+"/eth0", true)
				time.Sleep(2 * time.Second)
				v.assign(addr)
				time.Sleep(10 * time.Second)
				for _, o := range order[1].loop.Describe().Owned {
					if o.Reason == "stand-in" || spread && o.Address == addr.String() {
						t.Errorf("the node that hears nobody has taken %+v", o)
					}
				}
				interrupt(order[1].name+"/eth0", false)
				time.Sleep(5 * time.Second)
				if owner := v.only(addr); owner != order[0] {
					t.Errorf("%s has it, want %s", owner.name, order[0].name)
				}
			})
		})
	}
}

// addresses returns n addresses from addr4 on.
func addresses(n int) (list []netip.Addr) {
	for a := addr4; len(list) < n; a = a.Next() {
		list = append(list, a)
	}
	return list
}

// TestNoStandInForGone deletes a Service while a node is cut off from the API server, and then crashes the owner of the
// address. The node that has not seen the deletion does not answer.
func TestNoStandInForGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestCluster(t, "layer2: {failback: never}\n", []string{"a", "b", "c", "d"}, addr4)
		addr := addr4.Next()
		order := v.succession(addr)
		time.Sleep(10 * time.Second)
		v.assign(addr)
		time.Sleep(10 * time.Second)
		if owner := v.only(addr); owner != order[0] {
			t.Fatalf("%s has it, want %s", owner.name, order[0].name)
		}
		v.strand(order[2].name)
		v.change(func(s *cluster.Snapshot) {
			s.Services = slices.DeleteFunc(slices.Clone(s.Services), func(x *cluster.Service) bool { return x.Ingress[0] == addr })
		})
		time.Sleep(time.Second)
		order[0].crash()
		time.Sleep(20 * time.Second)
		if owner := v.owner(addr); owner != "" {
			t.Errorf("%s answers for an address that no Service has", owner)
		}
	})
}

// TestStandInsAreFew assigns many addresses while two of three nodes have no word: the third asks for a few at a time, and answers for all
// in the end.
func TestStandInsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestClusterOf(t, 1, slog.DiscardHandler, "layer2: {failback: never}\n", []string{"a", "b", "c"}, addr6)
		time.Sleep(10 * time.Second)
		v.strand("a", "b")
		began, frames := time.Now(), len(v.lan.Trace())
		const many = 600
		v.change(func(s *cluster.Snapshot) {
			for i, a := 0, addr6.Next(); i < many; i, a = i+1, a.Next() {
				s.Services = append(s.Services, service(fmt.Sprintf("z%03d", i), a))
			}
		})
		time.Sleep(2*standInDelay + many/standInRate*time.Second)
		synctest.Wait()
		if held := len(v.speakers["c"].loop.Describe().Owned); held < many {
			t.Errorf("%d of %d addresses are answered for after %v", held, many, time.Since(began))
		}
		bySecond := map[time.Duration]int{}
		for _, f := range v.lan.Trace()[frames:] {
			if f.From == "c/eth0" && f.Data[0] == 0x33 && len(f.Data) > 54 && f.Data[54] == 135 {
				bySecond[f.At/time.Second]++
			}
		}
		for second, n := range bySecond {
			// c asks for its own addresses at once, twice.
			if second > 12 && n > 2*standInRate*standInQuestions {
				t.Errorf("%d questions in second %v", n, second)
			}
		}
		if len(bySecond) < 4 {
			t.Errorf("all is asked within %d s: %v", len(bySecond), bySecond)
		}
	})
}
