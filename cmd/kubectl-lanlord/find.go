package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/inspect"
)

const (
	// lanlordLabel selects all Pods of Lanlord, in every overlay.
	lanlordLabel = "app.kubernetes.io/name=lanlord"
	// componentLabel is the label with the component of a Pod: controller or speaker.
	componentLabel      = "component"
	controllerComponent = "controller"
	speakerComponent    = "speaker"
)

// usual lists the namespaces to search if the user may not list Pods in all namespaces.
var usual = [...]string{"lanlord-system", "metallb-system"}

// installation holds the namespace and the Pods of one Lanlord.
type installation struct {
	namespace string
	// others lists further namespaces with Pods of Lanlord. everywhere is true if find searched all namespaces.
	others     []string
	everywhere bool
	pods       []corev1.Pod
	// portUsers are the speakers of all installations that were found.
	portUsers []inspect.PortUser
	// forbidden is the answer of the API server if the user may not list the Pods of Lanlord. The installation then has
	// no Pods, and the namespace is a guess unless the user gave it.
	forbidden error
}

// findOnly finds the installation of Lanlord, and returns an error when several could be meant.
func (p *plugin) findOnly(ctx context.Context, a access) (installation, error) {
	where, err := p.find(ctx, a)
	if err == nil {
		err = where.only()
	}
	return where, err
}

// find returns the installation in the namespace of --lanlord-namespace. Without the flag, find searches all
// namespaces, or the usual namespaces if the user may not list Pods in all namespaces.
func (p *plugin) find(ctx context.Context, a access) (installation, error) {
	pods, err := listLanlord(ctx, a, p.namespace)
	everywhere := p.namespace == "" && err == nil
	if apierrors.IsForbidden(err) && p.namespace == "" {
		denied := err
		for _, namespace := range usual {
			some, usualErr := listLanlord(ctx, a, namespace)
			switch {
			case apierrors.IsForbidden(usualErr):
			case usualErr != nil:
				return installation{}, describe(usualErr)
			default:
				err = nil
			}
			pods = append(pods, some...)
		}
		if len(pods) == 0 {
			return installation{namespace: usual[0], forbidden: denied}, nil
		}
	}
	if apierrors.IsForbidden(err) {
		return installation{namespace: p.namespace, forbidden: err}, nil
	}
	if err != nil {
		return installation{}, describe(err)
	}
	byNamespace := map[string][]corev1.Pod{}
	for _, pod := range pods {
		byNamespace[pod.Namespace] = append(byNamespace[pod.Namespace], pod)
	}
	namespaces := slices.Sorted(maps.Keys(byNamespace))
	switch {
	case len(namespaces) > 0:
		return installation{
			namespace: namespaces[0], others: namespaces[1:], everywhere: everywhere, pods: byNamespace[namespaces[0]],
			portUsers: portUsers(pods),
		}, nil
	case p.namespace != "":
		return installation{}, fmt.Errorf("no Pod in the namespace %s has the label %s, so Lanlord is not there; without --lanlord-namespace it is looked for",
			p.namespace, lanlordLabel)
	}
	return installation{}, fmt.Errorf("no Pod has the label %s, so Lanlord is not in this cluster, or its Pods cannot be made; "+
		"kubectl get deployments,daemonsets -A -l %s shows whether it is installed", lanlordLabel, lanlordLabel)
}

// searchOthers adds the other namespaces with Pods of Lanlord, if the user may list Pods in all namespaces.
func (i *installation) searchOthers(ctx context.Context, a access) error {
	pods, err := listLanlord(ctx, a, "")
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return describe(err)
	}
	i.everywhere, i.portUsers = true, portUsers(pods)
	for _, pod := range pods {
		if pod.Namespace != i.namespace && !slices.Contains(i.others, pod.Namespace) {
			i.others = append(i.others, pod.Namespace)
		}
	}
	slices.Sort(i.others)
	return nil
}

// only returns an error if several namespaces have Pods of Lanlord.
func (i installation) only() error {
	if len(i.others) == 0 {
		return nil
	}
	return errors.New("Lanlord is in several namespaces (" + i.namespace + ", " + strings.Join(i.others, ", ") + "); choose one with --lanlord-namespace")
}

func listLanlord(ctx context.Context, a access, namespace string) ([]corev1.Pod, error) {
	list, err := a.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: lanlordLabel})
	if err != nil {
		return nil, err
	}
	// Pods that have ended for good, for example after an eviction, do not count.
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	}), nil
}
