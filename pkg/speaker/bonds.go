package speaker

import (
	"log/slog"
	"maps"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/notify"
	"github.com/lanlord/lanlord/pkg/reason"
)

// told remembers the faults of this node's network that people were told of.
type told struct {
	// kernels remembers for which addresses the kernel answers because of kube-proxy.
	kernels kernels
	// bonds remembers the bonds whose mode has a fault.
	bonds bonds
}

// bonds remembers the modes of bonds that people were told of, by the name of the interface.
type bonds struct{ known map[string]string }

// events returns an Event for each interface on a bond whose mode has a fault, unless people were told before.
func (b *bonds) events(log *slog.Logger, n *notify.Notifier, snap cluster.Snapshot,
	interfaces []layer2.Interface) (list []cluster.Event) {
	for _, i := range b.review(interfaces) {
		fault, _ := reason.FaultOfBond(i.BondMode)
		list = append(list, n.Bond(snap, i.Name, i.BondMode, fault))
		log.Warn("the mode of a bond has a fault", "interface", i.Name, "mode", i.BondMode, "fault", fault.Text, "fix", fault.Mend)
	}
	return list
}

// review returns the interfaces on a bond whose mode has a fault, unless people were told before.
func (b *bonds) review(interfaces []layer2.Interface) (faulty []layer2.Interface) {
	modes := map[string]string{}
	for _, i := range interfaces {
		if _, is := reason.FaultOfBond(i.BondMode); !is {
			continue
		}
		if modes[i.Name] = i.BondMode; b.known[i.Name] != i.BondMode {
			faulty = append(faulty, i)
		}
	}
	if !maps.Equal(modes, b.known) {
		b.known = modes
	}
	return faulty
}
