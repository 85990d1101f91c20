package kube

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hostEnv is the environment variable in which the kubelet gives each pod the cluster IP of the API server.
const hostEnv = "KUBERNETES_SERVICE_HOST"

// ThroughClusterIP returns a function that reports whether this pod reaches the API server through a cluster IP of the
// Service default/kubernetes. On the network of a node, only a service proxy leads from a cluster IP to the API server:
// a true result means that some service proxy has written rules on this node. The function makes one request, and
// returns an error when the API server does not answer.
//
// ThroughClusterIP returns nil for a process that finds the API server in another way: by a kubeconfig, or outside of a
// pod.
func ThroughClusterIP(client Client, kubeconfig string) func(context.Context) (bool, error) {
	host, err := netip.ParseAddr(os.Getenv(hostEnv))
	if kubeconfig != "" || err != nil {
		return nil
	}
	return func(ctx context.Context) (bool, error) { return isClusterIP(ctx, client, host) }
}

// isClusterIP reports whether host is a cluster IP of the API server.
func isClusterIP(ctx context.Context, client Client, host netip.Addr) (bool, error) {
	list, err := do[*corev1.ServiceList](ctx, client, Request{
		Verb: VerbList, Resource: services, Namespace: metav1.NamespaceDefault,
		Options: metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"},
	})
	if err != nil {
		return false, fmt.Errorf("list the Service default/kubernetes: %w", err)
	}
	for i := range list.Items {
		service := &list.Items[i]
		is := func(text string) bool {
			addr, err := netip.ParseAddr(text)
			return err == nil && addr == host
		}
		if service.Name == "kubernetes" && slices.ContainsFunc(service.Spec.ClusterIPs, is) {
			return true, nil
		}
	}
	return false, nil
}
