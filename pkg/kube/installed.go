package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Installed describes the Pods of Lanlord in a namespace.
type Installed struct {
	// Controllers and Speakers are the numbers of Pods that are ready.
	Controllers, Speakers int
	// Unready has a sentence for each Pod that is not ready, in the order of the Pods' names. Pods that are being deleted
	// do not count.
	Unready []string
}

// LookAtPods lists the Pods of Lanlord in a namespace.
func LookAtPods(ctx context.Context, client Client, namespace string) (Installed, error) {
	list, err := listPods(ctx, client, namespace)
	if err != nil {
		return Installed{}, err
	}
	var all Installed
	for i := range list {
		pod := &list[i]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		case !isReady(pod):
			all.Unready = append(all.Unready, unready(pod))
		case pod.Labels[componentLabel] == speakerComponent:
			all.Speakers++
		default:
			all.Controllers++
		}
	}
	slices.Sort(all.Unready)
	return all, nil
}

// unready returns the sentence about a Pod that is not ready, with the reason from the status of the Pod if there is one.
func unready(pod *corev1.Pod) string {
	text := "the Pod " + pod.Name
	if pod.Spec.NodeName != "" {
		text += " on " + pod.Spec.NodeName
	}
	text += " is not ready"
	for _, c := range pod.Status.ContainerStatuses {
		switch w, ended := c.State.Waiting, c.State.Terminated; {
		case w != nil && w.Reason != "":
			return text + ": " + w.Reason
		case ended != nil:
			return fmt.Sprintf("%s: ended with status %d", text, ended.ExitCode)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason != "" {
			return text + ": " + c.Reason
		}
	}
	return text
}
