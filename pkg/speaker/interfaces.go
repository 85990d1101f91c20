package speaker

import (
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/layer2"
	"github.com/lanlord/lanlord/pkg/status"
)

// mostUnused limits the number of unused interfaces in the status: a node has one for each of its pods.
const mostUnused = 256

// Interfaces returns the node's interfaces, by name: all interfaces in use, and other interfaces with the reason why
// they are not used. Interfaces asks the kernel for the latter.
func Interfaces(a *layer2.Announcer) []status.Interface {
	list := []status.Interface{}
	for _, i := range a.Interfaces() {
		told := status.Interface{Name: i.Name, MAC: i.MAC.String(), Subnets: []string{}, Carrier: i.Up, Used: true, BondMode: i.BondMode}
		for _, p := range i.Prefixes {
			told.Subnets = append(told.Subnets, p.String())
		}
		list = append(list, told)
	}
	unused, err := a.Unused()
	if err != nil {
		return list // what is used is known all the same
	}
	for _, u := range unused[:min(len(unused), mostUnused)] {
		list = append(list, status.Interface{Name: u.Name, MAC: u.MAC, Subnets: []string{}, Carrier: u.Up, NotUsed: u.Why})
	}
	slices.SortStableFunc(list, func(x, y status.Interface) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// Networks returns the networks of the node's interfaces, and the node's own addresses.
func Networks(a *layer2.Announcer) cluster.Networks {
	n := networksOf(a.Interfaces())
	n.Addresses = a.KernelAddrs()
	for _, mac := range a.MACs() {
		n.MACs = append(n.MACs, mac.String())
	}
	return n
}

func networksOf(list []layer2.Interface) (n cluster.Networks) {
	for _, i := range list {
		for _, p := range i.Prefixes {
			n.Subnets = append(n.Subnets, p.Masked())
		}
		n.Gateways = append(n.Gateways, i.Gateways...)
	}
	return n
}
