package vm_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/e2e/vm"
)

// setup is a way in which the network of a node is set up.
type setup struct {
	name string
	// script sets the node up, after reset.
	script string
	// link is the interface whose hardware address answers, and more lists other interfaces that may answer.
	link string
	more []string
	// vlans are the tags of the network, the outer one first.
	vlans []uint16
	// only is 4 or 6 for a set-up with one family, 0 for both.
	only int
	// told is a part of the Event about a kernel that answers for IPv4 addresses too: a question then has two answers.
	// Empty for a set-up without this fault.
	told string
	// repeats is as in where.
	repeats bool
	// short has the set-up tested with -short too.
	short bool
	steps []step
}

// step is a change of a set-up.
type step struct {
	name string
	// script or do makes the change.
	script string
	do     func(*member) error
	// link and more are as in setup, and count from this step on. Empty for no change.
	link string
	more []string
	// announced is true if the addresses must be announced after the change. With fresh, no announcement from before can
	// be mistaken for these: they have another hardware address, or the port was silent.
	announced, fresh bool
	// long has the step left out with -short.
	long bool
	// dark is true if nobody may answer after the change.
	dark bool
}

// reset takes all away but the ports, each of which is as at the start of the machine.
const reset = `
if [ -e /sys/class/net/ens3 ]; then ip link set ens3 down; ip link set ens3 name eth0; fi
for l in $(ls /sys/class/net); do
  case $l in lo | eth0 | eth1 | eth2 | mgmt0 | bonding_masters) ;; *) ip link del $l 2>/dev/null || true ;; esac
done
for n in 0 1 2; do
  ip link set eth$n down
  ip link set eth$n nomaster
  ip addr flush dev eth$n
  ip link set eth$n address 02:4c:4c:00:00:0$n
  ip link set eth$n mtu 1500
done
for s in arp_ignore arp_announce arp_filter proxy_arp rp_filter; do
  for l in all default eth0 eth1; do echo 0 >/proc/sys/net/ipv4/conf/$l/$s; done
done
ip addr flush dev lo scope global
`

// addresses gives an interface addresses in the LAN, and switches it on.
func addresses(link string) string {
	return fmt.Sprintf("ip link set %[1]s up\nip addr add 192.0.2.11/24 dev %[1]s\nip addr add 2001:db8::11/64 dev %[1]s\n", link)
}

// offloads switches the offloads of eth0 on or off, as far as the driver allows.
func offloads(state string) string {
	return "for f in gro tso gso rx tx rxvlan txvlan; do ethtool -K eth0 $f " + state + " || true; done\n"
}

// bond makes bond0 of eth0 and eth1.
func bond(mode string) string {
	return fmt.Sprintf("ip link add bond0 type bond mode %s miimon 50\nip link set eth0 master bond0\nip link set eth1 master bond0\n", mode)
}

func carrier(on bool, ports ...int) func(*member) error {
	return func(n *member) error {
		for _, port := range ports {
			if err := n.Carrier(port, on); err != nil {
				return err
			}
		}
		return nil
	}
}

// flap switches the carrier of a port off and on some times.
func flap(n *member) error {
	for range 10 {
		for _, on := range []bool{false, true} {
			if err := n.Carrier(0, on); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// TestSetups has one machine for each kernel take one set-up after the other, while the speaker runs.
func TestSetups(t *testing.T) {
	w := newWorld(t)
	var all results
	for _, series := range wanted() {
		t.Run(series, func(t *testing.T) { w.runSetups(t, series, &all) })
	}
	all.print(t)
}

func (w *world) runSetups(t *testing.T, series string, all *results) {
	m := w.boot(t, vm.Options{
		Name: "one", Kernel: kernelOf(t, series), Initrd: w.image(t, series, extras{}), Memory: 384, CPUs: 1,
		Ports: []vm.Port{{Bridge: lan}, {Bridge: lan}, {Bridge: otherLAN}, {Bridge: management}},
	})
	n := w.join(t, m, "one", 0, 3)
	n.run(t, "modprobe bonding max_bonds=0")
	n.startSpeaker(t)
	j := &judge{w: w}
	for _, s := range setups() {
		if testing.Short() && !s.short {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			j.run(t, n, s, func(name, result string, took time.Duration) { all.add(name, series, result, took) })
		})
	}
}

// run judges a set-up and its steps.
func (j *judge) run(t *testing.T, n *member, s setup, note func(name, result string, took time.Duration)) {
	n.run(t, reset)
	t.Cleanup(func() {
		if t.Failed() {
			note(s.name, "FAILED", 0)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
			defer cancel()
			state, err := n.Run(ctx, "ip addr; ip route; cat /proc/net/packet; tail -n 60 /var/log/speaker")
			t.Logf("%v\n%s", err, state)
		}
	})
	begin := time.Now()
	n.run(t, s.script)
	at := j.place(t, n, s)
	if s.told != "" {
		j.told(t, s, at)
		note(s.name, "answers twice, and an Event tells why", time.Since(begin))
		return
	}
	j.settled(t, at, s.addresses()...)
	took, since := time.Since(begin), time.Now()
	for _, a := range s.addresses() {
		j.announced(t, a, at, begin)
	}
	j.one(t, at, s.addresses()...)
	elsewhere := []where{{bridge: otherLAN}, {bridge: management}}
	for _, other := range [][]uint16{nil, {10}, {30}} {
		if fmt.Sprint(other) != fmt.Sprint(s.vlans) {
			elsewhere = append(elsewhere, where{bridge: lan, vlans: other})
		}
	}
	j.silent(t, s.addresses(), elsewhere...)
	for _, a := range s.addresses() {
		if strays := j.strays(a, at, since); len(strays) > 0 {
			t.Errorf("claims elsewhere: %s", strings.Join(strays, "\n"))
		}
	}
	note(s.name, "answers", took)
	for _, step := range s.steps {
		if step.long && testing.Short() {
			continue
		}
		j.step(t, n, &s, step, note)
	}
}

// told waits for the Event about a set-up in which the kernel answers too, and for a question that has two answers, so
// that the Event is deserved.
func (j *judge) told(t *testing.T, s setup, at where) {
	t.Helper()
	await(t, "two answers", func() bool { return len(j.answers(t, service4, at, unanswered)[at.bridge]) == 2 })
	j.w.awaitEvent(t, s.told)
	j.settled(t, at, service6)
	j.one(t, at, service6)
}

// awaitEvent waits for an Event that says something.
func (w *world) awaitEvent(t *testing.T, says string) {
	t.Helper()
	await(t, "an Event that says "+says, func() bool {
		list, err := w.Admin.EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
		return err == nil && slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return strings.Contains(e.Note, says) })
	})
}

// step judges a change.
func (j *judge) step(t *testing.T, n *member, s *setup, step step, note func(name, result string, took time.Duration)) {
	t.Helper()
	if step.announced && !step.fresh {
		j.calm(s.addresses(), where{bridge: lan})
	}
	begin := time.Now()
	if step.script != "" {
		n.run(t, step.script)
	}
	if step.do != nil {
		if err := step.do(n); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	name := s.name + ", " + step.name
	if step.link != "" {
		s.link, s.more = step.link, step.more
	}
	if step.dark {
		j.silent(t, s.addresses(), where{bridge: lan, vlans: s.vlans})
		note(name, "silent", time.Since(begin))
		return
	}
	at, result, took := j.place(t, n, *s), "answers", time.Duration(0)
	for _, a := range s.addresses() {
		if step.announced {
			took = max(took, j.announced(t, a, at, begin))
			result = "announces"
		}
	}
	j.settled(t, at, s.addresses()...)
	if !step.announced {
		took = time.Since(begin)
	}
	j.one(t, at, s.addresses()...)
	note(name, result, took)
}

// place returns where the set-up is heard.
func (j *judge) place(t *testing.T, n *member, s setup) where {
	t.Helper()
	at := where{bridge: lan, vlans: s.vlans, repeats: s.repeats}
	for _, link := range append([]string{s.link}, s.more...) {
		at.macs = append(at.macs, n.run(t, "cat /sys/class/net/"+link+"/address"))
	}
	return at
}

func (s setup) addresses() []netip.Addr {
	switch s.only {
	case 4:
		return []netip.Addr{service4}
	case 6:
		return []netip.Addr{service6}
	}
	return []netip.Addr{service4, service6}
}
