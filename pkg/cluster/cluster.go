package cluster

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanlord/lanlord/pkg/config"
)

// Snapshot is the state of the cluster at one moment, as held in the caches of one reader, including the reader's own
// writes.
type Snapshot struct {
	// Config is the last valid configuration, nil until the first valid one. While Config is nil, the pools are
	// unknown: all assigned addresses stay assigned and announced, and no Service gets a new address.
	Config *config.Config
	// ConfigState describes the newest ConfigMap.
	ConfigState ConfigState
	// Services are sorted by Key. A Service in a snapshot must not change, because snapshots share unchanged Services.
	Services []*Service
	// Others lists the Services of type LoadBalancer of other load-balancer classes, sorted by Key. Services contains
	// none of them, and Lanlord writes nothing to them; see [Snapshot.AnnounceOnly].
	Others []*Service
	// Nodes are sorted by Name.
	Nodes []Node
	// Namespaces are sorted by Name. Only readers that watch namespaces fill the field.
	Namespaces []Namespace
	// Taken lists the addresses of foreign hosts, gateways and the kernels of nodes. Taken omits the InternalIPs of
	// Nodes, and their ExternalIPs are in Claims.
	Taken []Taken
	// Claims lists the addresses of other objects of the API server, sorted. Only the controller fills the field.
	Claims []Claim
	// Subnets lists the subnets of the nodes' addresses, masked. The speakers report the subnets.
	Subnets []netip.Prefix
	// Conflicts lists the foreign hosts that answer for an address of a Service that keeps its address, sorted by Addr
	// and then by MAC. Taken contains the foreign hosts with an address in quarantine. Conflicts contains no node.
	Conflicts []Stranger
	// Routed lists the addresses that the speakers announce to routers, sorted by node. Routed omits nodes without a
	// ready speaker with BGP. Only readers that watch the speakers' Pods fill the field.
	Routed []Routed
	// Versions records the newest state of the cluster that the reader has seen.
	Versions Versions
}

// SameList reports whether two lists of snapshots are the same memory: snapshots share the lists that have not changed.
func SameList[T any](x, y []T) bool { return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0]) }

// Node returns the named Node, nil if the Node does not exist. The caller must not change the Node.
func (s *Snapshot) Node(name string) *Node {
	i, found := slices.BinarySearchFunc(s.Nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return &s.Nodes[i]
}

// Service returns the Service with this key, nil if the Service is not in Services.
func (s *Snapshot) Service(key Key) *Service {
	i, found := slices.BinarySearchFunc(s.Services, key, func(svc *Service, key Key) int { return svc.Key.Compare(key) })
	if !found {
		return nil
	}
	return s.Services[i]
}

// ClaimsThatCount returns Claims, without the ExternalIPs of Nodes if the configuration allows them for Services. The
// caller must not change the list.
func (s *Snapshot) ClaimsThatCount() []Claim {
	if s.Config == nil || !s.Config.Allocation.AllowNodeAddresses {
		return s.Claims
	}
	return slices.DeleteFunc(slices.Clone(s.Claims), func(c Claim) bool { return c.By == ClaimedByNode })
}

// Find returns the Service with this key from Services or Others, nil if the Service is in neither.
func (s *Snapshot) Find(key Key) *Service {
	if svc := s.Service(key); svc != nil {
		return svc
	}
	i, found := slices.BinarySearchFunc(s.Others, key, func(svc *Service, key Key) int { return svc.Key.Compare(key) })
	if !found {
		return nil
	}
	return s.Others[i]
}

// AnnounceOnly returns the Services of Others with a load-balancer class in the announce-classes of the configuration,
// sorted by Key. Another controller assigns their addresses, and Lanlord announces the addresses.
func (s *Snapshot) AnnounceOnly() (list []*Service) {
	if s.Config == nil || len(s.Config.AnnounceClasses) == 0 {
		return nil
	}
	for _, svc := range s.Others {
		if s.Config.Announces(svc.Class) {
			list = append(list, svc)
		}
	}
	return list
}

// OwnAddress returns the Node that has a among its InternalIPs or ExternalIPs, if the configuration lets Services have
// such addresses; nil otherwise. No speaker announces the address, because the kernel of the Node answers.
func (s *Snapshot) OwnAddress(a netip.Addr) *Node {
	if s.Config == nil || !s.Config.Allocation.AllowNodeAddresses {
		return nil
	}
	for i := range s.Nodes {
		if slices.Contains(s.Nodes[i].Addresses, a) || slices.Contains(s.Nodes[i].External, a) {
			return &s.Nodes[i]
		}
	}
	return nil
}

// Namespace is a namespace, with the fields that Lanlord uses.
type Namespace struct {
	Name string
	// Labels are matched by the namespace selectors of pools.
	Labels map[string]string
}

// Networks describes the networks of a node.
type Networks struct {
	// Subnets lists the subnets of the node's addresses, masked.
	Subnets []netip.Prefix
	// Gateways lists the node's default gateways.
	Gateways []netip.Addr
	// Addresses lists all addresses of the node's kernel, on every interface. Addresses omits Service addresses that
	// only a service proxy added.
	Addresses []netip.Addr
	// MACs lists the node's own MAC addresses, like "02:00:00:00:00:09".
	MACs []string
	// Strangers lists the hosts that answer for addresses of the pools and are no nodes as far as the node knows.
	Strangers []Stranger
}

// Stranger is a foreign host, not a node, that answers for an address.
type Stranger struct {
	Addr netip.Addr
	// MAC is the MAC address of the host, like "02:00:00:00:00:09".
	MAC string
	// Quarantine is true when no node had announced the address before. No Service gets an address in quarantine, and a
	// Service that has the address gets another one. Without Quarantine, the Service keeps the address, and the
	// condition of the Service reports the conflict. The conflict ends when no node reports the conflict.
	Quarantine bool
}

// Compare orders foreign hosts by address, then by MAC. A host without Quarantine comes first.
func (s Stranger) Compare(o Stranger) int {
	if c := cmp.Or(s.Addr.Compare(o.Addr), strings.Compare(s.MAC, o.MAC)); c != 0 || s.Quarantine == o.Quarantine {
		return c
	}
	if o.Quarantine {
		return -1
	}
	return 1
}

// Taken is an address that no Service may have, because a host on the network has the address.
type Taken struct {
	Addr netip.Addr
	By   TakenBy
	// Name is the name of the Node with the address or the default gateway Addr, or the MAC address of the foreign
	// host.
	Name string
}

// TakenBy classifies the host that has a Taken address.
type TakenBy uint8

const (
	// TakenByNode marks an address of a Node's kernel.
	TakenByNode TakenBy = iota
	// TakenByGateway marks a default gateway.
	TakenByGateway
	// TakenByStranger marks an address in quarantine, because a foreign host has answered for the address.
	TakenByStranger
)

// String returns one word.
func (t TakenBy) String() string { return [...]string{"Node", "Gateway", "Stranger"}[t] }

// ConfigState describes the newest ConfigMap of the user, or the newest set of MetalLB's resources.
type ConfigState struct {
	// Object refers to the ConfigMap, with an empty UID while the ConfigMap does not exist, or to the Namespace of
	// MetalLB's resources.
	Object ObjectRef
	// Version is the resourceVersion of the newest ConfigMap or set that the reader has seen, empty for none.
	Version string
	// Problem is nil when Snapshot.Config came from that ConfigMap. Otherwise Problem gives the reason why the
	// ConfigMap is not in use, and says whether the last configuration that the controller accepted is in use;
	// Snapshot.Config is older, or nil.
	Problem error
	// Known is true when a controller before this one accepted the configuration in use.
	Known bool
	// Objects lists the problems of single objects, when the configuration is made of several objects.
	Objects []ObjectProblem
}

// ObjectProblem is a problem of one object of a configuration made of several objects.
type ObjectProblem struct {
	// Object refers to the Namespace of the objects for a problem of all objects together.
	Object ObjectRef
	// Message names the field, the error and the fix.
	Message string
}

// Key identifies an object by namespace and name. The Namespace of a Node is empty.
type Key struct{ Namespace, Name string }

// String returns "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then by name.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// Service is a Service, with the fields that Lanlord uses.
type Service struct {
	Key Key
	// UID distinguishes a Service from a later Service of the same name.
	UID string
	// Version is the resourceVersion of the Service at the time of this view.
	Version string
	// Created decides with Key the order in which Services are served.
	Created time.Time

	// Managed is true for a Service of type LoadBalancer with the class of Lanlord and a cluster IP. Snapshot.Services
	// contains a Service that is not managed only while Lanlord still has to remove something from the Service (see
	// AllocatedFrom).
	Managed bool
	// Class is the spec.loadBalancerClass, empty for none.
	Class string
	// Families lists the families of the Service's cluster IPs, in the order of spec.ipFamilies; one or two.
	Families []Family
	// FamilyPolicy determines the number of Families that need an address.
	FamilyPolicy FamilyPolicy
	// Requested lists the requested addresses, at most one for each family, in the given order; empty for any.
	Requested []netip.Addr
	// RequestedPool names the requested pool; empty for any.
	RequestedPool string
	// RequestProblem describes in a sentence the error in the request, with the field or annotation and the fix; empty
	// for a correct request. Requested and RequestedPool have no effect while RequestProblem is not empty.
	RequestProblem string
	// RequestValue is the erroneous value that RequestProblem describes, as written by the user.
	RequestValue string
	// ExternalIPs lists the entries of spec.externalIPs that are addresses, in their order. For a family without an
	// address in Requested, the first entry that a pool contains counts as requested. Only the controller fills the
	// field.
	ExternalIPs []netip.Addr
	// Gateway identifies the Gateway that the Service was generated for, zero for none. Only the controller fills the
	// field.
	Gateway Key
	// GatewayAddresses lists the addresses in spec.addresses of the Gateway. GatewayAddresses count like ExternalIPs,
	// with precedence over ExternalIPs.
	GatewayAddresses []netip.Addr

	// PreferNode names the Node that should announce the addresses in preference to other nodes; empty for any.
	PreferNode string
	// AnnounceFrom is the preference for nodes with endpoints in the Service's own annotation.
	AnnounceFrom AnnounceFrom
	// PreferNodeProblem describes in a sentence the errors in the annotations for PreferNode and AnnounceFrom, and the
	// annotations that are unknown and probably misspelt; empty for correct annotations. The field of an erroneous
	// annotation has its zero value, and the error has no other effect.
	PreferNodeProblem string
	// PreferNodeValue holds the erroneous values and names that PreferNodeProblem describes, as written by the user.
	PreferNodeValue string

	// Labels are matched by the service selectors of pools.
	Labels map[string]string
	// SharingKey must be the same for Services that share an address; empty for a Service that shares none.
	SharingKey string
	// Ports lists the ports of a Service with a SharingKey, sorted; nil without a SharingKey.
	Ports []Port
	// TCPPorts lists the TCP ports, sorted. SourceRanges lists spec.loadBalancerSourceRanges, the only sources from which
	// the service proxies accept packets; nil for all sources. Both serve probes of the path to the Service.
	TCPPorts     []uint16
	SourceRanges []netip.Prefix
	// Selector is the Service's selector in canonical text form. Selector is set only with a SharingKey and
	// TrafficPolicy Local.
	Selector string

	// TrafficPolicy is the Service's externalTrafficPolicy.
	TrafficPolicy TrafficPolicy
	// HasServing is true when at least one endpoint is ready or serving. Only readers that watch endpoints fill the
	// field.
	HasServing bool
	// ServingNodes names the nodes with a ready or serving endpoint, sorted. Filled like HasServing.
	ServingNodes []string
	// ReadyNodes names the nodes with a ready endpoint that does not terminate, sorted; a subset of ServingNodes.
	// Filled like HasServing. ReadyNodes shares memory with ServingNodes when both are equal.
	ReadyNodes []string

	// Ingress lists the addresses in status.loadBalancer.ingress, in their order.
	Ingress []netip.Addr
	// ForeignIngress is true when the status also holds an entry that Lanlord never writes: a hostname, a text that is
	// no address, or an ipMode other than VIP.
	ForeignIngress bool
	// StatusManager is the field manager of the controller that wrote an entry other than the addresses of Assignment
	// into the status. StatusManager is empty when the status shows only the addresses of Assignment, and when the
	// manager is unknown.
	StatusManager string
	// AllocatedFrom is the value of Lanlord's annotation that names the pools of Ingress, empty for none.
	AllocatedFrom string
	// Assignment is the record that the controller wrote on the Service. Assignment is nil for a Service without a
	// record, such as a Service written by an earlier version, and for an unreadable record; AssignmentProblem gives
	// the read error. Without a record the assigned addresses are unknown, and the Service keeps the addresses in its
	// status unless another Service has a record of the same address.
	Assignment        *Assignment
	AssignmentProblem string
	// Condition is the present condition about the assignment, nil for none.
	Condition *Condition
	// Conflict is the present condition about foreign hosts that answer for Ingress and about claims on Ingress, nil
	// for none.
	Conflict *Condition
	// Routes is the present condition about the routers that received Ingress, nil for none.
	Routes *Condition
}

// Marked reports whether the Service carries anything that the controller wrote, apart from addresses.
func (s *Service) Marked() bool {
	return s.AllocatedFrom != "" || s.Assignment != nil || s.AssignmentProblem != "" || s.Condition != nil || s.Conflict != nil ||
		s.Routes != nil
}

// Port is a port of a Service.
type Port struct {
	Protocol Protocol
	Number   uint16
}

// String returns the port like "TCP 80".
func (p Port) String() string { return p.Protocol.String() + " " + strconv.Itoa(int(p.Number)) }

// Compare orders ports by protocol, then by number.
func (p Port) Compare(o Port) int {
	return cmp.Or(cmp.Compare(p.Protocol, o.Protocol), cmp.Compare(p.Number, o.Number))
}

// Protocol is a transport protocol.
type Protocol uint8

// These are the protocols of Kubernetes.
const (
	TCP Protocol = iota
	UDP
	SCTP
)

// String returns the protocol as Kubernetes spells it.
func (p Protocol) String() string { return [...]string{"TCP", "UDP", "SCTP"}[p] }

// Family is an address family.
type Family uint8

// These are the address families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of a, which must be valid and not 4-in-6.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String returns "IPv4" or "IPv6", the spelling of Kubernetes.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// FamilyPolicy is a Service's ipFamilyPolicy.
type FamilyPolicy uint8

// These are the family policies of Kubernetes.
const (
	SingleStack FamilyPolicy = iota
	PreferDualStack
	RequireDualStack
)

// String returns the policy as Kubernetes spells it.
func (p FamilyPolicy) String() string {
	return [...]string{"SingleStack", "PreferDualStack", "RequireDualStack"}[p]
}

// AnnounceFrom is the preference for nodes with a ready endpoint of a Service over other nodes.
type AnnounceFrom uint8

const (
	// FromPool leaves the choice to the pool of the address.
	FromPool AnnounceFrom = iota
	// FromAny treats all nodes alike.
	FromAny
	// FromEndpoints prefers nodes with a ready endpoint.
	FromEndpoints
)

// TrafficPolicy is a Service's externalTrafficPolicy.
type TrafficPolicy uint8

// These are the external traffic policies of Kubernetes.
const (
	TrafficCluster TrafficPolicy = iota
	TrafficLocal
)

// String returns the policy as Kubernetes spells it.
func (p TrafficPolicy) String() string { return [...]string{"Cluster", "Local"}[p] }

// Node is a Node, with the fields that Lanlord uses.
type Node struct {
	Name string
	// UID is written on Events about the Node.
	UID string
	// Labels are matched by the node selectors of pools.
	Labels map[string]string
	// Addresses lists the Node's InternalIPs, in their order.
	Addresses []netip.Addr
	// External lists the Node's ExternalIPs, in their order. Snapshot.Claims contains the ExternalIPs too.
	External []netip.Addr
	// MACs lists the MAC addresses that the speaker of the Node reported to the controller, sorted. The report does not
	// need gossip.
	MACs [][6]byte
	// Excluded is true when the Node has the label node.kubernetes.io/exclude-from-external-load-balancers.
	Excluded bool
	// NetworkUnavailable is the value of the Node's condition of the same name.
	NetworkUnavailable bool
	// OutOfService is true when the Node has the taint node.kubernetes.io/out-of-service: an operator has confirmed
	// that the Node is off.
	OutOfService bool
	// Deleting is true when the Node is being deleted.
	Deleting bool
	// Unschedulable is true when the Node is cordoned.
	Unschedulable bool
}

// Condition is a condition that Lanlord writes on a Service: Service.Condition on the assignment, Service.Conflict on
// foreign hosts and claims, or Service.Routes on the routers.
type Condition struct {
	// True is the status of the condition. In Service.Condition, True means that the Service has every address that the
	// Service needs; in Service.Conflict, that a conflict exists; in Service.Routes, that a node announces each address
	// of a pool with BGP.
	True bool
	// Reason is one word in CamelCase; the same word is the Event's reason.
	Reason string
	// Message is a sentence for people.
	Message string
	// Since is the time of the last change of True, to the second. Since is zero when the time is unknown, and in an
	// Update; the writer of the Update sets the time.
	Since time.Time
}

// ErrChanged is wrapped by the error of a write that was refused because the Service has changed or is gone since the
// decision. The next snapshot shows the change, so a retry is not necessary.
var ErrChanged = errors.New("the Service has changed since it was looked at")

// Update is the desired state of one Service, written in one write: everything that Lanlord writes except the condition
// Service.Routes.
type Update struct {
	Key Key
	UID string
	// Version is the resourceVersion at the time of the decision. The write fails if the Service has changed since.
	Version string
	// Ingress replaces status.loadBalancer.ingress; an empty Ingress removes all. With KeepIngress, the write leaves
	// the status alone, because the status now belongs to another implementation.
	Ingress     []netip.Addr
	KeepIngress bool
	// AllocatedFrom replaces Lanlord's annotation; an empty AllocatedFrom removes the annotation.
	AllocatedFrom string
	// Assignment replaces the record; nil removes the record.
	Assignment *Assignment
	// Condition and Conflict replace the two conditions; nil removes a condition.
	Condition, Conflict *Condition
	// Before lists the Events sent before the write, Events the Events sent after the write has succeeded.
	Before, Events []Event
}

// RoutesUpdate changes only the condition Service.Routes.
type RoutesUpdate struct {
	Key Key
	UID string
	// Version is the resourceVersion at the time of the decision. The write fails if the Service has changed since.
	Version string
	// Condition replaces the condition; nil removes the condition.
	Condition *Condition
}

// ObjectRef names the object of an Event.
type ObjectRef struct {
	APIVersion string // empty for "v1"
	Kind       string // "Service", "ConfigMap", "Node", "Namespace", or a kind of MetalLB
	Namespace  string // empty for a Node and a Namespace
	Name       string
	UID        string
}

// Event is a Kubernetes Event to be written. Events report transitions only, never a lasting state.
type Event struct {
	Object  ObjectRef
	Warning bool
	Reason  string
	Message string
	// Addr is the address of an Event in Update.Before. Addr is not written.
	Addr netip.Addr
}
