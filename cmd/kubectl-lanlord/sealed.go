package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
)

const (
	// statusService is the name of the controller's Service and the name of the port, in the form that a Role uses.
	statusService = "lanlord-status:status"
	// viewerKey is the entry of the Secret lanlord-viewer.
	viewerKey = "key-1"
)

// statuses maps the Pods of Lanlord to their statuses. For a Pod without a status, statuses holds the reason.
type statuses struct {
	texts    map[string][]byte
	problems map[string]string
	// problem is the reason why no Pod has a status.
	problem string
}

// of returns the status of the process of a Pod, or the reason why the status is missing.
func (s statuses) of(pod string) (text []byte, silence string) {
	switch text, has := s.texts[pod]; {
	case has:
		return text, ""
	case s.problem != "":
		return nil, s.problem
	case s.problems[pod] != "":
		return nil, s.problems[pod]
	}
	return nil, "the controller did not ask it"
}

// gatherSealed gets the statuses that the controller passes on, and decrypts them.
func (g *gatherer) gatherSealed(ctx context.Context) statuses {
	none := func(right string, err error) statuses {
		g.result(func(c *inspect.Cluster) {
			c.Gaps = append(c.Gaps, inspect.Gap{What: inspect.OfProcesses, Right: right, Reason: err.Error()})
		})
		if right == "" {
			return statuses{problem: err.Error()}
		}
		return statuses{problem: "no right to ask for its status"}
	}
	secret, err := g.client.CoreV1().Secrets(g.namespace).Get(ctx, kube.ViewerSecret, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return none(fmt.Sprintf("get the secret %s (or to create pods/exec) in %s", kube.ViewerSecret, g.namespace), err)
	case apierrors.IsNotFound(err):
		// Without the Secret, Lanlord is of a version that does not encrypt its status. Only pods/exec gives that
		// status.
		return none("create (and get) pods/exec in "+g.namespace, err)
	case err != nil:
		return none("", err)
	}
	text, err := g.raw(ctx, "/api/v1/namespaces/"+g.namespace+"/services/"+statusService+"/proxy"+daemon.StatusesPath)
	switch {
	case apierrors.IsForbidden(err):
		return none(fmt.Sprintf("get services/proxy %s (or to create pods/exec) in %s", statusService, g.namespace), err)
	case err != nil:
		return none("", fmt.Errorf("the controller passes on no status: %w", err))
	}
	var all daemon.Statuses
	if err := json.Unmarshal(text, &all); err != nil {
		return none("", fmt.Errorf("the answer of the controller could not be read: %w", err))
	}
	return openAll(all, secret.Data[viewerKey], g.cluster.At)
}

// openAll decrypts statuses.
func openAll(all daemon.Statuses, key []byte, now time.Time) statuses {
	s := statuses{texts: map[string][]byte{}, problems: map[string]string{}}
	for pod, problem := range all.Problems {
		s.problems[pod] = problem
	}
	for _, sealed := range all.Sealed {
		text, err := sealed.Open(key)
		if err != nil {
			s.problems[sealed.Pod] = fmt.Sprintf("%v; the process may have another key than the Secret %s has now", err,
				kube.ViewerSecret)
			continue
		}
		if err := daemon.CheckAge(text, now); err != nil {
			s.problems[sealed.Pod] = err.Error()
			continue
		}
		s.texts[sealed.Pod] = text
	}
	return s
}
