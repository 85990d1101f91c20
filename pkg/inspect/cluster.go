package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// Cluster holds the data about a cluster and its Lanlord, gathered at one moment.
type Cluster struct {
	// At is the time of the gathering.
	At time.Time
	// Namespace is the namespace of Lanlord. Others are the other namespaces with a Lanlord, sorted.
	Namespace string
	Others    []string
	// Everywhere is true if Others come from a search of all namespaces.
	Everywhere bool
	// Hidden is true if the Pods of Lanlord could not be listed. Controllers and Speakers are empty then.
	// ClassUnknown is true if Class is not known from the flags of the controller.
	Hidden, ClassUnknown bool
	// Class is the load-balancer class that Lanlord serves; empty if Lanlord serves Services without a class.
	Class string
	// Services are the Services that Lanlord manages, sorted by Key.
	Services []cluster.Service
	// Foreign are the other Services of type LoadBalancer, with their classes.
	Foreign []ForeignService
	// Claims are the addresses that Services claim although Lanlord has not assigned them, sorted.
	Claims []cluster.Claim
	// Nodes are sorted by name.
	Nodes  []Node
	Config Config
	// Controllers and Speakers are sorted by node, then by name.
	Controllers []Controller
	Speakers    []Speaker
	// PortUsers are the speakers of this Lanlord and of the Others.
	PortUsers []PortUser
	// DaemonSet is the DaemonSet of the speakers; nil if none exists or none was seen.
	DaemonSet *DaemonSet
	// Lease is the Lease of the controller; nil if none exists or none was seen.
	Lease *Lease
	// KubeProxy is nil if no ConfigMap of kube-proxy could be read.
	KubeProxy *KubeProxy
	// MetalLB is nil if no Pod of MetalLB was seen.
	MetalLB *MetalLB
	// Rivals are the other load balancers in the cluster, sorted by kind.
	Rivals []Rival
	// GossipKeys is the number of usable keys in the gossip Secret; -1 if unknown.
	GossipKeys int
	// Paths are the probes of paths for this report, sorted by address. PathsGap explains why there are none; empty if
	// nobody tried.
	Paths    []PathAddress
	PathsGap string
	// Gaps lists the data that could not be gathered.
	Gaps []Gap
}

// ForeignService is a Service of type LoadBalancer that Lanlord does not manage.
type ForeignService struct {
	Key cluster.Key
	// Class is the spec.loadBalancerClass, empty without one.
	Class string
	// Service is the Service in the view of the speakers; empty for a Service without a cluster IP.
	Service cluster.Service
}

// Node is a Node with the properties that matter for announcements.
type Node struct {
	cluster.Node
	// Ready is the Ready condition of the Node.
	Ready bool
	// Linux is false for a node that cannot run a speaker.
	Linux bool
	// Taints are the taints that keep Pods off the Node, like "key=value:NoSchedule".
	Taints []Taint
}

// Taint is a taint of a Node.
type Taint struct{ Key, Value, Effect string }

// String returns the taint as kubectl writes it.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// Config holds the result of a new read of the ConfigMap, or of MetalLB's resources.
type Config struct {
	// Name is the name of the ConfigMap in Cluster.Namespace.
	Name string
	// MetalLB is the namespace of MetalLB's resources, empty for a configuration in the ConfigMap.
	MetalLB string
	// Found is false if the ConfigMap does not exist. Known is false if the ConfigMap could not be read.
	Found, Known bool
	// Version is the resourceVersion of the ConfigMap.
	Version string
	// Config is nil if Problem is not nil.
	Config  *config.Config
	Problem error
}

// configOrigin names the source of the configuration as a part of a sentence.
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
	return "mend it; kubectl lanlord check -f FILE checks it before you apply it"
}

// Pod is a Pod of Lanlord.
type Pod struct {
	Name, Node string
	// Ready is the Ready condition of the Pod. Deleting is true for a Pod that is being deleted.
	Ready, Deleting bool
	// Problem explains why the Pod is not ready, as far as the API server knows; empty if unknown.
	Problem string
	// Image is the image of the container.
	Image string
	// Restarts counts the restarts of the container.
	Restarts int
	// HostNetwork and RawSockets are true for a Pod with the node's network and with CAP_NET_RAW.
	HostNetwork, RawSockets bool
}

// DaemonSet describes the nodes on which speakers should run.
type DaemonSet struct {
	Name string
	// Selector and Tolerations are the nodeSelector and the tolerations of the Pods.
	Selector    map[string]string
	Tolerations []Toleration
	// Desired is the number of nodes that should run a speaker, and Updated the number of nodes with a Pod of the
	// newest template. Seen is false if the DaemonSet controller has not looked at the newest template yet. OnDelete is
	// true if Pods of an older template stay until somebody deletes them.
	Desired, Updated int
	Seen, OnDelete   bool
}

// Toleration is a toleration of a Pod. An empty Key tolerates all keys, an empty Effect all effects.
type Toleration struct {
	Key, Value, Effect string
	// Exists is true when the toleration accepts any value.
	Exists bool
}

func (t Toleration) tolerates(x Taint) bool {
	return (t.Effect == "" || t.Effect == x.Effect) && (t.Key == "" && t.Exists || t.Key == x.Key && (t.Exists || t.Value == x.Value))
}

// Lease is the Lease for leader election among the controllers.
type Lease struct {
	// Holder is the identity of the leader, which begins with the name of the Pod; empty for none.
	Holder  string
	Renewed time.Time
	// Lasts is the time after Renewed at which the Lease expires.
	Lasts time.Duration
}

// KubeProxy is the configuration of kube-proxy.
type KubeProxy struct {
	// Mode is a mode like "iptables" or "ipvs", empty for the default.
	Mode      string
	StrictARP bool
}

// MetalLB describes a MetalLB in the same cluster.
type MetalLB struct {
	// Pods are the running Pods as namespace/name, sorted.
	Pods []string
	// Class is the load-balancer class that MetalLB serves; empty for none.
	Class string
	// Ranges are the addresses that MetalLB may assign, by pool. Known is false if the ranges could not be read.
	Ranges []PoolRange
	Known  bool
}

// PoolRange is a range of addresses in a pool.
type PoolRange struct {
	Pool  string
	Range config.Range
}

// Subject names a part of the gathered data for people.
type Subject string

// The subjects.
const (
	OfCluster   Subject = "the cluster"
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
	OfPods      Subject = "the Pods of all namespaces"
	OfNamespace Subject = "the namespace to install into"
	OfRights    Subject = "your rights to install"
	OfRivals    Subject = "whether other load balancers run too"
)

// Gap describes data that could not be gathered.
type Gap struct {
	// What names the data.
	What Subject `json:"what"`
	// Right is the missing permission, like "list nodes"; empty if another reason applies.
	Right string `json:"right,omitempty"`
	// Reason is the error message.
	Reason string `json:"reason"`
}

// gaps returns the gaps in the given subjects.
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

// Service returns a Service that Lanlord manages, nil if Lanlord does not manage such a Service.
func (c *Cluster) Service(key cluster.Key) *cluster.Service {
	i, found := slices.BinarySearchFunc(c.Services, key, func(s cluster.Service, k cluster.Key) int { return s.Key.Compare(k) })
	if !found {
		return nil
	}
	return &c.Services[i]
}

// Holders returns the Services to which Lanlord has assigned an address, sorted.
func (c *Cluster) Holders(addr netip.Addr) (keys []cluster.Key) {
	for i := range c.Services {
		if slices.Contains(c.Services[i].Ingress, addr) && c.Services[i].AllocatedFrom != "" {
			keys = append(keys, c.Services[i].Key)
		}
	}
	return keys
}

// poolOf returns the name of the pool with an address; empty if no pool contains the address or the pools are unknown.
func (c *Cluster) poolOf(addr netip.Addr) string {
	if c.Config.Config == nil {
		return ""
	}
	if p := c.Config.Config.PoolOf(addr); p != nil {
		return p.Name
	}
	return ""
}
