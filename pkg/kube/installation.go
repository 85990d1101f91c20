package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controllerPods selects the Pods of Lanlord's controller.
const controllerPods = "app.kubernetes.io/name=lanlord,component=controller"

// Installation describes an installed Lanlord, from the Pod of its controller.
type Installation struct {
	Namespace string
	// ConfigMap is the name of the ConfigMap with the configuration. LoadBalancerClass is the class of the Services.
	ConfigMap, LoadBalancerClass string
}

// Installations returns the installations of Lanlord in the namespace, or in the whole cluster if namespace is empty:
// one for each namespace, sorted by namespace.
func Installations(ctx context.Context, client Client, namespace string) ([]Installation, error) {
	list, err := do[*corev1.PodList](ctx, client, Request{
		Verb: VerbList, Resource: pods, Namespace: namespace, Options: metav1.ListOptions{LabelSelector: controllerPods},
	})
	if err != nil {
		where := "in all namespaces"
		if namespace != "" {
			where = "in the namespace " + namespace
		}
		return nil, fmt.Errorf("list Pods %s: %w", where, err)
	}
	// Of several Pods in a namespace, as during an update, the first by name counts.
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	var found []Installation
	for i := range list.Items {
		pod := &list.Items[i]
		if len(pod.Spec.Containers) == 0 || slices.ContainsFunc(found, func(f Installation) bool { return f.Namespace == pod.Namespace }) {
			continue
		}
		c := &pod.Spec.Containers[0]
		found = append(found, Installation{
			Namespace: pod.Namespace, ConfigMap: argument(c, "config-map", "config"), LoadBalancerClass: argument(c, "load-balancer-class", ""),
		})
	}
	return found, nil
}

// argument returns the value of a flag in the arguments of a container, by the rules of Go's package flag.
func argument(c *corev1.Container, name, otherwise string) string {
	args := slices.Concat(c.Command, c.Args)
	for i, arg := range args {
		flag, isFlag := strings.CutPrefix(arg, "-")
		flag = strings.TrimPrefix(flag, "-")
		if value, ok := strings.CutPrefix(flag, name+"="); isFlag && ok {
			return value
		}
		if isFlag && flag == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return otherwise
}

// MissingSecret returns "" if the Secret has the entry, and otherwise a sentence: the Secret or the entry does not
// exist, or the Secret cannot be read. MissingSecret does not keep the content.
func MissingSecret(ctx context.Context, client Client, namespace, name, key string) string {
	secret, err := do[*corev1.Secret](ctx, client, Request{Verb: VerbGet, Resource: secrets, Namespace: namespace, Name: name})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("there is no Secret %s/%s", namespace, name)
	case err != nil:
		return fmt.Sprintf("the Secret %s/%s cannot be read: %v", namespace, name, err)
	}
	if _, ok := secret.Data[key]; !ok {
		return fmt.Sprintf("the Secret %s/%s has no entry %q", namespace, name, key)
	}
	return ""
}
