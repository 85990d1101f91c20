package vm_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/lanlord/lanlord/e2e/vm"
)

// TestLACP has a node with a bond in mode 802.3ad on a switch that bonds the same two cables: another machine, since the
// kernel's own bridge passes no LACP frames on.
func TestLACP(t *testing.T) {
	if testing.Short() {
		t.Skip("two more machines, left out with -short")
	}
	w := newWorld(t)
	j := &judge{w: w}
	var all results
	for i, series := range wanted() {
		t.Run(series, func(t *testing.T) {
			cable := func(end string, number int) string {
				return filepath.Join(w.short, series+"-"+end+"-"+string(rune('0'+number)))
			}
			image := w.image(t, series, extras{})
			ends := func(near, far string) []vm.Port {
				return []vm.Port{{Cable: cable(near, 0), Far: cable(far, 0)}, {Cable: cable(near, 1), Far: cable(far, 1)}}
			}
			m := w.boot(t, vm.Options{Name: "switch", Number: 20 + i, Kernel: kernelOf(t, series), Initrd: image, Memory: 256, CPUs: 1,
				Ports: append(ends("switch", "node"), vm.Port{Bridge: lan})})
			box := &member{Machine: m, w: w, name: "switch"}
			const lacp = "modprobe bonding max_bonds=0\nip link add bond0 type bond mode 802.3ad miimon 50 lacp_rate fast\n" +
				"ip link set eth0 master bond0\nip link set eth1 master bond0\nip link set bond0 up\n"
			box.run(t, lacp+"ip link add br0 type bridge\nip link set eth2 up master br0\nip link set bond0 master br0\nip link set br0 up")
			node := w.boot(t, vm.Options{Name: "lacp", Number: 30 + i, Kernel: kernelOf(t, series), Initrd: image, Memory: 384, CPUs: 1,
				Ports: append(ends("node", "switch"), vm.Port{Bridge: management})})
			n := w.join(t, node, "lacp", 30+i, 2)
			n.startSpeaker(t)
			n.run(t, lacp+addresses("bond0"))
			s := &setup{name: "bond 802.3ad", link: "bond0"}
			at, begin := j.place(t, n, *s), time.Now()
			j.settled(t, at, s.addresses()...)
			j.one(t, at, s.addresses()...)
			all.add(s.name, series, "answers", time.Since(begin))
			note := func(name, result string, took time.Duration) { all.add(name, series, result, took) }
			both := func(on bool) func(*member) error {
				return func(n *member) error {
					if err := n.Carrier(0, on); err != nil {
						return err
					}
					return box.Carrier(0, on)
				}
			}
			j.step(t, n, s, step{name: "a cable without carrier", do: both(false)}, note)
			j.step(t, n, s, step{name: "with carrier again", do: both(true)}, note)
		})
	}
	all.print(t)
}
