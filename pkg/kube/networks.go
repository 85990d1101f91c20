package kube

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// NetworksAnnotation is the annotation that each speaker writes on its own Pod. The annotation holds the subnets,
// default gateways, addresses and MAC addresses of the node, and the foreign hosts that the node has seen, as in
// {"subnets":["192.0.2.0/24"],"gateways":["192.0.2.1"],"addresses":["192.0.2.7"],"macs":["02:00:00:00:00:07"],
// "strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:09","quarantine":true}]}.
const NetworksAnnotation = "lanlord.io/networks"

// The speakers' Pods have this label in every overlay.
const (
	componentLabel   = "component"
	speakerComponent = "speaker"
)

// These limits of an annotation keep a speaker from filling the controller's memory. mostText is in bytes and leaves
// room for the maximum of all lists.
const (
	mostSubnets   = 256
	mostGateways  = 64
	mostAddresses = 512
	mostMACs      = 256
	mostStrangers = 256
	mostText      = 64 << 10
)

// networksText is the content of the annotation. The reader ignores unknown keys, because a newer speaker may write
// more.
type networksText struct {
	Subnets   []string `json:"subnets,omitempty"`
	Gateways  []string `json:"gateways,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	MACs      []string `json:"macs,omitempty"`

	Strangers []strangerText `json:"strangers,omitempty"`
}

type strangerText struct {
	Addr       string `json:"addr"`
	MAC        string `json:"mac"`
	Quarantine bool   `json:"quarantine,omitempty"`
}

// formatNetworks returns the text of the annotation. Equal networks give equal text, in any order of the lists. The
// text leaves out addresses that no pool can hold, foreign hosts without a MAC address, and all items over the limits;
// left counts the items over the limits. Foreign hosts that keep an address in quarantine take precedence at the limit.
func formatNetworks(n cluster.Networks) (text string, left int) {
	var subnets []netip.Prefix
	for _, p := range n.Subnets {
		// A subnet of one address has neither a network address nor a broadcast address.
		if p = p.Masked(); mayBeInPool(p.Addr()) && !p.IsSingleIP() {
			subnets = append(subnets, p)
		}
	}
	var macs []string
	for _, text := range n.MACs {
		if mac, ok := canonicalMAC(text); ok {
			macs = append(macs, mac)
		}
	}
	strangers, beyond := mendedStrangers(n.Strangers)
	n = sortedNetworks(cluster.Networks{
		Subnets: subnets, Gateways: poolAddresses(n.Gateways), Addresses: poolAddresses(n.Addresses), MACs: macs, Strangers: strangers,
	})
	left = max(0, len(n.Subnets)-mostSubnets) + max(0, len(n.Gateways)-mostGateways) + max(0, len(n.Addresses)-mostAddresses) +
		max(0, len(n.MACs)-mostMACs) + beyond
	t := networksText{
		Gateways: textsOf(n.Gateways, mostGateways), Addresses: textsOf(n.Addresses, mostAddresses), MACs: n.MACs[:min(len(n.MACs), mostMACs)],
	}
	for _, s := range n.Strangers {
		t.Strangers = append(t.Strangers, strangerText{s.Addr.String(), s.MAC, s.Quarantine})
	}
	for _, p := range n.Subnets[:min(len(n.Subnets), mostSubnets)] {
		t.Subnets = append(t.Subnets, p.String())
	}
	return marshalText(t), left
}

// poolAddresses returns the addresses that a pool can hold.
func poolAddresses(all []netip.Addr) (some []netip.Addr) {
	for _, a := range all {
		if mayBeInPool(a) {
			some = append(some, a)
		}
	}
	return some
}

// textsOf returns at most most addresses as text.
func textsOf(addrs []netip.Addr, most int) (texts []string) {
	for _, a := range addrs[:min(len(addrs), most)] {
		texts = append(texts, a.String())
	}
	return texts
}

// mendedStrangers returns the foreign hosts that the annotation can hold, at most mostStrangers and each once. beyond
// counts the foreign hosts over the limit.
func mendedStrangers(all []cluster.Stranger) (some []cluster.Stranger, beyond int) {
	for _, s := range all {
		mac, ok := canonicalMAC(s.MAC)
		if ok && mayBeInPool(s.Addr) {
			s.MAC = mac
			some = append(some, s)
		}
	}
	slices.SortFunc(some, func(a, b cluster.Stranger) int {
		switch {
		case a.Quarantine == b.Quarantine:
			return a.Compare(b)
		case a.Quarantine:
			return -1
		}
		return 1
	})
	some = slices.Compact(some)
	beyond = max(0, len(some)-mostStrangers)
	return some[:len(some)-beyond], beyond
}

// canonicalMAC returns the canonical text of an Ethernet address.
func canonicalMAC(text string) (mac string, ok bool) {
	hardware, err := net.ParseMAC(text)
	return hardware.String(), err == nil && len(hardware) == 6
}

// parseNetworks reads the text of the annotation. With an error, parseNetworks returns no networks at all.
func parseNetworks(text string) (cluster.Networks, error) {
	var none, n cluster.Networks
	if len(text) > mostText {
		return none, fmt.Errorf("%d bytes long, more than %d", len(text), mostText)
	}
	var t networksText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return none, err
	}
	if len(t.Subnets) > mostSubnets || len(t.Gateways) > mostGateways || len(t.Addresses) > mostAddresses || len(t.MACs) > mostMACs ||
		len(t.Strangers) > mostStrangers {
		return none, fmt.Errorf("%d subnets, %d gateways, %d addresses, %d MAC addresses and %d strangers, more than %d, %d, %d, %d and %d",
			len(t.Subnets), len(t.Gateways), len(t.Addresses), len(t.MACs), len(t.Strangers),
			mostSubnets, mostGateways, mostAddresses, mostMACs, mostStrangers)
	}
	for _, s := range t.Subnets {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || !mayBeInPool(p.Addr()) {
			return none, fmt.Errorf("%s is no subnet that a pool can be in", quote(s))
		}
		n.Subnets = append(n.Subnets, p)
	}
	var err error
	if n.Gateways, err = parseAddresses(t.Gateways); err != nil {
		return none, err
	}
	if n.Addresses, err = parseAddresses(t.Addresses); err != nil {
		return none, err
	}
	for _, mac := range t.MACs {
		if err := checkMAC(mac); err != nil {
			return none, err
		}
		n.MACs = append(n.MACs, mac)
	}
	for _, s := range t.Strangers {
		a, err := parseAddress(s.Addr)
		if err != nil {
			return none, err
		}
		if err := checkMAC(s.MAC); err != nil {
			return none, err
		}
		n.Strangers = append(n.Strangers, cluster.Stranger{Addr: a, MAC: s.MAC, Quarantine: s.Quarantine})
	}
	return sortedNetworks(n), nil
}

func parseAddresses(texts []string) (addrs []netip.Addr, err error) {
	for _, s := range texts {
		a, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func parseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !mayBeInPool(a) {
		return netip.Addr{}, fmt.Errorf("%s is no address that a pool can hold", quote(text))
	}
	return a, nil
}

// checkMAC returns an error for any text but a canonical MAC address.
func checkMAC(text string) error {
	if mac, ok := canonicalMAC(text); !ok || mac != text {
		return fmt.Errorf("%s is no MAC address like 02:00:00:00:00:09", quote(text))
	}
	return nil
}

// mayBeInPool reports whether a pool can hold the address: the address must be a unicast address of a host, on any
// network.
func mayBeInPool(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.Is4In6() && a.Zone() == "" }

// sortedNetworks sorts the lists in place and removes duplicates.
func sortedNetworks(n cluster.Networks) cluster.Networks {
	slices.SortFunc(n.Subnets, netip.Prefix.Compare)
	slices.SortFunc(n.Gateways, netip.Addr.Compare)
	slices.SortFunc(n.Addresses, netip.Addr.Compare)
	slices.Sort(n.MACs)
	slices.SortFunc(n.Strangers, cluster.Stranger.Compare)
	return cluster.Networks{
		Subnets: slices.Compact(n.Subnets), Gateways: slices.Compact(n.Gateways), Addresses: slices.Compact(n.Addresses),
		MACs: slices.Compact(n.MACs), Strangers: slices.Compact(n.Strangers),
	}
}

// podRow is one speaker's Pod.
type podRow struct {
	node     string
	networks cluster.Networks
	// problem is the error in an annotation, nil for none.
	problem error
	// routed holds the addresses that the node announces to routers, nil for a Pod without a report. ready means that
	// the Pod is ready: the speaker of a lost node is not ready.
	routed *cluster.Routed
	ready  bool
	// warned is true once a problem of this Pod was logged.
	warned bool
}

// convertPod returns the row of a Pod, and false for a Pod that is not a speaker's, has ended, or lacks the annotation.
func convertPod(o *corev1.Pod) (podRow, bool) {
	text, says := o.Annotations[NetworksAnnotation]
	ended := o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed
	if o.Labels[componentLabel] != speakerComponent || o.Spec.NodeName == "" || ended || !says {
		return podRow{}, false
	}
	row := podRow{node: o.Spec.NodeName}
	row.networks, row.problem = parseNetworks(text)
	row.ready = isReady(o)
	if text, says := o.Annotations[RoutesAnnotation]; says {
		routed, err := parseRouted(text)
		if routed.Node = row.node; err == nil {
			row.routed = &routed
		} else if row.problem == nil {
			row.problem = fmt.Errorf("%s: %w", RoutesAnnotation, err)
		}
	}
	return row, true
}
