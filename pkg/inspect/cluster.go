package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// Cluster is what was gathered of a cluster and its Lanlord at one moment.
type Cluster struct {
	// At is when it was gathered.
	At time.Time
	// Namespace is where Lanlord is, Others are the namespaces where one is too, sorted.
	Namespace string
	Others    []string
	// Class is the load-balancer class of the Services that are Lanlord's; empty for those without one.
	Class string
	// Services are Lanlord's, sorted by Key.
	Services []cluster.Service
	// Foreign are the other Services of type LoadBalancer, with their classes.
	Foreign []ForeignService
	// Claims are the addresses that Services have without Lanlord, sorted.
	Claims []cluster.Claim
	// Nodes are sorted by name.
	Nodes  []Node
	Config Config
	// Controllers and Speakers are sorted by node, then by name.
	Controllers []Controller
	Speakers    []Speaker
	// DaemonSet is the speakers'; nil if there is none, or none was seen.
	DaemonSet *DaemonSet
	// Lease is the controller's; nil if there is none, or none was seen.
	Lease *Lease
	// KubeProxy is nil where kube-proxy has no ConfigMap that could be read.
	KubeProxy *KubeProxy
	// MetalLB is nil where no Pod of MetalLB was seen.
	MetalLB *MetalLB
	// Rivals are the other load balancers that were seen, sorted by kind.
	Rivals []Rival
	// GossipKeys is how many usable keys the gossip Secret holds; -1 if that is not known.
	GossipKeys int
	// Gaps are what could not be gathered.
	Gaps []Gap
}

// ForeignService is a Service of type LoadBalancer that is not Lanlord's.
type ForeignService struct {
	Key cluster.Key
	// Class is its spec.loadBalancerClass, empty if it has none.
	Class string
	// Service is the Service as the speakers see it; empty for one without a cluster IP.
	Service cluster.Service
}

// Node is a Node with what matters to who looks at it.
type Node struct {
	cluster.Node
	// Ready is the Node's condition.
	Ready bool
	// Linux is false for nodes that no speaker can run on.
	Linux bool
	// Taints are those that keep Pods away, like "key=value:NoSchedule".
	Taints []Taint
}

// Taint keeps Pods off a Node.
type Taint struct{ Key, Value, Effect string }

// String returns the taint as kubectl writes it.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// Config holds the result of reading the ConfigMap, or MetalLB's resources, anew.
type Config struct {
	// Name is the ConfigMap's, in Cluster.Namespace.
	Name string
	// MetalLB is the namespace of MetalLB's resources, empty when the configuration is in the ConfigMap.
	MetalLB string
	// Found is false when there is no such ConfigMap; Known is false when nobody could look.
	Found, Known bool
	// Version is its resourceVersion.
	Version string
	// Config is nil when Problem is not.
	Config  *config.Config
	Problem error
}

// configOrigin names the objects with the configuration in a sentence.
func (c *Cluster) configOrigin() string {
	if c.Config.MetalLB != "" {
		return "set of MetalLB's resources in the namespace " + c.Config.MetalLB
	}
	return fmt.Sprintf("ConfigMap %s/%s", c.Namespace, c.Config.Name)
}

// configFix returns the way to fix a refused configuration.
func (c *Cluster) configFix() string {
	if c.Config.MetalLB != "" {
		return "fix the resources named here; new resources take effect when all resources are valid"
	}
	return "mend it; controller --check-config FILE checks it before you apply it"
}

// Pod is one of Lanlord's.
type Pod struct {
	Name, Node string
	// Ready is the Pod's condition; Deleting is true for one that was told to go.
	Ready, Deleting bool
	// Problem says why it is not ready, as far as the API server knows; empty when that is not known.
	Problem string
	// Image is what its container was made of.
	Image string
	// Restarts counts those of its container.
	Restarts int
	// HostNetwork and RawSockets say what the Pod was given: the node's network, and CAP_NET_RAW.
	HostNetwork, RawSockets bool
}

// DaemonSet says where speakers are to run.
type DaemonSet struct {
	Name string
	// Selector is the nodeSelector of its Pods, Tolerations what they put up with.
	Selector    map[string]string
	Tolerations []Toleration
}

// Toleration is one of a Pod's. An empty Key tolerates all keys, an empty Effect all effects.
type Toleration struct {
	Key, Value, Effect string
	// Exists is true when the value does not matter.
	Exists bool
}

func (t Toleration) tolerates(x Taint) bool {
	return (t.Effect == "" || t.Effect == x.Effect) && (t.Key == "" && t.Exists || t.Key == x.Key && (t.Exists || t.Value == x.Value))
}

// Lease says which controller decides.
type Lease struct {
	// Holder is the identity of the process, which begins with its Pod's name; empty for none.
	Holder  string
	Renewed time.Time
	// Lasts is how long it counts after Renewed.
	Lasts time.Duration
}

// KubeProxy is how kube-proxy is configured.
type KubeProxy struct {
	// Mode is like "iptables" or "ipvs", empty for the default.
	Mode      string
	StrictARP bool
}

// MetalLB is a MetalLB that runs in the same cluster.
type MetalLB struct {
	// Pods are those that run, as namespace/name, sorted.
	Pods []string
	// Class is the load-balancer class that it serves; empty for none.
	Class string
	// Ranges are the addresses that it may give, by pool. Known is false when they could not be read.
	Ranges []PoolRange
	Known  bool
}

// PoolRange is some addresses of a pool.
type PoolRange struct {
	Pool  string
	Range config.Range
}

// Subject is a part of what is gathered, in words.
type Subject string

// The subjects.
const (
	OfServices  Subject = "the Services"
	OfOthers    Subject = "the Services of other namespaces"
	OfNodes     Subject = "the Nodes"
	OfConfig    Subject = "the configuration"
	OfProcesses Subject = "what Lanlord's processes say"
	OfLease     Subject = "the controller's Lease"
	OfDaemonSet Subject = "the speakers' DaemonSet"
	OfKeys      Subject = "the gossip keys"
	OfKubeProxy Subject = "the configuration of kube-proxy"
	OfMetalLB   Subject = "whether MetalLB runs too"
	OfTheirs    Subject = "the pools of MetalLB"
	OfEvents    Subject = "the Events about the Service"
	OfRivals    Subject = "whether other load balancers run too"
)

// Gap is something that could not be gathered.
type Gap struct {
	// What could not be looked at.
	What Subject `json:"what"`
	// Right is the one that is missing, like "list nodes"; empty when that is not the reason.
	Right string `json:"right,omitempty"`
	// Reason is what was said instead.
	Reason string `json:"reason"`
}

// gaps returns those that are about one of the subjects.
func (c *Cluster) gaps(about ...Subject) (list []Gap) {
	for _, g := range c.Gaps {
		if slices.Contains(about, g.What) {
			list = append(list, g)
		}
	}
	return list
}

func (c *Cluster) node(name string) *Node {
	i, found := slices.BinarySearchFunc(c.Nodes, name, func(n Node, name string) int {
		switch {
		case n.Name < name:
			return -1
		case n.Name > name:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &c.Nodes[i]
}

// Service returns one of Lanlord's Services, nil if it is none.
func (c *Cluster) Service(key cluster.Key) *cluster.Service {
	i, found := slices.BinarySearchFunc(c.Services, key, func(s cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	if !found {
		return nil
	}
	return &c.Services[i]
}

// Holders returns the Services that have an address, sorted.
func (c *Cluster) Holders(addr netip.Addr) (keys []cluster.Key) {
	for i := range c.Services {
		if slices.Contains(c.Services[i].Ingress, addr) && c.Services[i].AllocatedFrom != "" {
			keys = append(keys, c.Services[i].Key)
		}
	}
	return keys
}

// poolOf returns the name of the pool that an address is in, empty if it is in none or nothing is known of the pools.
func (c *Cluster) poolOf(addr netip.Addr) string {
	if c.Config.Config == nil {
		return ""
	}
	if p := c.Config.Config.PoolOf(addr); p != nil {
		return p.Name
	}
	return ""
}
