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

// Snapshot is the cluster at one moment, as one reader's caches hold it, that reader's own writes included.
type Snapshot struct {
	// Config is the last valid configuration. It is nil until there was one, and then nothing is known of the pools:
	// whatever is assigned and announced stays, and nothing new is.
	Config *config.Config
	// ConfigState is the state of the newest ConfigMap.
	ConfigState ConfigState
	// Services are sorted by Key. A Service in a snapshot must not change: snapshots share the Services that have not changed.
	Services []*Service
	// Others are the Services of type LoadBalancer of other load-balancer classes, sorted by Key. None is in Services, and
	// Lanlord writes nothing to them; see [Snapshot.AnnounceOnly].
	Others []*Service
	// Nodes are sorted by Name.
	Nodes []Node
	// Namespaces are sorted by Name. Only readers that watch them fill it.
	Namespaces []Namespace
	// Taken are the addresses of other hosts, gateways and nodes' kernels. The InternalIPs of Nodes are not among them, and their
	// ExternalIPs are among Claims.
	Taken []Taken
	// Claims are the addresses that other objects of the API server have, sorted. Only the controller fills it.
	Claims []Claim
	// Subnets are the subnets of the nodes' addresses, masked, as far as the speakers have reported them.
	Subnets []netip.Prefix
	// Conflicts are the foreign hosts that answer for an address of a Service that keeps its address, sorted by Addr and then by MAC. A
	// foreign host whose address is in quarantine is among Taken. No node is among Conflicts.
	Conflicts []Stranger
	// Routed lists what the speakers announce to routers, sorted by node. A node without a speaker that is ready and has
	// BGP is not among them. Only readers that watch the speakers' Pods fill it.
	Routed []Routed
	// Versions say how far the reader has seen the cluster.
	Versions Versions
}

// Node returns the named Node, nil if there is none. The caller must not change it.
func (s *Snapshot) Node(name string) *Node {
	i, found := slices.BinarySearchFunc(s.Nodes, name, func(n Node, name string) int { return strings.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return &s.Nodes[i]
}

// Service returns the Service of this key, nil if there is none.
func (s *Snapshot) Service(key Key) *Service {
	i, found := slices.BinarySearchFunc(s.Services, key, func(svc *Service, key Key) int { return svc.Key.Compare(key) })
	if !found {
		return nil
	}
	return s.Services[i]
}

// ClaimsThatCount returns Claims, without the ExternalIPs of Nodes where the configuration lets Services have them. The
// caller must not change the list.
func (s *Snapshot) ClaimsThatCount() []Claim {
	if s.Config == nil || !s.Config.Allocation.AllowNodeAddresses {
		return s.Claims
	}
	return slices.DeleteFunc(slices.Clone(s.Claims), func(c Claim) bool { return c.By == ClaimedByNode })
}

// Find returns the Service of this key, also one of Others; nil if there is none.
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

// AnnounceOnly returns the Services of Others whose load-balancer class is one of the configuration's announce-classes,
// sorted by Key: another controller gives the addresses, and Lanlord announces them.
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

// OwnAddress returns the Node that has a as one of its InternalIPs or ExternalIPs, nil if there is none.
func (s *Snapshot) OwnAddress(a netip.Addr) *Node {
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
	// Labels are for the namespace selectors of pools.
	Labels map[string]string
}

// Networks describes the networks that a node is on.
type Networks struct {
	// Subnets are the subnets of the node's addresses, masked.
	Subnets []netip.Prefix
	// Gateways are the node's default gateways.
	Gateways []netip.Addr
	// Addresses are all addresses that the node's kernel has, on every interface. Addresses that only a service proxy added, because
	// they belong to Services, are not among them.
	Addresses []netip.Addr
	// MACs are the node's own MAC addresses, like "02:00:00:00:00:09".
	MACs []string
	// Strangers are the hosts that the node has met at addresses of the pools, and that are no nodes as far as it knows.
	Strangers []Stranger
}

// Stranger is a foreign host that answers for an address: it is no node.
type Stranger struct {
	Addr netip.Addr
	// MAC is the MAC address of the host, like "02:00:00:00:00:09".
	MAC string
	// Quarantine is true when no node had announced the address before: no Service gets the address, and a Service that has it gets
	// another one. Otherwise the Service keeps the address, and its condition reports the conflict. The conflict is over when no node
	// reports it any longer.
	Quarantine bool
}

// Compare orders strangers by address, then by MAC, then those without Quarantine first.
func (s Stranger) Compare(o Stranger) int {
	if c := cmp.Or(s.Addr.Compare(o.Addr), strings.Compare(s.MAC, o.MAC)); c != 0 || s.Quarantine == o.Quarantine {
		return c
	}
	if o.Quarantine {
		return -1
	}
	return 1
}

// Taken is an address that no Service may have, because a host on the network has it.
type Taken struct {
	Addr netip.Addr
	By   TakenBy
	// Name is the name of the Node whose address or default gateway it is, or the MAC address of the foreign host.
	Name string
}

// TakenBy classifies the host that has a Taken address.
type TakenBy uint8

const (
	// TakenByNode is for an address of a Node's kernel.
	TakenByNode TakenBy = iota
	// TakenByGateway is for a default gateway.
	TakenByGateway
	// TakenByStranger is for an address in quarantine, because a foreign host has answered for it.
	TakenByStranger
)

// String returns one word.
func (t TakenBy) String() string { return [...]string{"Node", "Gateway", "Stranger"}[t] }

// ConfigState describes the newest ConfigMap of the user, or the newest set of MetalLB's resources.
type ConfigState struct {
	// Object is the ConfigMap, with an empty UID while the ConfigMap does not exist; or the Namespace of MetalLB's resources.
	Object ObjectRef
	// Version is the resourceVersion of the newest ConfigMap or set seen, empty while there is none.
	Version string
	// Problem is nil when Snapshot.Config came from that ConfigMap. Otherwise Problem says why that ConfigMap is not used, and whether
	// the last configuration that the controller accepted is in use; Snapshot.Config is older, or nil.
	Problem error
	// Known is true when a controller before this one accepted the configuration in use.
	Known bool
	// Objects are the objects that Problem is about, when the configuration is made of several objects.
	Objects []ObjectProblem
}

// ObjectProblem is a problem of one of the objects that a configuration is made of.
type ObjectProblem struct {
	// Object is the Namespace of the objects for a problem of all of them together.
	Object ObjectRef
	// Message names the field, says what is wrong and what would be right.
	Message string
}

// Key names a Service.
type Key struct{ Namespace, Name string }

// String returns "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then by name.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// Service is what Lanlord needs to know of a Service.
type Service struct {
	Key Key
	// UID tells a Service from its successor under the same name.
	UID string
	// Version is the resourceVersion that this view was made from.
	Version string
	// Created decides who is served first, together with Key.
	Created time.Time

	// Managed is true for a Service of type LoadBalancer with our class and a cluster IP. A Service that is not
	// managed is in a snapshot only while it carries something of ours that is to be removed (see AllocatedFrom).
	Managed bool
	// Class is the spec.loadBalancerClass, empty without one.
	Class string
	// Families are the families that the Service has cluster IPs in, in the order of spec.ipFamilies; one or two.
	Families []Family
	// FamilyPolicy says how many of Families need an address.
	FamilyPolicy FamilyPolicy
	// Requested are the addresses asked for, at most one a family, in the order given; empty for any.
	Requested []netip.Addr
	// RequestedPool is the pool asked for; empty for any.
	RequestedPool string
	// RequestProblem says in a sentence what is wrong with what was requested, naming the field or annotation and the
	// mend; empty when nothing is. Requested and RequestedPool then count for nothing.
	RequestProblem string
	// RequestValue is the value that RequestProblem is about, as the user wrote it.
	RequestValue string
	// ExternalIPs are those of spec.externalIPs that are addresses, in their order. The first one of each family that a pool
	// contains counts as requested where Requested has none of the family. Only the controller fills it.
	ExternalIPs []netip.Addr
	// Gateway is the Gateway that the Service was generated for, zero for none. Only the controller fills it.
	Gateway Key
	// GatewayAddresses are the addresses in spec.addresses of the Gateway. They count like ExternalIPs, and before them.
	GatewayAddresses []netip.Addr

	// PreferNode is the name of the Node that should announce the addresses rather than others; empty for any.
	PreferNode string
	// AnnounceFrom is the preference of the Service's own annotation for nodes with endpoints.
	AnnounceFrom AnnounceFrom
	// PreferNodeProblem says in a sentence what is wrong with the annotations for PreferNode and AnnounceFrom; empty when
	// nothing is. The field of a wrong annotation has its zero value then, and all else goes on.
	PreferNodeProblem string
	// PreferNodeValue is the value that PreferNodeProblem is about, as the user wrote it.
	PreferNodeValue string

	// Labels are for the service selectors of pools.
	Labels map[string]string
	// SharingKey is what Services must have in common to share an address, empty for those that share none.
	SharingKey string
	// Ports are those of a Service with a SharingKey, sorted; nil without one.
	Ports []Port
	// Selector is the Service's selector as text, the same for the same one. Only filled with a SharingKey and
	// TrafficPolicy Local.
	Selector string

	// TrafficPolicy is the Service's externalTrafficPolicy.
	TrafficPolicy TrafficPolicy
	// HasServing is true when at least one endpoint is ready or serving. Only readers that watch endpoints fill it.
	HasServing bool
	// ServingNodes are the names of the nodes that hold such an endpoint, sorted. Filled like HasServing.
	ServingNodes []string
	// ReadyNodes are the names of the nodes that hold a ready endpoint that does not terminate, sorted: a part of
	// ServingNodes. Filled like HasServing; shares memory with ServingNodes when both are equal.
	ReadyNodes []string

	// Ingress are the addresses in status.loadBalancer.ingress, in their order.
	Ingress []netip.Addr
	// ForeignIngress is true when the status also holds what Lanlord never writes: a hostname, or text that is no
	// address, or another ipMode than VIP.
	ForeignIngress bool
	// StatusManager is the field manager of the controller that has put other addresses than those of Assignment into the
	// status; empty when the status shows those of Assignment, and when the manager is not known.
	StatusManager string
	// AllocatedFrom is the value of our annotation that names the pools of Ingress, empty when it is not there.
	AllocatedFrom string
	// Assignment is the record that the controller wrote on the Service. It is nil when there is none, as on a Service that
	// an earlier version wrote, and when the record cannot be read: then AssignmentProblem says why. Without a record it is
	// not known what the Service was assigned, and it keeps what its status shows unless another Service has a record of it.
	Assignment        *Assignment
	AssignmentProblem string
	// Condition is our condition as the Service has it now, nil when it is not there.
	Condition *Condition
	// Conflict is our other condition, which tells of strangers that answer for Ingress, nil when it is not there.
	Conflict *Condition
	// Routes is our condition about the routers that were told Ingress, nil when it is not there.
	Routes *Condition
}

// Marked reports whether the Service carries anything that the controller wrote, its addresses aside.
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

// The protocols of Kubernetes.
const (
	TCP Protocol = iota
	UDP
	SCTP
)

// String returns the protocol as Kubernetes spells it.
func (p Protocol) String() string { return [...]string{"TCP", "UDP", "SCTP"}[p] }

// Family is an address family.
type Family uint8

// The address families.
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

// String returns "IPv4" or "IPv6", as Kubernetes spells them.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// FamilyPolicy is a Service's ipFamilyPolicy.
type FamilyPolicy uint8

// The family policies of Kubernetes.
const (
	SingleStack FamilyPolicy = iota
	PreferDualStack
	RequireDualStack
)

// String returns the policy as Kubernetes spells it.
func (p FamilyPolicy) String() string {
	return [...]string{"SingleStack", "PreferDualStack", "RequireDualStack"}[p]
}

// AnnounceFrom says whether nodes with a ready endpoint of a Service should announce its addresses rather than others.
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

// The external traffic policies of Kubernetes.
const (
	TrafficCluster TrafficPolicy = iota
	TrafficLocal
)

// String returns the policy as Kubernetes spells it.
func (p TrafficPolicy) String() string { return [...]string{"Cluster", "Local"}[p] }

// Node is a Node, with the fields that Lanlord uses.
type Node struct {
	Name string
	// UID is set on Events about the Node.
	UID string
	// Labels are for the node selectors of pools.
	Labels map[string]string
	// Addresses are the Node's InternalIPs, in their order.
	Addresses []netip.Addr
	// External are the Node's ExternalIPs, in their order. Snapshot.Claims holds them too.
	External []netip.Addr
	// MACs are the MAC addresses that the speaker of the Node reported to the controller, sorted. A Node has them without gossip.
	MACs [][6]byte
	// Excluded is true when the Node has the label node.kubernetes.io/exclude-from-external-load-balancers.
	Excluded bool
	// NetworkUnavailable is the Node's condition of that name.
	NetworkUnavailable bool
	// OutOfService is true when the Node has the taint node.kubernetes.io/out-of-service: somebody has seen that it is off.
	OutOfService bool
	// Deleting is true when the Node is being deleted.
	Deleting bool
	// Unschedulable is true when the Node is cordoned.
	Unschedulable bool
}

// Condition is a condition of ours on a Service. One says whether it has what it asked for, and if not, why; the other one
// is there while strangers answer for its addresses.
type Condition struct {
	// True means that every address the Service needs is assigned, or that there is a conflict.
	True bool
	// Reason is one word in CamelCase; the same word is the Event's reason.
	Reason string
	// Message is a sentence for people.
	Message string
	// Since is when True became what it is, to the second. It is zero when that is not known, and in an Update, whose
	// writer fills it.
	Since time.Time
}

// ErrChanged is wrapped by the error of a write that was refused because the Service is no longer the one that was
// decided on: it has changed or is gone. The next snapshot shows it, so there is nothing to retry.
var ErrChanged = errors.New("the Service has changed since it was looked at")

// Update is one Service as it is to be: everything of it that Lanlord writes. It is one write.
type Update struct {
	Key Key
	UID string
	// Version is the resourceVersion that the decision was made on; the write fails if the Service has changed since.
	Version string
	// Ingress replaces status.loadBalancer.ingress; empty removes all. With KeepIngress, which is for a status that is
	// another implementation's by now, it stays as it is.
	Ingress     []netip.Addr
	KeepIngress bool
	// AllocatedFrom replaces our annotation; empty removes it.
	AllocatedFrom string
	// Assignment replaces our record; nil removes it.
	Assignment *Assignment
	// Condition and Conflict replace our conditions; nil removes one.
	Condition, Conflict *Condition
	// Before are sent before the write is tried, Events after it has succeeded.
	Before, Events []Event
}

// RoutesUpdate changes our condition about routers on a Service, and nothing else.
type RoutesUpdate struct {
	Key Key
	UID string
	// Version is the resourceVersion that the decision was made on; the write fails if the Service has changed since.
	Version string
	// Condition replaces the condition; nil removes it.
	Condition *Condition
}

// ObjectRef names an object that an Event is about.
type ObjectRef struct {
	APIVersion string // empty for "v1"
	Kind       string // "Service", "ConfigMap", "Node", "Namespace", or a kind of MetalLB
	Namespace  string // empty for a Node and a Namespace
	Name       string
	UID        string
}

// Event is a Kubernetes Event to be written. Events are for transitions only, never for a state that goes on.
type Event struct {
	Object  ObjectRef
	Warning bool
	Reason  string
	Message string
	// Addr is the address that an Event in Update.Before is about. It is not written.
	Addr netip.Addr
}
