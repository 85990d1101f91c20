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

// The types of our conditions on a Service. AddressConflict is there only while it is true, and RoutesAnnounced while an
// address of the Service is in a pool with BGP.
const (
	ConditionType = "lanlord.io/AddressAssigned"
	ConflictType  = "lanlord.io/AddressConflict"
	RoutesType    = "lanlord.io/RoutesAnnounced"
)

// AllocatedFromAnnotation is written on a Service with its addresses: the names of the pools that they come from.
const AllocatedFromAnnotation = "lanlord.io/ip-allocated-from-pool"

// The annotations by which a Service asks for addresses or for a pool.
const (
	AddressesAnnotation = "lanlord.io/load-balancer-ips"
	PoolAnnotation      = "lanlord.io/address-pool"
)

// PreferNodeAnnotation names the Node that should announce the addresses of the Service.
const PreferNodeAnnotation = "lanlord.io/prefer-node"

// SharingAnnotation holds the sharing key: Services with the same one may have the same address.
const SharingAnnotation = "lanlord.io/allow-shared-ip"

// addressesAnnotations, poolAnnotations and sharingAnnotations are ours and MetalLB's spellings, the first one present
// counts.
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

// configKey is the entry of the ConfigMap that holds the document, as in MetalLB v0.9 to v0.12.
const configKey = "config"

// serviceRow is a Service as the table keeps it and snapshots show it; neither changes it any more.
type serviceRow struct {
	service cluster.Service
	// generation goes into the condition's observedGeneration; 0 where the API server does not count.
	generation int64
}

// convertService returns a Service as the core sees it, and false if it is neither ours nor carries anything of ours.
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
		return serviceRow{}, false
	}
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
	s.Requested, s.RequestedPool, s.RequestProblem = requested(o, s.Families)
	if s.RequestProblem != "" {
		s.RequestValue = requestValue(o)
	}
	if s.PreferNode, s.PreferNodeProblem = preferredNode(o); s.PreferNodeProblem != "" {
		s.PreferNodeValue = strings.TrimSpace(o.Annotations[PreferNodeAnnotation])
	}
	s.Ingress, s.ForeignIngress = ingress(o.Status.LoadBalancer.Ingress)
	if s.ForeignIngress || !assigns(s.Assignment, s.Ingress) {
		s.StatusManager = statusManager(o.ManagedFields)
	}
	return serviceRow{service: s, generation: o.Generation}, true
}

// assigns reports whether the record has exactly these addresses. A nil record has any.
func assigns(record *cluster.Assignment, addrs []netip.Addr) bool {
	if record == nil {
		return true
	}
	return slices.EqualFunc(record.Addresses, addrs, func(x cluster.AssignedAddress, a netip.Addr) bool { return x.Addr == a })
}

// statusManager returns the field manager that has written the addresses in the status last, empty if none is known.
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

// leftBehind tells whether a Service that is not ours to serve carries what is ours to remove. A load balancer of another
// class does not: it may be another Lanlord's, which writes the same annotation and condition. (A Service cannot change
// its class without ceasing to be a load balancer in between.)
func leftBehind(o *corev1.Service, s cluster.Service) bool {
	return (o.Spec.Type != corev1.ServiceTypeLoadBalancer || o.Spec.ClusterIP == corev1.ClusterIPNone) &&
		s.Marked()
}

// managed tells whether a Service is ours to serve. One that is being deleted still is: it has traffic until it is gone.
func managed(o *corev1.Service, class string) bool {
	return o.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		o.Spec.ClusterIP != "" && o.Spec.ClusterIP != corev1.ClusterIPNone &&
		sameClass(o.Spec.LoadBalancerClass, class)
}

// sameClass is the rule of spec.loadBalancerClass: without a class of our own, only Services without one are ours.
func sameClass(class *string, ours string) bool {
	if ours == "" {
		return class == nil
	}
	return class != nil && *class == ours
}

// families are those of spec.ipFamilies, or those of the cluster IPs where an old object lacks the field.
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

// ports are those of a Service, sorted.
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

// ingress returns the addresses of a status, and whether it also holds what Lanlord never writes.
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

// assignment returns the record on a Service, or what is wrong with it.
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

// condition returns our condition of a type, nil if there is none.
func condition(cs []metav1.Condition, of string) *cluster.Condition {
	for _, c := range cs {
		if c.Type == of {
			return &cluster.Condition{
				// The few reasons come with every Service; one copy of each is enough.
				True: c.Status == metav1.ConditionTrue, Reason: unique.Make(c.Reason).Value(), Message: c.Message,
				Since: c.LastTransitionTime.UTC(),
			}
		}
	}
	return nil
}

// sliceRow is what is kept of an EndpointSlice.
type sliceRow struct {
	// service is the Service that the slice belongs to.
	service cluster.Key
	// serving is true when at least one endpoint is ready or serving.
	serving bool
	// nodes lists the nodes of the ready or serving endpoints, and ready the nodes of the ready endpoints that do not
	// terminate, both sorted. Equal lists share memory.
	nodes, ready []string
}

// convertSlice returns what counts of an EndpointSlice, and false if that is nothing.
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
			// A node's name comes with every endpoint on it; one copy is enough.
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

// compactNodes sorts the nodes with serving endpoints and, of these, the nodes with ready endpoints, and removes
// duplicates. The results share memory when they are equal, as they are unless an endpoint terminates.
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

// serving is the rule for endpoints that get traffic: ready, where not saying so means ready, or still serving while
// they terminate.
func serving(c discoveryv1.EndpointConditions) bool {
	return c.Ready == nil || *c.Ready || c.Serving != nil && *c.Serving
}

// ready is the rule for endpoints that get new connections from outside: ready, where not saying so means ready, and not
// terminating. An endpoint of a Service with publishNotReadyAddresses is ready while it terminates.
func ready(c discoveryv1.EndpointConditions) bool {
	return (c.Ready == nil || *c.Ready) && (c.Terminating == nil || !*c.Terminating)
}

// convertNode returns a Node as the core sees it.
func convertNode(o *corev1.Node) cluster.Node {
	n := cluster.Node{
		Name: o.Name, UID: string(o.UID), Labels: o.Labels,
		Deleting: o.DeletionTimestamp != nil, Unschedulable: o.Spec.Unschedulable,
	}
	_, n.Excluded = o.Labels[corev1.LabelNodeExcludeBalancers]
	n.OutOfService = slices.ContainsFunc(o.Spec.Taints, func(t corev1.Taint) bool {
		// The effect does not matter: the key alone says that the node is off.
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

// convertNamespace returns a namespace as the core sees it.
func convertNamespace(o *corev1.Namespace) cluster.Namespace {
	return cluster.Namespace{Name: o.Name, Labels: o.Labels}
}

// configRow is what became of one version of the ConfigMap.
type configRow struct {
	uid, version, text string
	// found is false for a ConfigMap without the entry that is read.
	found bool
	// config is nil when problem is not.
	config  *config.Config
	problem error
}

// convertConfig reads a ConfigMap. One without the entry "config" is refused, unlike in MetalLB, where it meant no pools:
// a misspelt entry must not take every address away. An entry without pools is refused too, unless it says that this is
// meant.
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

// convertKeys returns the Secret's entries in the order of their names.
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
