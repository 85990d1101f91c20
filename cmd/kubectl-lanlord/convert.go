package main

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
)

func convertNode(o *corev1.Node) inspect.Node {
	n := inspect.Node{Node: kube.NodeOf(o), Linux: o.Labels[corev1.LabelOSStable] != "windows"}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.NodeReady {
			n.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, t := range o.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			n.Taints = append(n.Taints, inspect.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
		}
	}
	return n
}

func convertPod(o *corev1.Pod) inspect.Pod {
	p := inspect.Pod{
		Name: o.Name, Node: o.Spec.NodeName, Deleting: o.DeletionTimestamp != nil, HostNetwork: o.Spec.HostNetwork, Problem: podProblem(o),
	}
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, s := range o.Status.ContainerStatuses {
		p.Restarts += int(s.RestartCount)
	}
	if len(o.Spec.Containers) > 0 {
		p.Image = o.Spec.Containers[0].Image
		p.RawSockets = rawSockets(o, &o.Spec.Containers[0])
	}
	return p
}

// podProblem returns the reason in a Pod's status why the Pod is not ready. The reason is empty if the status has none.
func podProblem(o *corev1.Pod) string {
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return joinWords(c.Reason, c.Message)
		}
	}
	for _, s := range o.Status.ContainerStatuses {
		switch w, last := s.State.Waiting, s.LastTerminationState.Terminated; {
		case s.State.Terminated != nil:
			return ended(s.State.Terminated)
		case w != nil && last != nil:
			return joinWords(w.Reason, ended(last))
		case w != nil:
			return joinWords(w.Reason, w.Message)
		}
	}
	return ""
}

// ended returns the exit status of a container and the last line of its termination message. The kubelet takes the
// termination message from the container's log.
func ended(t *corev1.ContainerStateTerminated) string {
	lines := strings.Split(strings.TrimSpace(t.Message), "\n")
	return joinWords(fmt.Sprintf("ended with status %d", t.ExitCode), lines[len(lines)-1])
}

func joinWords(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
}

// rawSockets reports whether a container has CAP_NET_RAW. Added capabilities take effect only for root.
func rawSockets(o *corev1.Pod, c *corev1.Container) bool {
	s := c.SecurityContext
	if s == nil {
		s = &corev1.SecurityContext{}
	}
	if s.Privileged != nil && *s.Privileged {
		return true
	}
	user := s.RunAsUser
	if user == nil && o.Spec.SecurityContext != nil {
		user = o.Spec.SecurityContext.RunAsUser
	}
	if user != nil && *user != 0 {
		return false
	}
	if s.Capabilities == nil {
		return true // container runtimes give NET_RAW by default
	}
	names := func(list []corev1.Capability, capability corev1.Capability) bool {
		return slices.Contains(list, capability) || slices.Contains(list, "CAP_"+capability) || slices.Contains(list, "ALL")
	}
	return names(s.Capabilities.Add, "NET_RAW") || !names(s.Capabilities.Drop, "NET_RAW")
}

func convertDaemonSet(o *appsv1.DaemonSet) *inspect.DaemonSet {
	d := &inspect.DaemonSet{
		Name: o.Name, Selector: o.Spec.Template.Spec.NodeSelector,
		Desired: int(o.Status.DesiredNumberScheduled), Updated: int(o.Status.UpdatedNumberScheduled),
		Seen: o.Status.ObservedGeneration >= o.Generation, OnDelete: o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
	}
	for _, t := range o.Spec.Template.Spec.Tolerations {
		d.Tolerations = append(d.Tolerations, inspect.Toleration{
			Key: t.Key, Value: t.Value, Effect: string(t.Effect), Exists: t.Operator == corev1.TolerationOpExists,
		})
	}
	// The DaemonSet controller adds these tolerations to all Pods of a DaemonSet.
	for _, key := range []string{
		corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeDiskPressure, corev1.TaintNodeMemoryPressure,
		corev1.TaintNodePIDPressure, corev1.TaintNodeUnschedulable, corev1.TaintNodeNetworkUnavailable,
	} {
		d.Tolerations = append(d.Tolerations, inspect.Toleration{Key: key, Exists: true})
	}
	return d
}

func convertLease(o *coordinationv1.Lease) *inspect.Lease {
	l := &inspect.Lease{}
	if o.Spec.HolderIdentity != nil {
		l.Holder = *o.Spec.HolderIdentity
	}
	if o.Spec.RenewTime != nil {
		l.Renewed = o.Spec.RenewTime.Time
	}
	if o.Spec.LeaseDurationSeconds != nil {
		l.Lasts = seconds(*o.Spec.LeaseDurationSeconds)
	}
	return l
}

// flagOf returns the value of a flag in a container's command and arguments, or otherwise if the flag is missing.
// Callers pass the default of the daemon as otherwise.
func flagOf(c *corev1.Container, name, otherwise string) string {
	words := append(slices.Clone(c.Command), c.Args...)
	for i, word := range words {
		rest, is := strings.CutPrefix(strings.TrimPrefix(word, "-"), "-"+name)
		switch {
		case !is:
		case strings.HasPrefix(rest, "="):
			return rest[1:]
		case rest == "" && i+1 < len(words):
			return words[i+1]
		}
	}
	return otherwise
}

// isSet reports whether a flag without a value, or with the value true, is in a container's command and arguments.
func isSet(c *corev1.Container, name string) bool {
	return slices.ContainsFunc(append(slices.Clone(c.Command), c.Args...), func(word string) bool {
		word = strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
		return word == name || word == name+"=true"
	})
}

// convertEvents returns the Events about a Service. The API server has already selected by kind and name, but an API
// server may ignore a field selector for a field that it does not know.
func convertEvents(list []corev1.Event, service string) (events []inspect.Event) {
	for i := range list {
		o := &list[i]
		if o.InvolvedObject.Kind != "Service" || o.InvolvedObject.Name != service {
			continue
		}
		last := o.LastTimestamp.Time
		if o.Series != nil {
			last = o.Series.LastObservedTime.Time
		}
		if last.IsZero() {
			last = o.EventTime.Time
		}
		from := o.Source.Component
		if o.Source.Host != "" {
			from += ", " + o.Source.Host
		}
		events = append(events, inspect.Event{Last: last, Type: o.Type, Reason: o.Reason, From: from, Message: o.Message})
	}
	return events
}
