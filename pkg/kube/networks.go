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

// NetworksAnnotation is what each speaker writes on its own Pod: the subnets, default gateways and MAC addresses of its node, and
// which strangers it has met, as in {"subnets":["192.0.2.0/24"],"gateways":["192.0.2.1"],"macs":["02:00:00:00:00:07"],
// "strangers":[{"addr":"192.0.2.9","mac":"02:00:00:00:00:09","quarantine":true}]}.
const NetworksAnnotation = "lanlord.io/networks"

// The Pods of speakers are found by this label, which they have in every overlay.
const (
	componentLabel   = "component"
	speakerComponent = "speaker"
)

// How much an annotation may hold, so that no speaker can fill the controller's memory. The text is in bytes, and long
// enough for the others.
const (
	mostSubnets   = 256
	mostGateways  = 64
	mostMACs      = 256
	mostStrangers = 256
	mostText      = 48 << 10
)

// networksText is the annotation's content. Keys that are not known are left out: a newer speaker may say more.
type networksText struct {
	Subnets  []string `json:"subnets,omitempty"`
	Gateways []string `json:"gateways,omitempty"`
	MACs     []string `json:"macs,omitempty"`

	Strangers []strangerText `json:"strangers,omitempty"`
}

type strangerText struct {
	Addr       string `json:"addr"`
	MAC        string `json:"mac"`
	Quarantine bool   `json:"quarantine,omitempty"`
}

// formatNetworks returns the annotation's text, which is the same for the same networks in any order. What can be in no
// pool is not in it, nor a stranger without a MAC address, nor what is beyond the limits; left is how much the latter is. Of
// the strangers those stay that keep addresses in quarantine.
func formatNetworks(n cluster.Networks) (text string, left int) {
	var subnets []netip.Prefix
	for _, p := range n.Subnets {
		// A subnet of one address has no ends.
		if p = p.Masked(); mayBeInPool(p.Addr()) && !p.IsSingleIP() {
			subnets = append(subnets, p)
		}
	}
	var gateways []netip.Addr
	for _, a := range n.Gateways {
		if mayBeInPool(a) {
			gateways = append(gateways, a)
		}
	}
	var macs []string
	for _, text := range n.MACs {
		if mac, ok := canonicalMAC(text); ok {
			macs = append(macs, mac)
		}
	}
	strangers, beyond := mendedStrangers(n.Strangers)
	n = sortedNetworks(cluster.Networks{Subnets: subnets, Gateways: gateways, MACs: macs, Strangers: strangers})
	left = max(0, len(n.Subnets)-mostSubnets) + max(0, len(n.Gateways)-mostGateways) + max(0, len(n.MACs)-mostMACs) + beyond
	t := networksText{MACs: n.MACs[:min(len(n.MACs), mostMACs)]}
	for _, s := range n.Strangers {
		t.Strangers = append(t.Strangers, strangerText{s.Addr.String(), s.MAC, s.Quarantine})
	}
	for _, p := range n.Subnets[:min(len(n.Subnets), mostSubnets)] {
		t.Subnets = append(t.Subnets, p.String())
	}
	for _, a := range n.Gateways[:min(len(n.Gateways), mostGateways)] {
		t.Gateways = append(t.Gateways, a.String())
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic(err) // lists of strings can always be written
	}
	return string(b), left
}

// mendedStrangers returns those that can be told of, at most mostStrangers and each once, and how many are beyond.
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

// canonicalMAC returns the one way in which an Ethernet address is written here.
func canonicalMAC(text string) (mac string, ok bool) {
	hardware, err := net.ParseMAC(text)
	return hardware.String(), err == nil && len(hardware) == 6
}

// parseNetworks reads the annotation's text. Nothing of one with a problem counts.
func parseNetworks(text string) (cluster.Networks, error) {
	var none, n cluster.Networks
	if len(text) > mostText {
		return none, fmt.Errorf("%d bytes long, more than %d", len(text), mostText)
	}
	var t networksText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return none, err
	}
	if len(t.Subnets) > mostSubnets || len(t.Gateways) > mostGateways || len(t.MACs) > mostMACs || len(t.Strangers) > mostStrangers {
		return none, fmt.Errorf("%d subnets, %d gateways, %d MAC addresses and %d strangers, more than %d, %d, %d and %d", len(t.Subnets),
			len(t.Gateways), len(t.MACs), len(t.Strangers), mostSubnets, mostGateways, mostMACs, mostStrangers)
	}
	for _, s := range t.Subnets {
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() || !mayBeInPool(p.Addr()) {
			return none, fmt.Errorf("%s is no subnet that a pool can be in", quote(s))
		}
		n.Subnets = append(n.Subnets, p)
	}
	for _, s := range t.Gateways {
		a, err := netip.ParseAddr(s)
		if err != nil || !mayBeInPool(a) {
			return none, fmt.Errorf("%s is no address that a pool can hold", quote(s))
		}
		n.Gateways = append(n.Gateways, a)
	}
	for _, mac := range t.MACs {
		if err := checkMAC(mac); err != nil {
			return none, err
		}
		n.MACs = append(n.MACs, mac)
	}
	for _, s := range t.Strangers {
		a, err := netip.ParseAddr(s.Addr)
		if err != nil || !mayBeInPool(a) {
			return none, fmt.Errorf("%s is no address that a pool can hold", quote(s.Addr))
		}
		if err := checkMAC(s.MAC); err != nil {
			return none, err
		}
		n.Strangers = append(n.Strangers, cluster.Stranger{Addr: a, MAC: s.MAC, Quarantine: s.Quarantine})
	}
	return sortedNetworks(n), nil
}

// checkMAC asks for the canonical text.
func checkMAC(text string) error {
	if mac, ok := canonicalMAC(text); !ok || mac != text {
		return fmt.Errorf("%s is no MAC address like 02:00:00:00:00:09", quote(text))
	}
	return nil
}

// mayBeInPool tells addresses of hosts from those that mean something else on every network.
func mayBeInPool(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.Is4In6() && a.Zone() == "" }

// sortedNetworks sorts the lists in place, and removes what is there twice.
func sortedNetworks(n cluster.Networks) cluster.Networks {
	slices.SortFunc(n.Subnets, netip.Prefix.Compare)
	slices.SortFunc(n.Gateways, netip.Addr.Compare)
	slices.Sort(n.MACs)
	slices.SortFunc(n.Strangers, cluster.Stranger.Compare)
	return cluster.Networks{
		Subnets: slices.Compact(n.Subnets), Gateways: slices.Compact(n.Gateways), MACs: slices.Compact(n.MACs),
		Strangers: slices.Compact(n.Strangers),
	}
}

// podRow is what is kept of a speaker's Pod.
type podRow struct {
	node     string
	networks cluster.Networks
	// problem is what is wrong with the annotation, nil if nothing is; networks is empty then.
	problem error
	// warned is true once a problem of this Pod was logged.
	warned bool
}

// convertPod returns what counts of a Pod, and false if that is nothing: it is no speaker's, has ended, or says nothing.
func convertPod(o *corev1.Pod) (podRow, bool) {
	text, says := o.Annotations[NetworksAnnotation]
	ended := o.Status.Phase == corev1.PodSucceeded || o.Status.Phase == corev1.PodFailed
	if o.Labels[componentLabel] != speakerComponent || o.Spec.NodeName == "" || ended || !says {
		return podRow{}, false
	}
	row := podRow{node: o.Spec.NodeName}
	row.networks, row.problem = parseNetworks(text)
	return row, true
}
