package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
	"github.com/lanlord/lanlord/pkg/status"
)

// askedAtOnce is the number of processes that askAll asks at the same time. Each request needs a connection through the
// API server and starts a process on a node.
const askedAtOnce = 32

// askAll asks all of Lanlord's processes for their status.
func (g *gatherer) askAll(ctx context.Context, pods []corev1.Pod) error {
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	g.sealed = sync.OnceValue(func() statuses { return g.gatherSealed(ctx) })
	for i := range pods {
		pod := &pods[i]
		switch pod.Labels[componentLabel] {
		case controllerComponent:
			group.Go(func() error {
				c := inspect.Controller{Pod: convertPod(pod)}
				c.Says, c.Silence = ask[status.Controller](ctx, g, pod)
				g.result(func(all *inspect.Cluster) { all.Controllers = append(all.Controllers, c) })
				return nil
			})
		case speakerComponent:
			group.Go(func() error {
				s := inspect.Speaker{Pod: convertPod(pod)}
				s.Networks, _ = kube.NetworksOf(pod) // the controller reports unreadable networks
				s.Says, s.Silence = ask[status.Speaker](ctx, g, pod)
				g.result(func(all *inspect.Cluster) { all.Speakers = append(all.Speakers, s) })
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	g.result(func(all *inspect.Cluster) {
		slices.SortFunc(all.Controllers, func(x, y inspect.Controller) int { return byNode(x.Pod, y.Pod) })
		slices.SortFunc(all.Speakers, func(x, y inspect.Speaker) int { return byNode(x.Pod, y.Pod) })
	})
	return nil
}

func byNode(x, y inspect.Pod) int {
	return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.Name, y.Name))
}

// ask returns the status of the process of a Pod, or the reason why the status is missing.
func ask[T any](ctx context.Context, g *gatherer, pod *corev1.Pod) (*T, string) {
	command, ok := running(pod)
	if !ok {
		return nil, "its container does not run"
	}
	g.progress.say("asking %s", pod.Name)
	text, silence := g.statusText(ctx, pod, command)
	if silence != "" {
		return nil, silence
	}
	said := new(T)
	if err := json.Unmarshal(text, said); err != nil {
		return nil, fmt.Sprintf("its answer could not be read: %v", err)
	}
	return said, ""
}

// statusText returns the status of the process of a Pod as JSON, or the reason why the status is missing. If the user
// may not execute commands in the Pod, statusText uses the encrypted status that the controller passes on.
func (g *gatherer) statusText(ctx context.Context, pod *corev1.Pod, command string) (text []byte, silence string) {
	if !g.noExec.Load() {
		text, err := g.execute(ctx, target{
			namespace: pod.Namespace, pod: pod.Name, container: pod.Spec.Containers[0].Name, command: []string{command, "status"},
		})
		if err == nil {
			return text, ""
		}
		if !apierrors.IsForbidden(err) {
			return nil, silenceOf(err)
		}
		g.noExec.Store(true)
	}
	return g.sealed().of(pod.Name)
}

// silenceOf returns the reason why a process could not be asked.
func silenceOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return err.Error()
}

// running returns the program of a Pod's first container. ok is false if the container does not run.
func running(pod *corev1.Pod) (program string, ok bool) {
	if len(pod.Spec.Containers) == 0 || len(pod.Spec.Containers[0].Command) == 0 {
		return "", false
	}
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == pod.Spec.Containers[0].Name && s.State.Running != nil {
			return pod.Spec.Containers[0].Command[0], true
		}
	}
	return "", false
}
