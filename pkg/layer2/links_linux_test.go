package layer2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// message is a link as the kernel describes the link over netlink (RTM_NEWLINK).
type message struct {
	index          int32
	name, kind     string
	mac, permanent string
	master, parent uint32
	slaveKind      string
	slavePermanent string
	mode           *byte // of a bond
}

// attribute encodes one attribute, padded to four bytes.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func hardware(text string) net.HardwareAddr {
	mac, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return mac
}

// bytes encodes the message: struct ifinfomsg and its attributes.
func (m message) bytes() []byte {
	b := []byte{unix.AF_UNSPEC, 0}
	b = binary.NativeEndian.AppendUint16(b, unix.ARPHRD_ETHER)
	b = binary.NativeEndian.AppendUint32(b, uint32(m.index))
	b = binary.NativeEndian.AppendUint32(b, unix.IFF_UP|unix.IFF_RUNNING|unix.IFF_BROADCAST|unix.IFF_MULTICAST)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, attribute(unix.IFLA_IFNAME, append([]byte(m.name), 0))...)
	if m.mac != "" {
		b = append(b, attribute(unix.IFLA_ADDRESS, hardware(m.mac))...)
	}
	if m.permanent != "" {
		b = append(b, attribute(unix.IFLA_PERM_ADDRESS, hardware(m.permanent))...)
	}
	if m.master != 0 {
		b = append(b, attribute(unix.IFLA_MASTER, binary.NativeEndian.AppendUint32(nil, m.master))...)
	}
	if m.parent != 0 {
		b = append(b, attribute(unix.IFLA_LINK, binary.NativeEndian.AppendUint32(nil, m.parent))...)
	}
	var info []byte
	if m.kind != "" {
		info = append(info, attribute(unix.IFLA_INFO_KIND, append([]byte(m.kind), 0))...)
	}
	if m.mode != nil {
		const bondMode = 1 // IFLA_BOND_MODE
		info = append(info, attribute(unix.IFLA_INFO_DATA, attribute(bondMode, []byte{*m.mode}))...)
	}
	if m.slaveKind != "" {
		info = append(info, attribute(unix.IFLA_INFO_SLAVE_KIND, append([]byte(m.slaveKind), 0))...)
	}
	if m.slavePermanent != "" {
		const bondSlavePermanent = 4 // IFLA_BOND_SLAVE_PERM_HWADDR
		info = append(info, attribute(unix.IFLA_INFO_SLAVE_DATA, attribute(bondSlavePermanent, hardware(m.slavePermanent)))...)
	}
	if info != nil {
		b = append(b, attribute(unix.IFLA_LINKINFO, info)...)
	}
	return b
}

// linksOf decodes the messages as netlink decodes the kernel's list of links.
func linksOf(t testing.TB, messages []message) []netlink.Link {
	t.Helper()
	var links []netlink.Link
	for _, m := range messages {
		l, err := netlink.LinkDeserialize(nil, m.bytes())
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	return links
}

// bondHost is a host with a bond in mode balance-alb: each slave has its own address, and slave 3 has the address of
// the bond.
var bondHost = []message{
	{index: 2, name: "eno1", mac: "02:00:00:00:00:02", permanent: "02:00:00:00:00:02", master: 4, slaveKind: "bond", slavePermanent: "02:00:00:00:00:02"},
	{index: 3, name: "eno2", mac: "02:00:00:00:00:04", permanent: "02:00:00:00:00:03", master: 4, slaveKind: "bond", slavePermanent: "02:00:00:00:00:03"},
	{index: 4, name: "bond0", kind: "bond", mac: "02:00:00:00:00:04"},
	{index: 5, name: "bond0.7", kind: "vlan", mac: "02:00:00:00:00:05", parent: 4},
	{index: 6, name: "vmbr0", kind: "bridge", mac: "02:00:00:00:00:06"},
	{index: 7, name: "bond1", kind: "bond", mac: "02:00:00:00:00:07", master: 6},
	{index: 8, name: "eno3", mac: "02:00:00:00:00:08", master: 7, slaveKind: "bond"},
	{index: 9, name: "veth12", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", parent: 4},
	{index: 10, name: "docker0", kind: "bridge", mac: "02:42:ac:11:00:01"},
	{index: 11, name: "eno4", mac: "00:00:00:00:00:00"},
	{index: 12, name: "odd0", mac: "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:00:00:00:00:00:0c"},
}

// TestModesOfBonds reads the modes of bonds from the kernel's messages, also below VLANs and bridges.
func TestModesOfBonds(t *testing.T) {
	for mode, want := range []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb", ""} {
		set := newLinkSet(linksOf(t, []message{
			{index: 2, name: "eno1", mac: "02:00:00:00:00:02", master: 4, slaveKind: "bond"},
			{index: 4, name: "bond0", kind: "bond", mac: "02:00:00:00:00:04", master: 6, mode: new(byte(mode))},
			{index: 5, name: "bond0.7", kind: "vlan", mac: "02:00:00:00:00:05", parent: 4},
			{index: 6, name: "vmbr0", kind: "bridge", mac: "02:00:00:00:00:06"},
			{index: 7, name: "vmbr0.8", kind: "vlan", mac: "02:00:00:00:00:06", parent: 6},
			{index: 8, name: "eno2", mac: "02:00:00:00:00:08"},
		}), nil)
		for index, want := range map[int]string{2: "", 4: want, 5: want, 6: want, 7: want, 8: "", 99: ""} {
			if got := set.bondMode(index); got != want {
				t.Errorf("mode %d: link %d is on a bond in mode %q, want %q", mode, index, got, want)
			}
		}
	}
}

// TestSlavesOfBonds reads the slaves from the kernel's messages.
func TestSlavesOfBonds(t *testing.T) {
	set := newLinkSet(linksOf(t, bondHost), nil)
	for name, want := range map[string]string{
		"eno1":    "[]",
		"bond0":   "[02:00:00:00:00:02 02:00:00:00:00:03]",
		"bond0.7": "[02:00:00:00:00:02 02:00:00:00:00:03 02:00:00:00:00:04]",
		"vmbr0":   "[02:00:00:00:00:08]",
		"docker0": "[]",
		"veth12":  "[]", // the parent is the other end
		"odd0":    "[]",
	} {
		at := slices.IndexFunc(bondHost, func(m message) bool { return m.name == name })
		if got := fmt.Sprint(set.senders(int(bondHost[at].index))); got != want {
			t.Errorf("frames of %s may carry %s, want %s", name, got, want)
		}
	}
	if got := set.senders(99); got != nil {
		t.Errorf("frames of no interface may carry %s", got)
	}
}

// TestHardwareAddressesOfAHost requires all hardware addresses, and none of pods' cables.
func TestHardwareAddressesOfAHost(t *testing.T) {
	set := newLinkSet(linksOf(t, bondHost), nil)
	exclude := exclusion{patterns: DefaultExclude()}
	want := "[02:00:00:00:00:02 02:00:00:00:00:03 02:00:00:00:00:04 02:00:00:00:00:05 02:00:00:00:00:06 " +
		"02:00:00:00:00:07 02:00:00:00:00:08 02:42:ac:11:00:01]"
	if got := fmt.Sprint(stationMACs(set.macs(exclude))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, l := range set.links {
		want := map[string]unfitness{"eno1": isSlave, "eno2": isSlave, "eno3": isSlave, "bond1": isSlave, "veth12": excludedByName,
			"docker0": excludedByName, "eno4": hasNoAddress, "odd0": hasNoAddress}[l.Attrs().Name]
		if got := set.unfit(l.Attrs(), exclude); got != want {
			t.Errorf("%s: %s, want %s", l.Attrs().Name, got, want)
		}
	}
}

// TestMasterInACircle tests links that are each other's masters; a list read during a change may contain such links.
func TestMasterInACircle(t *testing.T) {
	set := newLinkSet(linksOf(t, []message{
		{index: 2, name: "a", kind: "bond", mac: "02:00:00:00:00:02", master: 3},
		{index: 3, name: "b", kind: "bond", mac: "02:00:00:00:00:03", master: 2},
		{index: 4, name: "c", kind: "vlan", mac: "02:00:00:00:00:04", parent: 4},
	}), nil)
	if got := fmt.Sprint(set.senders(2), set.senders(4)); got != "[02:00:00:00:00:03] []" {
		t.Error(got)
	}
}

// kernelAddress returns an address on the link with the given index.
func kernelAddress(t *testing.T, index int, text string) netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	a.LinkIndex = index
	return *a
}

func TestKernelAddrs(t *testing.T) {
	links := linksOf(t, []message{{index: 1, name: "lo"}, {index: 2, name: "eth0"}, {index: 3, name: "kube-ipvs0"},
		{index: 4, name: "kube-dummy-if"}, {index: 5, name: "nodelocaldns"}, {index: 6, name: "docker0"}})
	set := newLinkSet(links, []netlink.Addr{
		kernelAddress(t, 1, "127.0.0.1/8"), kernelAddress(t, 1, "127.0.0.53/8"), kernelAddress(t, 1, "::1/128"),
		kernelAddress(t, 1, "192.0.2.99/32"), // a host-scope address on the loopback interface, as set by kube-vip
		kernelAddress(t, 2, "192.0.2.7/24"), kernelAddress(t, 2, "192.0.2.8/24"), kernelAddress(t, 2, "2001:db8::7/64"),
		kernelAddress(t, 2, "fe80::7/64"), kernelAddress(t, 2, "169.254.3.4/16"), kernelAddress(t, 2, "fd00::7/64"),
		kernelAddress(t, 3, "192.0.2.80/32"), kernelAddress(t, 4, "192.0.2.81/32"), kernelAddress(t, 5, "169.254.20.10/32"),
		kernelAddress(t, 6, "172.17.0.1/16"), kernelAddress(t, 77, "192.0.2.77/24"), // of a link newer than the list
	})
	const want = "[172.17.0.1 192.0.2.7 192.0.2.8 192.0.2.77 192.0.2.99 2001:db8::7 fd00::7]"
	if got := fmt.Sprint(HostState{Addrs: set.kernelAddrs()}.normalized().Addrs); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestDefaultExclude tests interface names of container networks, hypervisors and tunnels, and names that
// administrators give the interfaces of LANs.
func TestDefaultExclude(t *testing.T) {
	const unused = "veth1a2b3c4d vethwe-bridge cali0123456789a lxc0a1b2c3d4e5f lxc_health lxcbr0 eni0123456789a vlan0123456789a " +
		"azv0a1b2c3d4e5 gke0123456789a tap0 tap100i0 tap3f2a1b4c-5d vnet12 tapa1b2c3d4-5e macvtap0 docker0 docker_gwbridge br-0123456789ab nerdctl0 " +
		"podman0 podman12 cni0 cni-podman0 cbr0 kube-bridge weave virbr0 virbr0-nic lxdbr0 incusbr0 fwbr100i0 fwpr100p0 fwln100i0 " +
		"flannel.1 flannel-v6.1 cilium_host cilium_vxlan antrea-gw0 antrea-tun0 ovn-k8s-mp0 ovn0 ovs-system ovs-netdev datapath " +
		"vxlan.calico vxlan-v6.calico vxlan-6784 vxlan_sys_4789 genev_sys_6081 geneve0 gre0 gre_sys gretap0 erspan0 tunl0 " +
		"kube-ipvs0 kube-dummy-if nodelocaldns dummy0"
	const used = "eth0 eth0.100 eno1 enp3s0f1 ens18 enx020000000001 end0 eni1np1 enP2p1s0 bond0 team0 br0 br-lan br-ex br-int br-public " +
		"br-0123456789 br-0123456789abc br-storage12 vmbr0 vmbr1v100 xenbr0 bridge0 vlan10 vlan100 vlan0123 lan0 wan0 green0 red0 greenlan " +
		"grey0 tapestry0 vnetlan gke-lan vxlan100 vxlan0 macvlan0 shim net1 wlan0 ib0 ovsbr0 ovs-br0 ovsbr-ex brvlan12 host0 " +
		"azure0 weave-lan kube-lan datapath0 em1 p1p1 sfp0 lan venet0"
	for _, name := range strings.Fields(unused) {
		if !excluded(name, DefaultExclude()) {
			t.Errorf("%s is used", name)
		}
	}
	for _, name := range strings.Fields(used) {
		if excluded(name, DefaultExclude()) {
			t.Errorf("%s is not used", name)
		}
	}
}

// TestNodeAddressSavesFromTheDefault requires that the default patterns spare an interface with an address of the Node,
// and that other patterns do not.
func TestNodeAddressSavesFromTheDefault(t *testing.T) {
	links := linksOf(t, []message{{index: 2, name: "podman-lan", kind: "bridge", mac: "02:00:00:00:00:02"},
		{index: 3, name: "veth1", kind: "veth", mac: "02:00:00:00:00:03"}})
	set := newLinkSet(links, []netlink.Addr{kernelAddress(t, 2, "192.0.2.7/24"), kernelAddress(t, 3, "192.0.2.8/24")})
	for _, c := range []struct {
		user, node string
		want       string
	}{
		{"", "", "[excludedByName excludedByName]"},
		{"", "192.0.2.7", "[fit excludedByName]"},
		{"", "192.0.2.8", "[excludedByName fit]"},
		{"podman*", "192.0.2.7", "[excludedByName fit]"},
	} {
		h := newHost(nil, strings.Fields(c.user))
		if c.node != "" {
			h.setNodeAddrs([]netip.Addr{netip.MustParseAddr(c.node)})
		}
		var got []unfitness
		for _, l := range links {
			got = append(got, set.unfit(l.Attrs(), h.exclusion()))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("user's patterns %q, Node at %q: %v, want %s", c.user, c.node, got, c.want)
		}
	}
}

// TestConcerns tests which events cost a look.
func TestConcerns(t *testing.T) {
	links := linksOf(t, bondHost)
	set := newLinkSet(links, nil)
	state := HostState{MACs: set.macs(exclusion{patterns: DefaultExclude()}), Interfaces: []Interface{{Index: 4, Name: "bond0", MAC: MAC{2}}}}
	v := view{host: newHost(nil, nil), told: &state, moves: newMoves()}
	event := func(l netlink.Link, kind uint16, family uint8) netlink.LinkUpdate {
		u := netlink.LinkUpdate{Link: l, Header: unix.NlMsghdr{Type: kind}}
		u.IfInfomsg.Family = family
		return u
	}
	other := linksOf(t, []message{{index: 10, name: "docker0", kind: "bridge", mac: "02:42:00:00:00:09"}})[0]
	for _, c := range []struct {
		what   string
		update netlink.LinkUpdate
		want   bool
	}{
		{"the bond", event(links[2], unix.RTM_NEWLINK, unix.AF_UNSPEC), true},
		{"a slave", event(links[0], unix.RTM_NEWLINK, unix.AF_UNSPEC), true},
		{"the bond joins a bridge", event(links[2], unix.RTM_NEWLINK, unix.AF_BRIDGE), true},
		{"a pod's cable joins a bridge", event(links[7], unix.RTM_NEWLINK, unix.AF_BRIDGE), false},
		{"a pod starts", event(links[7], unix.RTM_NEWLINK, unix.AF_UNSPEC), false},
		{"a pod ends", event(links[7], unix.RTM_DELLINK, unix.AF_UNSPEC), false},
		{"a known bridge of containers", event(links[8], unix.RTM_NEWLINK, unix.AF_UNSPEC), false},
		{"a bridge of containers with another address", event(other, unix.RTM_NEWLINK, unix.AF_UNSPEC), true},
		{"a bridge of containers goes", event(links[8], unix.RTM_DELLINK, unix.AF_UNSPEC), true},
	} {
		if got := v.concerns(c.update); got != c.want {
			t.Errorf("%s: %t, want %t", c.what, got, c.want)
		}
	}
}

// FuzzLinks reads links with any names, kinds, masters, parents and hardware addresses. Each link takes eight bytes.
func FuzzLinks(f *testing.F) {
	kinds := []string{"", "bond", "team", "bridge", "vlan", "macvlan", "veth", "vrf"}
	names := []string{"eth0", "veth0", "docker0", "kube-ipvs0"}
	f.Add([]byte{0, 3, 0, 6, 0, 0, 0, 2, 0, 3, 0, 6, 0, 0, 0, 3, 1, 0, 0, 6, 0, 0, 0, 4})
	f.Add([]byte{1, 1, 1, 6, 2, 0, 0, 2, 4, 1, 2, 6, 2, 0, 0, 2, 3, 2, 1, 20, 2, 0, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 64*8)]
		var links []netlink.Link
		for at := 0; len(b) >= 8; at++ {
			attrs := netlink.NewLinkAttrs()
			attrs.Index, attrs.Name, attrs.MasterIndex, attrs.ParentIndex = at+1, names[int(b[6])%len(names)], int(b[1]), int(b[2])
			attrs.EncapType, attrs.RawFlags = "ether", unix.IFF_BROADCAST|unix.IFF_MULTICAST
			attrs.HardwareAddr, attrs.PermHWAddr = bytes.Repeat(b[4:5], int(b[3])%21), append([]byte{2, 0, 0, 0, 0}, b[7])
			links = append(links, &netlink.GenericLink{LinkAttrs: attrs, LinkType: kinds[int(b[0])%len(kinds)]})
			b = b[8:]
		}
		set, exclude := newLinkSet(links, nil), exclusion{patterns: DefaultExclude()}
		all := stationMACs(set.macs(exclude))
		for _, l := range links {
			attrs := l.Attrs()
			macs := set.senders(attrs.Index)
			if !slices.IsSortedFunc(macs, func(a, b MAC) int { return bytes.Compare(a[:], b[:]) }) || len(slices.Compact(slices.Clone(macs))) != len(macs) {
				t.Errorf("%v is not sorted, or has an address twice", macs)
			}
			for _, m := range macs {
				if m == (MAC{}) || m.multicast() || bytes.Equal(m[:], attrs.HardwareAddr) {
					t.Errorf("link %d with the address %s may send as %s", attrs.Index, attrs.HardwareAddr, m)
				}
			}
			if set.unfit(attrs, exclude) != fit {
				continue
			}
			if own, ok := macOf(attrs.HardwareAddr); !ok || !own.multicast() && !slices.Contains(all, own) {
				t.Errorf("link %d is used with the address %s, which is not among %v", attrs.Index, attrs.HardwareAddr, all)
			}
		}
	})
}
