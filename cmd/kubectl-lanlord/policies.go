package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// explainSilence looks for NetworkPolicies that shut the nodes out, if nothing but silence came back from a path.
func explainSilence(ctx context.Context, a access, c *inspect.Cluster, path *inspect.PathAddress) {
	if !path.Silent() {
		return
	}
	var names []string
	for _, name := range path.Services {
		namespace, service, _ := strings.Cut(name, "/")
		found, err := shuttingPolicies(ctx, a, namespace, service, nodeAddrs(c))
		if apierrors.IsForbidden(err) {
			path.PoliciesUnknown("the right to list networkpolicies and pods in " + namespace + " is missing")
			return
		} else if err != nil {
			path.PoliciesUnknown(err.Error())
			return
		}
		names = append(names, found...)
	}
	if len(names) > 0 {
		path.ShutOutBy(names)
	}
}

// nodeAddrs returns the addresses of all nodes.
func nodeAddrs(c *inspect.Cluster) (addrs []netip.Addr) {
	for i := range c.Nodes {
		addrs = append(addrs, c.Nodes[i].Addresses...)
	}
	return addrs
}

// shuttingPolicies returns the NetworkPolicies that select Pods of a Service, if together they admit no node. The result
// is empty if one of the policies admits a node, because policies add up.
func shuttingPolicies(ctx context.Context, a access, namespace, service string,
	nodes []netip.Addr) (names []string, err error) {
	policies, err := a.client.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || len(policies.Items) == 0 {
		return nil, err
	}
	s, err := a.client.CoreV1().Services(namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil || len(s.Spec.Selector) == 0 {
		return nil, err
	}
	pods, err := a.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(s.Spec.Selector).String(),
	})
	if err != nil {
		return nil, err
	}
	for i := range policies.Items {
		policy := &policies.Items[i]
		if !isolates(policy, pods.Items) {
			continue
		}
		if admits(policy, nodes) {
			return nil, nil
		}
		names = append(names, namespace+"/"+policy.Name)
	}
	return names, nil
}

// isolates reports whether a policy limits the incoming packets of one of the Pods.
func isolates(policy *networkingv1.NetworkPolicy, pods []corev1.Pod) bool {
	types := policy.Spec.PolicyTypes
	if len(types) > 0 && !slices.Contains(types, networkingv1.PolicyTypeIngress) {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	return err == nil && slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
		return selector.Matches(labels.Set(pod.Labels))
	})
}

// admits reports whether a rule of a policy admits a node to some port. Selectors of Pods and namespaces admit no node,
// because the nodes are no Pods.
func admits(policy *networkingv1.NetworkPolicy, nodes []netip.Addr) bool {
	return slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
			return peer.IPBlock != nil && slices.ContainsFunc(nodes, func(node netip.Addr) bool {
				return within(peer.IPBlock.CIDR, node) &&
					!slices.ContainsFunc(peer.IPBlock.Except, func(cidr string) bool { return within(cidr, node) })
			})
		})
	})
}

// within reports whether a text is a CIDR that contains an address.
func within(cidr string, addr netip.Addr) bool {
	prefix, err := netip.ParsePrefix(cidr)
	return err == nil && prefix.Contains(addr)
}
