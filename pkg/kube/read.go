package kube

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// The functions here convert single objects in the same way as a Store, for programs that look at a cluster once and
// watch nothing.

// ServiceOf returns a Service as the controller and the speakers of this load-balancer class see the Service. It
// returns false for a Service that the class neither serves nor has to clean up.
func ServiceOf(o *corev1.Service, class string) (cluster.Service, bool) {
	row, ours := convertService(o, class)
	if ours {
		row.service.ExternalIPs = hostAddresses(o.Spec.ExternalIPs)
	}
	return row.service, ours && !row.other
}

// OtherOf returns a Service of type LoadBalancer of another class as the controller and the speakers see the Service,
// and false for any other Service.
func OtherOf(o *corev1.Service, class string) (cluster.Service, bool) {
	row, found := convertService(o, class)
	return row.service, found && row.other
}

// ClaimsOf returns the addresses that a Service has without the controller of this load-balancer class.
func ClaimsOf(o *corev1.Service, class string) []cluster.Claim { return claims(o, class) }

// NodeOf returns a Node as the controller and the speakers see the Node.
func NodeOf(o *corev1.Node) cluster.Node { return convertNode(o) }

// ConfigOf returns the configuration in a ConfigMap, or the reason to refuse the ConfigMap.
func ConfigOf(o *corev1.ConfigMap) (*config.Config, error) {
	row := convertConfig(o)
	return row.config, row.problem
}

// NetworksOf returns the networks that a speaker's Pod reports for its node, and empty networks for a Pod without a
// report. The error describes an unreadable report.
func NetworksOf(o *corev1.Pod) (cluster.Networks, error) {
	row, says := convertPod(o)
	if !says {
		return cluster.Networks{}, nil
	}
	return row.networks, row.problem
}
