package kube

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
)

// The functions here read single objects as a Store does, for programs that look at a cluster once and watch nothing.

// ServiceOf returns a Service as the controller and the speakers of this load-balancer class see it, and false if it is not
// theirs and carries nothing of theirs.
func ServiceOf(o *corev1.Service, class string) (cluster.Service, bool) {
	row, ours := convertService(o, class)
	if ours {
		row.service.ExternalIPs = hostAddresses(o.Spec.ExternalIPs)
	}
	return row.service, ours
}

// ClaimsOf returns the addresses that a Service has without the controller of this load-balancer class.
func ClaimsOf(o *corev1.Service, class string) []cluster.Claim { return claims(o, class) }

// NodeOf returns a Node as the controller and the speakers see it.
func NodeOf(o *corev1.Node) cluster.Node { return convertNode(o) }

// ConfigOf returns the configuration in a ConfigMap, or why it is refused.
func ConfigOf(o *corev1.ConfigMap) (*config.Config, error) {
	row := convertConfig(o)
	return row.config, row.problem
}

// NetworksOf returns what a speaker's Pod tells of the networks of its node. Of a Pod that tells nothing that is nothing.
func NetworksOf(o *corev1.Pod) (cluster.Networks, error) {
	row, says := convertPod(o)
	if !says {
		return cluster.Networks{}, nil
	}
	return row.networks, row.problem
}
