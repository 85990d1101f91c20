package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// The times of a Publisher.
const (
	// publishPause is the least time from one write to the next, so that a link that comes and goes costs little.
	publishPause = 10 * time.Second
	// publishLimit is how long one write may take.
	publishLimit = 10 * time.Second
	// The pause after a write that failed grows from the first to the second.
	firstPublishRetry = time.Second
	lastPublishRetry  = time.Minute
)

// PublisherOptions are what a Publisher needs.
type PublisherOptions struct {
	// Client is what [Connect] returns.
	Client kubernetes.Interface
	// Namespace and Pod name the Pod of this process. Without a Pod nothing is written.
	Namespace, Pod string
	// Component is the field manager of writes, like "lanlord-speaker".
	Component string
	// Networks returns what is known now.
	Networks func() cluster.Networks
	// Log is where state transitions go.
	Log *slog.Logger
}

// Publisher writes what this node knows of its networks on the speaker's own Pod, where the controller reads it.
type Publisher struct {
	opt  PublisherOptions
	bell bell
}

// NewPublisher returns a Publisher that writes nothing until Run.
func NewPublisher(o PublisherOptions) *Publisher {
	return &Publisher{opt: o, bell: newBell()}
}

// bell wakes one goroutine. Rings that it has not yet heard count as one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Wake tells that Networks may return something else by now. It never blocks.
func (p *Publisher) Wake() { p.bell.ring() }

// Run writes what is new until ctx ends and then returns nil. While the API server cannot be reached it tries again.
func (p *Publisher) Run(ctx context.Context) error {
	if p.opt.Pod == "" {
		p.opt.Log.Warn("the name of this Pod is not given: the controller will not know the gateways and subnets of this node")
		<-ctx.Done()
		return nil
	}
	nothing, _ := formatNetworks(cluster.Networks{})
	said, retry, failing := nothing, newPublishRetry(), false
	for {
		text, left := formatNetworks(p.opt.Networks())
		if text == said {
			select {
			case <-ctx.Done():
				return nil
			case <-p.bell:
			}
			continue
		}
		pause := publishPause
		err := p.write(ctx, text)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !failing {
				p.opt.Log.Warn("the controller does not learn of this node's networks; trying again", "err", err)
			}
			failing, pause = true, retry.Step()
		default:
			p.opt.Log.Info("told the controller of this node's networks", "networks", text, "left out", left)
			said, retry, failing = text, newPublishRetry(), false
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func newPublishRetry() wait.Backoff {
	return wait.Backoff{Duration: firstPublishRetry, Cap: lastPublishRetry, Steps: 8, Factor: 2, Jitter: 0.5}
}

// write patches the Pod's status, where an annotation may be written too: the right to patch Pods themselves would be one to
// exchange their images.
func (p *Publisher) write(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	var patch struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	patch.Metadata.Annotations = map[string]string{NetworksAnnotation: text}
	b, err := json.Marshal(patch)
	if err == nil {
		_, err = p.opt.Client.CoreV1().Pods(p.opt.Namespace).Patch(ctx, p.opt.Pod, types.MergePatchType, b,
			metav1.PatchOptions{FieldManager: p.opt.Component}, "status")
	}
	if err != nil {
		return fmt.Errorf("annotate Pod %s/%s: %w", p.opt.Namespace, p.opt.Pod, err)
	}
	return nil
}
