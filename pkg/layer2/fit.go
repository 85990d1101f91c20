package layer2

import (
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// DefaultExclude returns the patterns of interface names that are left alone unless Options.Exclude says otherwise: ends of
// pods' virtual cables, bridges and tunnels of container networks, and interfaces that only hold addresses. A cluster node
// that is a container has a virtual cable under the name of a real interface, which no pattern fits.
func DefaultExclude() []string {
	return []string{"veth*", "cali*", "cni*", "flannel*", "lxc*", "docker*", "cilium*", "kube-ipvs*", "nodelocaldns", "tunl*",
		"dummy*", "virbr*"}
}

func excluded(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// unfitness is why an interface is not used.
type unfitness uint8

const (
	fit unfitness = iota
	excludedByName
	isLoopback
	isNotEthernet
	cannotBroadcast
	isSlave
)

// String returns the reason as it stands in logs.
func (u unfitness) String() string {
	switch u {
	case fit:
		return "fit"
	case excludedByName:
		return "excludedByName"
	case isLoopback:
		return "loopback"
	case isNotEthernet:
		return "notEthernet"
	case cannotBroadcast:
		return "cannotBroadcast"
	case isSlave:
		return "slave"
	}
	return "unknown"
}

// station is what decides whether an interface is used.
type station struct {
	name          string
	flags         uint32 // IFF_
	encapsulation string
	mac           net.HardwareAddr
	master        string // the kind of interface that this one belongs to, if any
}

// unfit returns why the interface is not used, or fit. Whether it is up does not matter here.
func (s station) unfit(exclude []string) unfitness {
	switch {
	case s.flags&unix.IFF_LOOPBACK != 0:
		return isLoopback
	case excluded(s.name, exclude):
		return excludedByName
	case s.encapsulation != "ether" || len(s.mac) != len(MAC{}):
		return isNotEthernet
	case s.flags&unix.IFF_BROADCAST == 0 || s.flags&unix.IFF_MULTICAST == 0 || s.flags&unix.IFF_NOARP != 0:
		return cannotBroadcast
	case s.master != "" && s.master != "vrf":
		// A bond, bridge or team takes the frames of its members; a routing domain (VRF) does not.
		return isSlave
	}
	return fit
}

// running reports whether the flags are those of an interface that is switched on and has a carrier (RFC 2863: it is
// operational, or its driver does not say).
func running(flags uint32) bool {
	return flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0
}
