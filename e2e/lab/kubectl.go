package lab

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kubectl runs kubectl as a user would and returns what it printed.
func (l *Lab) Kubectl(args ...string) (string, error) {
	return l.cluster.Kubectl(context.Background(), args...)
}

// Kubeconfig is the file with the cluster's credentials.
func (l *Lab) Kubeconfig() string { return l.kubeconfig }

// MustKubectl is Kubectl for what must succeed.
func (l *Lab) MustKubectl(args ...string) string {
	l.t.Helper()
	output, err := l.Kubectl(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}

// Apply applies manifests (-k FOLDER or -f FILE, relative to the working folder of
// the test) and deletes them when the test ends.
func (l *Lab) Apply(args ...string) {
	l.t.Helper()
	l.MustKubectl(append([]string{"apply"}, args...)...)
	l.t.Cleanup(func() {
		l.t.Helper()
		l.explain()
		l.MustKubectl(append([]string{"delete", "--ignore-not-found", "--wait"}, args...)...)
	})
}

// Namespace makes a namespace that lives as long as the test. Its end takes some seconds, in which what else the test has made ends too.
func (l *Lab) Namespace() string {
	l.t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(l.t.Name()))
	name = strings.Trim("e2e-"+name[:min(len(name), 50)], "-")
	l.MustKubectl("create", "namespace", name)
	l.t.Cleanup(func() {
		l.t.Helper()
		l.explain()
		l.MustKubectl("delete", "namespace", name, "--wait=false")
		*l.leaving = append(*l.leaving, "namespace/"+name)
	})
	return name
}

// waitUntilGone waits until all namespaces that were deleted are gone.
func (l *Lab) waitUntilGone() {
	l.t.Helper()
	if len(*l.leaving) > 0 {
		l.MustKubectl(append([]string{"wait", "--for=delete", "--timeout", patience.String()}, *l.leaving...)...)
	}
}

// Deploy makes a Deployment of echo servers and waits until all its pods are ready.
func (l *Lab) Deploy(namespace, name string, replicas int) {
	l.t.Helper()
	l.MustKubectl("-n", namespace, "create", "deployment", name, "--image", EchoImage, "--replicas", fmt.Sprint(replicas))
	l.MustKubectl("-n", namespace, "rollout", "status", "deployment", name, "--timeout", patience.String())
}

// Pods returns the node of each pod that the selector matches, by the pod's name.
func (l *Lab) Pods(namespace, selector string) map[string]string {
	l.t.Helper()
	list, err := l.Clientset.CoreV1().Pods(namespace).List(l.t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		l.t.Fatal(err)
	}
	nodes := make(map[string]string, len(list.Items))
	for _, pod := range list.Items {
		nodes[pod.Name] = pod.Spec.NodeName
	}
	return nodes
}

// stayingPods returns the names of the pods that the selector matches, without those that are being deleted.
func (l *Lab) stayingPods(namespace, selector string) []string {
	l.t.Helper()
	list, err := l.Clientset.CoreV1().Pods(namespace).List(l.t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		l.t.Fatal(err)
	}
	var names []string
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			names = append(names, pod.Name)
		}
	}
	return names
}
