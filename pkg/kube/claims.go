package kube

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// gatewayLabel is the label that generated Services carry: the name of their Gateway, which is in the same namespace.
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// convert returns the row of a Service. A reader of namespaces assigns addresses. For such a reader, the row has the addresses that
// the Service claims and asks for by other fields than those of Lanlord, and a Service that only claims addresses has a hidden row.
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

// hostAddresses returns the addresses among the texts that a pool can hold, each once.
func hostAddresses(texts []string) (addrs []netip.Addr) {
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if addr = addr.Unmap(); err == nil && mayBeInPool(addr) && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// publishClaims brings the claims of the snapshot up to date. It is called with Store.mu held.
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
