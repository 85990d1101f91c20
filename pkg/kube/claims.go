package kube

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// gatewayLabel is a label on generated Services. Its value names the Gateway, which is in the namespace of the Service.
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// convert returns the row of a Service, and false for none. A Store with Options.Namespaces assigns addresses. In such
// a Store, the row also has the claims, the external IPs and the Gateway of the Service, and a Service that only claims
// addresses has a hidden row.
func (s *Store) convert(o *corev1.Service) (row serviceRow, ok bool) {
	row, ok = convertService(o, s.opt.LoadBalancerClass)
	s.trim(&row)
	if !s.opt.Namespaces {
		return row, ok
	}
	row.claims = claims(o, s.opt.LoadBalancerClass)
	if !ok {
		row.service.Key, row.hidden = cluster.Key{Namespace: o.Namespace, Name: o.Name}, true
		return row, len(row.claims) > 0
	}
	if row.other {
		return row, true
	}
	row.service.ExternalIPs = hostAddresses(o.Spec.ExternalIPs)
	if name := o.Labels[gatewayLabel]; name != "" && s.opt.Gateways {
		row.service.Gateway = cluster.Key{Namespace: o.Namespace, Name: name}
	}
	return row, true
}

// claims returns the addresses that a Service has without an assignment of Lanlord.
func claims(o *corev1.Service, class string) (all []cluster.Claim) {
	key := cluster.Key{Namespace: o.Namespace, Name: o.Name}
	if o.Spec.Type == corev1.ServiceTypeLoadBalancer && !sameClass(o.Spec.LoadBalancerClass, class) {
		shown, _ := ingress(o.Status.LoadBalancer.Ingress)
		for _, addr := range shown {
			if mayBeInPool(addr) {
				all = append(all, cluster.Claim{Addr: addr, By: cluster.ClaimedByStatus, Holder: key})
			}
		}
	}
	if o.Spec.Type != corev1.ServiceTypeExternalName {
		for _, addr := range hostAddresses(o.Spec.ExternalIPs) {
			all = append(all, cluster.Claim{Addr: addr, By: cluster.ClaimedByExternalIPs, Holder: key, Managed: managed(o, class)})
		}
	}
	return all
}

// hostAddresses parses the texts and returns the addresses that a pool can hold, each address once.
func hostAddresses(texts []string) (addrs []netip.Addr) {
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if addr = addr.Unmap(); err == nil && mayBeInPool(addr) && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// publishClaims updates the claims of the snapshot. The caller holds Store.mu.
func (s *Store) publishClaims() {
	if !s.dirtyClaims {
		return
	}
	var all []cluster.Claim
	for key := range s.services.rows {
		if row := s.row(key); row != nil {
			all = append(all, row.claims...)
		}
	}
	for _, row := range s.gateways.rows {
		all = append(all, row.claims...)
	}
	for _, n := range s.nodes.rows {
		for _, addr := range n.External {
			if mayBeInPool(addr) {
				all = append(all, cluster.Claim{Addr: addr, By: cluster.ClaimedByNode, Holder: cluster.Key{Name: n.Name}})
			}
		}
	}
	slices.SortFunc(all, cluster.Claim.Compare)
	s.publishedClaims, s.dirtyClaims = slices.Compact(all), false
}
