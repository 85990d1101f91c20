package kube

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// These are the types of Lanlord's conditions on a Service. AddressConflict exists only while the condition is true.
// RoutesAnnounced exists while an address of the Service is in a pool with BGP.
const (
	ConditionType = "lanlord.io/AddressAssigned"
	ConflictType  = "lanlord.io/AddressConflict"
	RoutesType    = "lanlord.io/RoutesAnnounced"
)

// AllocatedFromAnnotation names the pools of the Service's addresses. The controller writes the annotation together
// with the addresses.
const AllocatedFromAnnotation = "lanlord.io/ip-allocated-from-pool"

// These annotations request addresses or a pool for the Service.
const (
	AddressesAnnotation = "lanlord.io/load-balancer-ips"
	PoolAnnotation      = "lanlord.io/address-pool"
)

// PreferNodeAnnotation names the Node that should announce the addresses of the Service.
const PreferNodeAnnotation = "lanlord.io/prefer-node"

// AnnounceFromAnnotation selects the nodes that announce the addresses of the Service: "endpoints" prefers nodes with a
// ready endpoint, and "any" prefers none. The annotation overrides the key announce-from of the pool.
const AnnounceFromAnnotation = "lanlord.io/announce-from"

// SharingAnnotation holds the sharing key. Services with the same sharing key may share an address.
const SharingAnnotation = "lanlord.io/allow-shared-ip"

// addressesAnnotations, poolAnnotations and sharingAnnotations list Lanlord's name of each annotation, then MetalLB's
// names. Annotations of one list with different values contradict each other (see contradiction).
var (
	addressesAnnotations = [...]string{
		AddressesAnnotation, "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs",
	}
	poolAnnotations = [...]string{
		PoolAnnotation, "metallb.io/address-pool", "metallb.universe.tf/address-pool",
	}
	sharingAnnotations = [...]string{
		SharingAnnotation, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip",
	}
)

// configKey is the entry of the ConfigMap that holds the configuration, as in MetalLB v0.9 to v0.12.
const configKey = "config"

// serviceRow is a Service in the table and in snapshots. A stored row never changes.
type serviceRow struct {
	service cluster.Service
	// generation becomes the observedGeneration of the condition. It is 0 if the API server does not count generations.
	generation int64
	// claims lists the addresses that the Service has without Lanlord. hidden keeps the Service out of snapshots,
	// because the Service only claims addresses.
	claims []cluster.Claim
	hidden bool
	// other marks a load balancer of another class. Snapshot.Others lists such Services.
	other bool
}

// convertService converts a Service. It returns false for a Service that Lanlord neither serves nor has to clean up,
// unless the Service is a load balancer of another class.
func convertService(o *corev1.Service, class string) (serviceRow, bool) {
	s := cluster.Service{
		Key:           cluster.Key{Namespace: unique.Make(o.Namespace).Value(), Name: o.Name},
		UID:           string(o.UID),
		Version:       o.ResourceVersion,
		Created:       o.CreationTimestamp.Time,
		Managed:       managed(o, class),
		AllocatedFrom: unique.Make(o.Annotations[AllocatedFromAnnotation]).Value(),
		Condition:     condition(o.Status.Conditions, ConditionType),
		Conflict:      condition(o.Status.Conditions, ConflictType),
		Routes:        condition(o.Status.Conditions, RoutesType),
	}
	s.Assignment, s.AssignmentProblem = assignment(o)
	if !s.Managed && !leftBehind(o, s) {
		return otherService(o, class)
	}
	s.Class = classOf(o)
	s.Labels = o.Labels
	s.Families = families(o)
	s.FamilyPolicy = familyPolicy(o.Spec.IPFamilyPolicy)
	if o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		s.TrafficPolicy = cluster.TrafficLocal
	}
	if _, s.SharingKey = firstAnnotation(o, sharingAnnotations[:]); s.SharingKey != "" {
		s.Ports = ports(o)
		if s.TrafficPolicy == cluster.TrafficLocal {
			s.Selector = labels.Set(o.Spec.Selector).String()
		}
	}
	s.TCPPorts, s.SourceRanges = tcpPorts(o), sourceRanges(o)
	s.Requested, s.RequestedPool, s.RequestProblem = requested(o, s.Families)
	if s.RequestProblem != "" {
		s.RequestValue = requestValue(o)
	}
	prefer(o, &s)
	s.Ingress, s.ForeignIngress = ingress(o.Status.LoadBalancer.Ingress)
	if s.ForeignIngress || !assigns(s.Assignment, s.Ingress) {
		s.StatusManager = statusManager(o.ManagedFields)
	}
	return serviceRow{service: s, generation: o.Generation}, true
}

// otherService converts a Service of type LoadBalancer of another class with a cluster IP, and returns false for any
// other Service. The result has no assignment and no conditions, because another Lanlord may have written them.
func otherService(o *corev1.Service, class string) (serviceRow, bool) {
	if o.Spec.Type != corev1.ServiceTypeLoadBalancer || o.Spec.ClusterIP == "" || o.Spec.ClusterIP == corev1.ClusterIPNone ||
		sameClass(o.Spec.LoadBalancerClass, class) {
		return serviceRow{}, false
	}
	s := cluster.Service{
		Key: cluster.Key{Namespace: unique.Make(o.Namespace).Value(), Name: o.Name}, UID: string(o.UID),
		Version: o.ResourceVersion, Created: o.CreationTimestamp.Time, Class: classOf(o), Labels: o.Labels,
	}
	if o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		s.TrafficPolicy = cluster.TrafficLocal
	}
	prefer(o, &s)
	// No service proxy serves a Service at an address with an IP mode other than VIP.
	s.Ingress, _ = ingress(slices.DeleteFunc(slices.Clone(o.Status.LoadBalancer.Ingress),
		func(e corev1.LoadBalancerIngress) bool {
			return e.IPMode != nil && *e.IPMode != corev1.LoadBalancerIPModeVIP
		}))
	return serviceRow{service: s, generation: o.Generation, other: true}, true
}

// classOf returns the load-balancer class, or "" for a Service without a class.
func classOf(o *corev1.Service) string {
	if o.Spec.LoadBalancerClass == nil {
		return ""
	}
	return unique.Make(*o.Spec.LoadBalancerClass).Value()
}

// assigns reports whether the record has exactly the addresses addrs. A nil record matches any addresses.
func assigns(record *cluster.Assignment, addrs []netip.Addr) bool {
	if record == nil {
		return true
	}
	return slices.EqualFunc(record.Addresses, addrs, func(x cluster.AssignedAddress, a netip.Addr) bool { return x.Addr == a })
}

// statusManager returns the field manager that last wrote the addresses in the status, or "" if no manager is known.
func statusManager(managers []metav1.ManagedFieldsEntry) string {
	var last *metav1.ManagedFieldsEntry
	for i := range managers {
		m := &managers[i]
		if m.FieldsV1 == nil {
			continue
		}
		fields := m.FieldsV1.GetRawBytes()
		if !bytes.Contains(fields, []byte(`"f:loadBalancer"`)) || !bytes.Contains(fields, []byte(`"f:ingress"`)) {
			continue
		}
		if last == nil || m.Time != nil && last.Time.Before(m.Time) {
			last = m
		}
	}
	if last == nil {
		return ""
	}
	return last.Manager
}

// leftBehind reports whether a Service that Lanlord does not serve still carries marks of Lanlord to remove. A load
// balancer of another class never counts: another Lanlord may serve the Service and writes the same annotation and
// condition. (A Service changes its class only by ceasing to be a load balancer first.)
func leftBehind(o *corev1.Service, s cluster.Service) bool {
	return (o.Spec.Type != corev1.ServiceTypeLoadBalancer || o.Spec.ClusterIP == corev1.ClusterIPNone) &&
		s.Marked()
}

// managed reports whether Lanlord serves a Service. A Service that is being deleted counts: it has traffic until the
// end.
func managed(o *corev1.Service, class string) bool {
	return o.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		o.Spec.ClusterIP != "" && o.Spec.ClusterIP != corev1.ClusterIPNone &&
		sameClass(o.Spec.LoadBalancerClass, class)
}

// sameClass implements the rule of spec.loadBalancerClass: a Lanlord without a class serves only Services without a
// class.
func sameClass(class *string, ours string) bool {
	if ours == "" {
		return class == nil
	}
	return class != nil && *class == ours
}

// families returns the families in spec.ipFamilies. For an old object without this field, families returns the families
// of the cluster IPs.
func families(o *corev1.Service) []cluster.Family {
	var fs []cluster.Family
	for _, f := range o.Spec.IPFamilies {
		switch f {
		case corev1.IPv4Protocol:
			fs = append(fs, cluster.IPv4)
		case corev1.IPv6Protocol:
			fs = append(fs, cluster.IPv6)
		}
	}
	if len(fs) > 0 {
		return fs
	}
	for _, text := range append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(fs, cluster.FamilyOf(a.Unmap())) {
			fs = append(fs, cluster.FamilyOf(a.Unmap()))
		}
	}
	return fs
}

// ports returns the ports of a Service, sorted.
func ports(o *corev1.Service) []cluster.Port {
	ps := make([]cluster.Port, 0, len(o.Spec.Ports))
	for _, p := range o.Spec.Ports {
		port := cluster.Port{Number: uint16(p.Port)}
		switch p.Protocol {
		case corev1.ProtocolUDP:
			port.Protocol = cluster.UDP
		case corev1.ProtocolSCTP:
			port.Protocol = cluster.SCTP
		}
		ps = append(ps, port)
	}
	slices.SortFunc(ps, cluster.Port.Compare)
	return ps
}

// tcpPorts returns the TCP ports of a Service, sorted.
func tcpPorts(o *corev1.Service) (numbers []uint16) {
	for _, p := range o.Spec.Ports {
		if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			numbers = append(numbers, uint16(p.Port))
		}
	}
	slices.Sort(numbers)
	return numbers
}

// sourceRanges returns spec.loadBalancerSourceRanges without the entries that are no ranges; the API server refuses such
// entries.
func sourceRanges(o *corev1.Service) (ranges []netip.Prefix) {
	for _, text := range o.Spec.LoadBalancerSourceRanges {
		if r, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			ranges = append(ranges, r.Masked())
		}
	}
	return ranges
}

func familyPolicy(p *corev1.IPFamilyPolicy) cluster.FamilyPolicy {
	if p == nil {
		return cluster.SingleStack
	}
	switch *p {
	case corev1.IPFamilyPolicyPreferDualStack:
		return cluster.PreferDualStack
	case corev1.IPFamilyPolicyRequireDualStack:
		return cluster.RequireDualStack
	default:
		return cluster.SingleStack
	}
}

// ingress returns the addresses in a status. foreign is true if the status also has an entry that Lanlord never writes.
func ingress(entries []corev1.LoadBalancerIngress) (addrs []netip.Addr, foreign bool) {
	for _, e := range entries {
		a, err := netip.ParseAddr(e.IP)
		switch {
		case err != nil || a.Zone() != "" || a.Is4In6():
			foreign = true
			continue
		case e.Hostname != "", e.IPMode != nil && *e.IPMode != corev1.LoadBalancerIPModeVIP:
			foreign = true
		}
		addrs = append(addrs, a)
	}
	return addrs, foreign
}

// assignment returns the record on a Service, or the problem that makes the record unreadable.
func assignment(o *corev1.Service) (record *cluster.Assignment, problem string) {
	text, found := o.Annotations[AssignmentAnnotation]
	if !found {
		return nil, ""
	}
	record, err := ParseAssignment(text)
	if err != nil {
		return nil, err.Error()
	}
	return record, ""
}

// condition returns the condition of the type of, or nil if there is none.
func condition(cs []metav1.Condition, of string) *cluster.Condition {
	for _, c := range cs {
		if c.Type == of {
			return &cluster.Condition{
				// Every Service repeats the same few reasons; one copy of each reason is enough.
				True: c.Status == metav1.ConditionTrue, Reason: unique.Make(c.Reason).Value(), Message: c.Message,
				Since: c.LastTransitionTime.UTC(),
			}
		}
	}
	return nil
}

// sliceRow holds the parts of an EndpointSlice that the Store keeps.
type sliceRow struct {
	// service names the Service of the slice.
	service cluster.Key
	// serving is true when at least one endpoint is ready or serving.
	serving bool
	// nodes lists the nodes of the ready or serving endpoints, and ready the nodes of the ready endpoints that do not
	// terminate, both sorted. Equal lists share memory.
	nodes, ready []string
}

// convertSlice converts an EndpointSlice. It returns false for a slice of DNS names or without a Service, and for a
// slice without an endpoint that is ready or serving.
func convertSlice(o *discoveryv1.EndpointSlice) (sliceRow, bool) {
	row := sliceRow{service: cluster.Key{Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}}
	if row.service.Name == "" || o.AddressType == discoveryv1.AddressTypeFQDN {
		return sliceRow{}, false
	}
	for _, e := range o.Endpoints {
		if !serving(e.Conditions) {
			continue
		}
		row.serving = true
		if e.NodeName != nil && *e.NodeName != "" {
			// Every endpoint on a node repeats the node's name; one copy of each name is enough.
			name := unique.Make(*e.NodeName).Value()
			row.nodes = append(row.nodes, name)
			if ready(e.Conditions) {
				row.ready = append(row.ready, name)
			}
		}
	}
	row.nodes, row.ready = compactNodes(row.nodes, row.ready)
	return row, row.serving
}

// compactNodes sorts two lists and removes duplicates: the nodes with serving endpoints, and the nodes with ready
// endpoints, a subset of the former. Equal results share memory. The results are equal unless an endpoint terminates.
func compactNodes(serving, ready []string) (servingNodes, readyNodes []string) {
	serving, ready = compact(serving), compact(ready)
	if slices.Equal(serving, ready) {
		ready = serving
	}
	return serving, ready
}

func compact(names []string) []string {
	slices.Sort(names)
	return slices.Clip(slices.Compact(names))
}

// serving reports whether an endpoint gets traffic: the endpoint is ready, or is still serving while it terminates. An
// endpoint without the condition ready is ready.
func serving(c discoveryv1.EndpointConditions) bool {
	return c.Ready == nil || *c.Ready || c.Serving != nil && *c.Serving
}

// ready reports whether an endpoint gets new connections from outside: the endpoint is ready and not terminating. An
// endpoint without the condition ready is ready. (An endpoint of a Service with publishNotReadyAddresses is ready while
// it terminates.)
func ready(c discoveryv1.EndpointConditions) bool {
	return (c.Ready == nil || *c.Ready) && (c.Terminating == nil || !*c.Terminating)
}

// convertNode converts a Node.
func convertNode(o *corev1.Node) cluster.Node {
	n := cluster.Node{
		Name: o.Name, UID: string(o.UID), Labels: o.Labels,
		Deleting: o.DeletionTimestamp != nil, Unschedulable: o.Spec.Unschedulable,
	}
	_, n.Excluded = o.Labels[corev1.LabelNodeExcludeBalancers]
	n.OutOfService = slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool {
		// The effect of the taint does not matter: the key alone marks a node that is off.
		return t.Key == corev1.TaintNodeOutOfService
	})
	for _, a := range o.Status.Addresses {
		addr, err := netip.ParseAddr(a.Address)
		switch {
		case err != nil:
		case a.Type == corev1.NodeInternalIP:
			n.Addresses = append(n.Addresses, addr.Unmap().WithZone(""))
		case a.Type == corev1.NodeExternalIP:
			n.External = append(n.External, addr.Unmap().WithZone(""))
		}
	}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable {
			n.NetworkUnavailable = c.Status == corev1.ConditionTrue
		}
	}
	return n
}

// convertNamespace converts a Namespace.
func convertNamespace(o *corev1.Namespace) cluster.Namespace {
	return cluster.Namespace{Name: o.Name, Labels: o.Labels}
}

// configRow holds one version of the ConfigMap and the configuration in it.
type configRow struct {
	uid, version, text string
	// found is false for a ConfigMap without the entry configKey.
	found bool
	// problem is the reason to refuse the ConfigMap, nil for none. config counts only if problem is nil.
	config  *config.Config
	problem error
}

// convertConfig reads a ConfigMap. A ConfigMap without the entry "config" is refused: a misspelt entry must not
// withdraw every address. (In MetalLB, a missing entry meant no pools.) A configuration without pools is refused too,
// unless the configuration declares that the absence of pools is intended.
func convertConfig(o *corev1.ConfigMap) configRow {
	row := configRow{uid: string(o.UID), version: o.ResourceVersion}
	if row.text, row.found = o.Data[configKey]; row.found {
		row.config, row.problem = config.Parse([]byte(row.text))
		if row.problem == nil {
			row.problem = row.config.CheckPools()
		}
	} else {
		row.problem = missingEntry(o)
	}
	return row
}

func missingEntry(o *corev1.ConfigMap) error {
	message := fmt.Sprintf("the ConfigMap %s/%s has no entry %q under data: add it", o.Namespace, o.Name, configKey)
	stray := slices.Sorted(maps.Keys(o.Data))
	stray = append(stray, slices.Sorted(maps.Keys(o.BinaryData))...)
	if len(stray) > 0 {
		message += fmt.Sprintf("; it has %q, which is not read", strings.Join(stray, ", "))
	}
	return errors.New(message)
}

// convertKeys returns the entries of the Secret in the order of their names.
func convertKeys(o *corev1.Secret) [][]byte {
	names := make([]string, 0, len(o.Data))
	for name := range o.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	keys := make([][]byte, len(names))
	for i, name := range names {
		keys[i] = o.Data[name]
	}
	return keys
}
