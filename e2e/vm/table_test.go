package vm_test

import "slices"

// setups are all of them.
func setups() []setup {
	return slices.Concat(ports(), bonds(), layers(), addressing(), kernelsOwn(), hotplug())
}

// ports are set-ups of network cards.
func ports() []setup {
	return []setup{
		{name: "a port", script: addresses("eth0"), link: "eth0", short: true, steps: []step{
			{name: "without carrier", do: carrier(false, 0), dark: true},
			{name: "with carrier again", do: carrier(true, 0), announced: true, fresh: true},
			{name: "flapping ten times", do: flap, announced: true, long: true},
			{name: "with another MAC address", script: "ip link set eth0 address 02:4c:4c:00:77:00", announced: true, fresh: true},
			{name: "renamed to ens3", link: "ens3", announced: true, long: true,
				script: "ip link set eth0 down; ip link set eth0 name ens3; ip link set ens3 up; ip addr replace 2001:db8::11/64 dev ens3"},
		}},
		{name: "a port that gets its carrier late", script: addresses("eth0"), link: "eth0", steps: []step{
			{name: "pulled out of the switch, without addresses", do: carrier(false, 0), script: "ip addr flush dev eth0 scope global", dark: true},
			{name: "addresses without carrier", script: addresses("eth0"), dark: true},
			{name: "carrier at last", do: carrier(true, 0), announced: true, fresh: true},
		}},
		{name: "all offloads off", script: addresses("eth0") + offloads("off"), link: "eth0", steps: []step{
			{name: "all offloads on", script: offloads("on")},
		}},
		{name: "two ports in one LAN", short: true, link: "eth0",
			script: addresses("eth0") + "ip link set eth1 up\nip addr add 192.0.2.12/24 dev eth1\nip addr add 2001:db8::12/64 dev eth1",
			steps: []step{
				{name: "the first without carrier", do: carrier(false, 0), link: "eth1", announced: true, fresh: true},
				{name: "the first with carrier again", do: carrier(true, 0), link: "eth0", announced: true, fresh: true},
			}},
		{name: "MTU 9000", script: "ip link set eth0 mtu 9000\n" + addresses("eth0"), link: "eth0"},
	}
}

// bonds are set-ups of bonds on a switch that knows nothing of them.
func bonds() []setup {
	failover := []step{
		{name: "the first port without carrier", do: carrier(false, 0), announced: true},
		{name: "with carrier again", do: carrier(true, 0)},
	}
	longFailover := slices.Clone(failover)
	for i := range longFailover {
		longFailover[i].long = true
	}
	shared := []string{"eth0", "eth1"}
	return []setup{
		{name: "bond active-backup", script: bond("active-backup") + addresses("bond0"), link: "bond0", short: true, steps: failover},
		{name: "bond balance-alb", script: bond("balance-alb") + addresses("bond0"), link: "bond0", more: shared, repeats: true, short: true, steps: longFailover},
		{name: "bond balance-tlb", script: bond("balance-tlb") + addresses("bond0"), link: "bond0", more: shared, steps: failover},
		{name: "VLAN over a bond", link: "bond0.10", vlans: []uint16{10}, short: true, steps: longFailover,
			script: bond("active-backup") + "ip link set bond0 up\nip link add link bond0 name bond0.10 type vlan id 10\n" + addresses("bond0.10")},
	}
}

// layers are set-ups of interfaces on top of a port.
func layers() []setup {
	return []setup{
		{name: "bridge with the addresses", script: "ip link add br0 type bridge\nip link set eth0 up master br0\n" + addresses("br0"), link: "br0", short: true},
		{name: "bridge with a container beside the port", link: "br0", short: true,
			script: "ip link add br0 type bridge\nip link set eth0 up master br0\nip link add veth0 type veth peer name veth1\n" +
				"ip link set veth0 up master br0\nip link set veth1 up\n" + addresses("br0"),
			steps: []step{
				{name: "the port without carrier", do: carrier(false, 0), dark: true},
				{name: "with carrier again", do: carrier(true, 0), announced: true, fresh: true},
			}},
		{name: "bridge with a bond", script: bond("active-backup") + "ip link set bond0 up\nip link add br0 type bridge\nip link set bond0 master br0\n" +
			addresses("br0"), link: "br0", steps: []step{{name: "the first port without carrier", do: carrier(false, 0), announced: true},
			{name: "with carrier again", do: carrier(true, 0)}}},
		{name: "VLAN-aware bridge with VLAN interfaces", link: "br0.10", vlans: []uint16{10}, short: true,
			script: "ip link add br0 type bridge vlan_filtering 1\nip link set eth0 up master br0\nip link set br0 up\n" +
				"bridge vlan add dev eth0 vid 10\nbridge vlan add dev br0 vid 10 self\n" +
				"ip link add link br0 name br0.10 type vlan id 10\n" + addresses("br0.10")},
		{name: "VLANs, each in a bridge", link: "br10", vlans: []uint16{10},
			script: "ip link set eth0 up\nip link add link eth0 name eth0.10 type vlan id 10\nip link add br10 type bridge\n" +
				"ip link set eth0.10 up master br10\n" + addresses("br10")},
		{name: "VLAN in a VLAN (QinQ)", link: "inner", vlans: []uint16{100, 10}, short: true,
			script: "ip link set eth0 up\nip link add link eth0 name outer type vlan id 100 protocol 802.1ad\nip link set outer up\n" +
				"ip link add link outer name inner type vlan id 10\n" + addresses("inner")},
		{name: "macvlan", link: "mac0", script: "ip link set eth0 up\nip link add link eth0 name mac0 type macvlan mode bridge\n" + addresses("mac0")},
		{name: "macvlan beside its parent", link: "eth0", short: true,
			script: addresses("eth0") + "ip link add link eth0 name mac0 type macvlan mode bridge\nip link set mac0 up\n" +
				"ip addr add 192.0.2.12/24 dev mac0\nip addr add 2001:db8::12/64 dev mac0"},
		{name: "ipvlan", link: "ipv0", script: "ip link set eth0 up\nip link add link eth0 name ipv0 type ipvlan mode l2\n" + addresses("ipv0")},
		{name: "VRF", link: "eth0", short: true,
			script: "ip link add blue type vrf table 10\nip link set blue up\nip link set eth0 master blue\n" + addresses("eth0")},
	}
}

// addressing are set-ups of addresses and routes.
func addressing() []setup {
	return []setup{
		{name: "IPv6 only", script: "ip link set eth0 up\nip addr add 2001:db8::11/64 dev eth0", link: "eth0", only: 6},
		{name: "addresses that come later", script: "ip link set eth0 up\n" + addresses("eth0"), link: "eth0", steps: []step{
			{name: "taken away and given again", script: "ip addr flush dev eth0 scope global\nsleep 1\n" + addresses("eth0")},
		}},
		{name: "/32 and /128 with a route for the LAN", link: "eth0", short: true,
			script: "ip link set eth0 up\nip addr add 192.0.2.11/32 dev eth0\nip route add 192.0.2.0/24 dev eth0\n" +
				"ip addr add 2001:db8::11/128 dev eth0\nip route add 2001:db8::/64 dev eth0"},
	}
}

// kernelsOwn are set-ups in which the node's kernel has the addresses too, or answers by other rules than usual.
func kernelsOwn() []setup {
	strict := "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore\necho 2 >/proc/sys/net/ipv4/conf/all/arp_announce\n"
	holds := func(link string) string {
		return "ip link add " + link + " type dummy\nip addr add 192.0.2.100/32 dev " + link + "\nip addr add 2001:db8::100/128 dev " + link + "\n"
	}
	set := func(name, value string) string {
		return "echo " + value + " >/proc/sys/net/ipv4/conf/all/" + name + "\necho " + value + " >/proc/sys/net/ipv4/conf/eth0/" + name + "\n"
	}
	return []setup{
		{name: "kube-ipvs0 with the addresses, strict ARP", script: strict + holds("kube-ipvs0") + addresses("eth0"), link: "eth0", short: true},
		{name: "kube-ipvs0 with the addresses, no strict ARP", script: holds("kube-ipvs0") + addresses("eth0"), link: "eth0", short: true,
			told: "in IPVS mode without strictARP"},
		{name: "a dummy with the addresses, strict ARP", script: strict + holds("dummy0") + addresses("eth0"), link: "eth0"},
		{name: "arp_filter 1", script: set("arp_filter", "1") + addresses("eth0"), link: "eth0"},
		{name: "arp_ignore 2", script: set("arp_ignore", "2") + addresses("eth0"), link: "eth0"},
		{name: "arp_ignore 8", script: set("arp_ignore", "8") + addresses("eth0"), link: "eth0"},
		{name: "rp_filter 1", script: set("rp_filter", "1") + addresses("eth0"), link: "eth0"},
		{name: "proxy_arp 1", script: set("proxy_arp", "1") + addresses("eth0"), link: "eth0"},
	}
}

// hotplug comes last: a card that was put in again has a new index.
func hotplug() []setup {
	return []setup{
		{name: "a port that is pulled out", script: addresses("eth0"), link: "eth0", short: true, steps: []step{
			{name: "pulled out", dark: true, do: func(n *member) error {
				if err := n.Pull(0); err != nil {
					return err
				}
				_, err := n.Run(n.w.t.Context(), "while [ -e /sys/class/net/eth0 ]; do sleep 0.1; done")
				return err
			}},
			{name: "put in again", announced: true, fresh: true, do: func(n *member) error {
				if err := n.Insert(0); err != nil {
					return err
				}
				_, err := n.Run(n.w.t.Context(), "until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done\n"+addresses("eth0"))
				return err
			}},
		}},
	}
}
