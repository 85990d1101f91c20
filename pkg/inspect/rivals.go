package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/reason"
)

// RivalKind names a load balancer other than Lanlord and MetalLB.
type RivalKind string

// The load balancers that the doctor recognizes by their objects.
const (
	ServiceLB  RivalKind = "k3s ServiceLB"
	KubeVIP    RivalKind = "kube-vip"
	PureLB     RivalKind = "PureLB"
	OpenELB    RivalKind = "OpenELB"
	CiliumIPAM RivalKind = "Cilium LB-IPAM"
	CalicoIPAM RivalKind = "Calico's LoadBalancer IPAM"
	// CalicoBGP announces the addresses in status.loadBalancer, and assigns no addresses.
	CalicoBGP RivalKind = "Calico's BGP"
)

// Rival is a load balancer that runs in the same cluster.
type Rival struct {
	Kind RivalKind
	// Objects are the objects that belong to the load balancer, like "DaemonSet kube-system/svclb-web", sorted.
	Objects []string
	// Classless is true for a load balancer that serves Services without spec.loadBalancerClass. Class is the class
	// that the load balancer also serves; empty if unknown or without one.
	Classless bool
	Class     string
	// Services are the Services that the load balancer serves, sorted; nil if the objects do not name the Services.
	Services []cluster.Key
	// Ranges are the addresses that the load balancer may assign or announce.
	Ranges []PoolRange
	// Unread explains why Ranges are unknown; empty for known ranges, or without any ranges.
	Unread string
}

// rivalText describes the conflict of one load balancer with Lanlord, and the fix.
type rivalText struct {
	trouble, fix string
	// managers are the field managers that the load balancer uses to write the status of Services.
	managers []string
}

// rivalTexts returns the text of each load balancer.
func rivalTexts() map[RivalKind]rivalText {
	return map[RivalKind]rivalText{
		ServiceLB: {
			trouble: "it writes the nodes' addresses into the status of the same Services and takes their ports on every " +
				"node",
			fix: "start each k3s server with --disable=servicelb (disable: [servicelb] in /etc/rancher/k3s/config.yaml), or " +
				"give Lanlord a class (--load-balancer-class)",
			managers: []string{"k3s"},
		},
		KubeVIP: {
			trouble: "it writes the status of the same Services, and sets their addresses on a node, which answers for them " +
				"beside the node that Lanlord elects",
			fix: "set svc_enable=false in the Pods of kube-vip, which may go on serving the API server, or " +
				"lb_class_only=true, or give Lanlord a class (--load-balancer-class)",
			managers: []string{"kube-vip"},
		},
		PureLB: {
			trouble: "it assigns an address of its own to the same Services and sets that address on a node",
			fix: "remove DEFAULT_ANNOUNCER from the Deployment of PureLB's allocator (the chart's value defaultAnnouncer), " +
				"which then serves the class purelb.io/purelb alone, or give Lanlord a class (--load-balancer-class)",
			managers: []string{"allocator", "purelb"},
		},
		OpenELB: {
			trouble: "it assigns an address of its own to the same Services and answers ARP for that address",
			fix: "remove the annotation lb.kubesphere.io/v1alpha1 from the Services and " +
				"eip.openelb.kubesphere.io/is-default-eip from the Eips, or give Lanlord a class (--load-balancer-class)",
			managers: []string{"openelb-manager"},
		},
		CiliumIPAM: {
			trouble: "it assigns an address of its own to the same Services",
			fix: "helm upgrade cilium with --set defaultLBServiceIPAM=none (default-lb-service-ipam in the ConfigMap " +
				"kube-system/cilium-config), or delete the CiliumLoadBalancerIPPools, or give Lanlord a class " +
				"(--load-balancer-class)",
			managers: []string{"cilium-operator", "cilium-operator-generic"},
		},
		CalicoIPAM: {
			trouble: "it assigns an address of its own to the same Services",
			fix: "kubectl patch kubecontrollersconfigurations.crd.projectcalico.org default --type=merge " +
				`-p '{"spec":{"controllers":{"loadBalancer":{"assignIPs":"RequestedServicesOnly"}}}}', or delete the IPPools ` +
				"for load balancers, or give Lanlord a class (--load-balancer-class)",
			managers: []string{"kube-controllers"},
		},
		CalicoBGP: {
			trouble: "every node announces these addresses by BGP, also nodes that Lanlord does not elect",
			fix:     "take the range out of serviceLoadBalancerIPs of the BGPConfiguration, or out of Lanlord's pools",
		},
	}
}

// checkRivals looks for other load balancers that serve the same Services or have the same addresses.
func checkRivals(c *Cluster, f *findings) string {
	texts := rivalTexts()
	c.checkContested(f, texts)
	var apart []string
	for i := range c.Rivals {
		r, text := &c.Rivals[i], texts[c.Rivals[i].Kind]
		objects := listed(r.Objects)
		if r.Unread != "" {
			f.unchecked("%s runs too (%s), and its addresses could not be read: %s", r.Kind, objects, r.Unread)
		}
		switch shared, is := c.shares(r); {
		case is && len(shared) > 0:
			f.wrong(text.fix, "%s runs too (%s), and serves %s: %s", r.Kind, objects, listed(keyTexts(shared)), text.trouble)
		case is:
			f.wrong(text.fix, "%s runs too (%s), and serves the Services that Lanlord serves: %s", r.Kind, objects,
				text.trouble)
		default:
			apart = append(apart, string(r.Kind))
		}
		if overlap := c.overlapOf(r.Ranges); overlap != "" && r.Kind == CalicoBGP {
			f.remark(text.fix, "%s is configured too (%s), and %s: %s", r.Kind, objects, overlap, text.trouble)
		} else if overlap != "" {
			f.wrong("take the addresses out of the pools of one of the two", "%s runs too (%s), and %s", r.Kind, objects,
				overlap)
		}
	}
	if len(apart) > 0 {
		return "for other Services, with other addresses: " + listed(apart)
	}
	return "no other load balancer is known to run in this cluster"
}

// shares reports whether a rival serves Services of Lanlord. shared lists these Services, if the rival's objects name
// them.
func (c *Cluster) shares(r *Rival) (shared []cluster.Key, is bool) {
	if r.Services != nil {
		for _, key := range r.Services {
			if c.Service(key) != nil {
				shared = append(shared, key)
			}
		}
		return shared, len(shared) > 0
	}
	if c.Class == "" {
		return nil, r.Classless
	}
	return nil, c.Class == r.Class
}

// checkContested reports the Services whose status another controller keeps changing, grouped by the field manager of
// that controller.
func (c *Cluster) checkContested(f *findings, texts map[RivalKind]rivalText) {
	by := map[string][]cluster.Key{}
	for i := range c.Services {
		s := &c.Services[i]
		if s.Condition == nil || s.Condition.Reason != reason.StatusContested.String() {
			continue
		}
		manager := s.StatusManager
		if manager == "" {
			manager = managerIn(s.Condition.Message)
		}
		by[manager] = append(by[manager], s.Key)
	}
	for _, manager := range slices.Sorted(maps.Keys(by)) {
		who, fix := "another controller", assignmentFix(reason.StatusContested)
		if manager != "" {
			who = fmt.Sprintf("the field manager %q", manager)
		}
		for _, kind := range slices.Sorted(maps.Keys(texts)) {
			if slices.Contains(texts[kind].managers, manager) {
				who, fix = fmt.Sprintf("%s (%s)", who, kind), texts[kind].fix
			}
		}
		f.wrong(fix, "%s keeps changing the addresses in the status of %s, so Lanlord writes them at most once a minute", who,
			listed(keyTexts(by[manager])))
	}
}

// managerIn returns the field manager named in the message of a condition StatusContested, empty without one.
func managerIn(message string) string {
	_, rest, _ := strings.Cut(message, `field manager "`)
	manager, _, closed := strings.Cut(rest, `"`)
	if !closed {
		return ""
	}
	return manager
}

func keyTexts(keys []cluster.Key) (texts []string) {
	for _, key := range keys {
		texts = append(texts, key.String())
	}
	return texts
}
