package kube

import (
	"errors"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestLookAtPods counts the Pods that are ready, and names the others with their reasons.
func TestLookAtPods(t *testing.T) {
	pod := func(name, component, node string, ready corev1.ConditionStatus, change func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{componentLabel: component}},
			Spec:       corev1.PodSpec{NodeName: node},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	a := &answering{object: &corev1.PodList{Items: []corev1.Pod{
		pod("speaker-3", "speaker", "", "False", func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: "False", Reason: "Unschedulable"})
		}),
		pod("speaker-2", "speaker", "n2", "False", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}
		}),
		pod("speaker-1", "speaker", "n1", "True", nil),
		pod("controller-1", "controller", "n1", "True", nil),
		pod("controller-2", "controller", "n1", "False", nil),
		pod("controller-3", "controller", "n1", "False", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2}}}}
		}),
		pod("leaves", "speaker", "n4", "False", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} }),
		pod("ended", "speaker", "n4", "False", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
	}}}
	want := Installed{Controllers: 1, Speakers: 1, Unready: []string{
		"the Pod controller-2 on n1 is not ready", "the Pod controller-3 on n1 is not ready: ended with status 2", "the Pod speaker-2 on n2 is not ready: ErrImagePull",
		"the Pod speaker-3 is not ready: Unschedulable",
	}}
	if got, err := LookAtPods(t.Context(), a, "n"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	a.object, a.err = nil, errors.New("no")
	if _, err := LookAtPods(t.Context(), a, "n"); err == nil {
		t.Error("an error is not returned")
	}
}
