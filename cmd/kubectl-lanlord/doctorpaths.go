package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/status"
)

const (
	// mostFailures and mostOwners limit the addresses that doctor probes: those whose last probe failed, and one address
	// for each of some nodes.
	mostFailures, mostOwners = 5, 5
	// doctorPaths is the time limit of these probes. A probe of a broken path takes 5 s, and a speaker makes one probe at
	// a time.
	doctorPaths = 15 * time.Second
)

// probeChosen lets speakers probe the paths to some addresses, and adds the results to the cluster. The addresses for
// which the time does not suffice are left out.
func (p *plugin) probeChosen(ctx context.Context, c *inspect.Cluster, a access) {
	choices := inspect.PathChoices(c, mostFailures, mostOwners)
	if len(choices) == 0 {
		return
	}
	told := newProgress(p.terminal)
	defer told.done()
	told.say("probing the paths to addresses")
	ctx, cancel := context.WithTimeout(ctx, doctorPaths)
	defer cancel()
	pods, err := listLanlord(ctx, a, c.Namespace)
	if err != nil {
		c.PathsGap = err.Error()
		return
	}
	byNode := map[string]*asked{}
	for i := range pods {
		if pod := &pods[i]; pod.Labels[componentLabel] == speakerComponent {
			if _, runs := running(pod); runs {
				byNode[pod.Spec.NodeName] = &asked{pod: pod, turn: make(chan struct{}, 1)}
			}
		}
	}
	var group errgroup.Group
	var mu sync.Mutex
	for _, choice := range choices {
		group.Go(func() error {
			found, err := askChosen(ctx, a, byNode, choice)
			path := inspect.Paths(c, choice.Address, found)
			if err == nil {
				explainSilence(ctx, a, c, &path)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case apierrors.IsForbidden(err):
				c.PathsGap = "the right to create pods/exec in " + c.Namespace + " is missing"
			case ctx.Err() == nil:
				c.Paths = append(c.Paths, path)
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	slices.SortFunc(c.Paths, func(x, y inspect.PathAddress) int { return cmp.Compare(x.Address.String(), y.Address.String()) })
}

// asked is the Pod of a speaker, which is asked for one path at a time: turn has room for one question.
type asked struct {
	pod  *corev1.Pod
	turn chan struct{}
}

// askChosen asks the speakers of the chosen nodes for the path to an address. The error is that of a user without the
// right to execute in the Pods.
func askChosen(ctx context.Context, a access, byNode map[string]*asked, choice inspect.PathChoice) ([]status.Path, error) {
	found := make([]status.Path, len(choice.From))
	var group errgroup.Group
	for i, node := range choice.From {
		found[i] = status.Path{Node: node, Address: choice.Address.String(), Problem: "its speaker does not run"}
		speaker := byNode[node]
		if speaker == nil {
			continue
		}
		group.Go(func() (err error) {
			select {
			case speaker.turn <- struct{}{}:
				defer func() { <-speaker.turn }()
			case <-ctx.Done():
				return nil
			}
			found[i], err = askPath(ctx, a, speaker.pod, choice.Address)
			return err
		})
	}
	return found, group.Wait()
}
