package layer2

import (
	"net"

	"golang.org/x/sys/unix"
)

// station holds the properties that decide whether an interface is used.
type station struct {
	name          string
	flags         uint32 // IFF_ flags
	encapsulation string
	mac           net.HardwareAddr
	master        string // the kind of the master (bond, bridge, VRF), empty for none
}

// unfit returns the reason why the interface is not used, or fit. unfit ignores whether the interface is up.
func (s station) unfit(exclude []string) unfitness {
	switch {
	case s.flags&unix.IFF_LOOPBACK != 0:
		return isLoopback
	case excluded(s.name, exclude):
		return excludedByName
	case s.encapsulation != "ether":
		return isNotEthernet
	case len(s.mac) != len(MAC{}) || MAC(s.mac) == MAC{}:
		return hasNoAddress
	case s.flags&unix.IFF_BROADCAST == 0 || s.flags&unix.IFF_MULTICAST == 0 || s.flags&unix.IFF_NOARP != 0:
		return cannotBroadcast
	case s.master != "" && s.master != "vrf":
		// A bond, bridge or team takes the frames of its members; a routing domain (VRF) does not.
		return isSlave
	}
	return fit
}

// running reports whether the flags say that the interface is switched on and has a carrier (RFC 2863: the interface is
// operational, or its driver does not know).
func running(flags uint32) bool {
	return flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0
}
