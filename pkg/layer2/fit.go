package layer2

import "slices"

// hex4, hex11 and hex12 match the hash in the interface names of container networks.
const (
	hex4  = "[0-9a-f][0-9a-f][0-9a-f][0-9a-f]"
	hex11 = hex4 + hex4 + "[0-9a-f][0-9a-f][0-9a-f]"
	hex12 = hex4 + hex4 + hex4
)

// DefaultExclude returns the patterns of the interface names that are unused while Options.Exclude is empty. A name
// belongs here if a container network, a hypervisor or a tunnel driver gives the name, and no administrator would give
// the name to the interface of a LAN. Therefore "br-" needs twelve hexadecimal digits to match (br-lan and br-ex are
// bridges of LANs), "gre" needs a digit (green0 is an interface of a LAN), and "vxlan" needs the suffix of a container
// network. Interfaces that cannot be used in any case, such as tun0, wg0 and ifb0, need no pattern.
func DefaultExclude() []string {
	return []string{
		// Ends of the virtual cables of pods and virtual machines: veth* of most container networks, cali* of Calico,
		// lxc* of Cilium and LXC, eni and vlan of Amazon, azv* of Azure, gke of Google, tap and vnet of virtual
		// machines, and macvtap*, which carries the hardware address of the guest.
		"veth*", "cali*", "lxc*", "eni" + hex11, "vlan" + hex11, "azv*", "gke" + hex11, "tap[0-9]*", "tap????????-??", "vnet[0-9]*", "macvtap*",
		// Bridges of containers: Docker and nerdctl, Podman, CNI plugins, kubenet, kube-router, Weave.
		"docker*", "br-" + hex12, "nerdctl*", "podman*", "cni*", "cbr0", "kube-bridge", "weave",
		// Bridges of virtual machines and system containers, and the firewall bridges of Proxmox with their cables.
		// vmbr* belongs to the LAN.
		"virbr*", "lxdbr*", "incusbr*", "fwbr*", "fwpr*", "fwln*",
		// Devices that only a container network uses: Flannel, Cilium, Antrea, OVN, and the devices of Open vSwitch
		// itself. br-ex of OVN and vlan10 on an Open vSwitch belong to the LAN.
		"flannel*", "cilium*", "antrea-*", "ovn-k8s-*", "ovn0", "ovs-system", "ovs-netdev", "datapath",
		// Tunnels that look like Ethernet: tunnels of Calico, Antrea, Kube-OVN and Weave, and tunnels of the kernel.
		"vxlan.*", "vxlan-*", "vxlan_*", "genev_sys_*", "geneve*", "gre[0-9]*", "gre_sys*", "gretap*", "erspan*", "tunl*",
		// Interfaces that only hold addresses.
		"kube-ipvs*", "kube-dummy-if", "nodelocaldns", "dummy*",
	}
}

func excluded(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// unfitness is the reason why an interface is not used.
type unfitness uint8

const (
	fit unfitness = iota
	excludedByName
	isLoopback
	isNotEthernet
	hasNoAddress
	cannotBroadcast
	isSlave
)

// String returns the reason for logs and the status page.
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
	case hasNoAddress:
		return "noHardwareAddress"
	case cannotBroadcast:
		return "cannotBroadcast"
	case isSlave:
		return "slave"
	}
	return "unknown"
}
