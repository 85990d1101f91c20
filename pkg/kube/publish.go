package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// These constants are the times of a Publisher.
const (
	// In the long run, the Publisher writes one change of each kind (links, foreign hosts, routes) every publishPause,
	// so that a flapping link costs little. The first strangersAtOnce changes of foreign hosts are written at once,
	// whatever was written before, and later changes wait. Thus a Service whose addresses are in use elsewhere can get
	// several new addresses within a second or two, but a router that answers for all addresses does not empty the
	// pool.
	publishPause    = 10 * time.Second
	strangersAtOnce = 6
	// routesPoll is the interval between two reads of the routes. The first routesAtOnce changes are written at once.
	routesPoll   = 5 * time.Second
	routesAtOnce = 2
	// publishLimit is the time limit of one write.
	publishLimit = 10 * time.Second
	// The pause after a failed write grows from firstPublishRetry to lastPublishRetry.
	firstPublishRetry = time.Second
	lastPublishRetry  = time.Minute
)

// PublisherOptions are the inputs of NewPublisher.
type PublisherOptions struct {
	// Client comes from [Connect].
	Client Client
	// Namespace and Pod name the Pod of this process. Without a Pod, the Publisher writes nothing.
	Namespace, Pod string
	// Component is the field manager of writes, like "lanlord-speaker".
	Component string
	// Networks returns the networks that this node knows now.
	Networks func() cluster.Networks
	// Routed returns the routes that this node announces to routers now; says is false without BGP. Routed may be nil.
	Routed func() (sets []cluster.RoutedSet, says bool)
	// Log receives the state transitions.
	Log *slog.Logger
}

// Publisher writes the networks of this node, and the routes that the node announces, into annotations of the speaker's
// own Pod. The controller reads the annotations.
type Publisher struct {
	opt  PublisherOptions
	bell bell
}

// NewPublisher returns a Publisher that writes nothing until Run.
func NewPublisher(o PublisherOptions) *Publisher {
	return &Publisher{opt: o, bell: newBell()}
}

// bell wakes one goroutine. Rings before the goroutine wakes count as one ring.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// wait waits for a ring, for the duration d, or until ctx ends.
func (b bell) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b:
	case <-timer.C:
	}
}

// Wake announces that Networks may return another result. Wake never blocks.
func (p *Publisher) Wake() { p.bell.ring() }

// Run writes each change until ctx ends and then returns nil. Run retries failed writes.
func (p *Publisher) Run(ctx context.Context) error {
	if p.opt.Pod == "" {
		p.opt.Log.Warn("the name of this Pod is not given: the controller will not know the gateways and subnets of this node")
		<-ctx.Done()
		return nil
	}
	said, retry, failing := newNews(cluster.Networks{}), newPublishRetry(), false
	links, strangers, routes := pace{burst: 1}, pace{burst: strangersAtOnce}, pace{burst: routesAtOnce}
	for ctx.Err() == nil {
		next, now := newNews(p.opt.Networks()), time.Now()
		wait := min(links.wait(now, next.links != said.links), strangers.wait(now, next.strangers != said.strangers))
		if p.opt.Routed != nil {
			if sets, says := p.opt.Routed(); says {
				next.routes = formatRouted(sets)
			}
			wait = min(wait, routes.wait(now, next.routes != said.routes), routesPoll)
		}
		if wait > 0 {
			p.bell.wait(ctx, wait)
			continue
		}
		err := p.write(ctx, next)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if !failing {
				p.opt.Log.Warn("the controller does not learn of this node's networks; trying again", "err", err)
			}
			failing = true
			sleep(ctx, retry.Step())
		default:
			if next.text != said.text {
				p.opt.Log.Info("told the controller of this node's networks", "networks", next.text, "left out", next.left)
			}
			if next.routes != said.routes {
				p.opt.Log.Debug("told the controller of this node's routes", "routes", next.routes)
			}
			links.spend(now, next.links != said.links)
			strangers.spend(now, next.strangers != said.strangers)
			routes.spend(now, next.routes != said.routes)
			said, retry, failing = next, newPublishRetry(), false
		}
	}
	return nil
}

// news is the content to write: the networks as a whole, the two parts of the networks that have a pace each, and the
// routes.
type news struct {
	text, links, strangers, routes string
	left                           int
}

func newNews(n cluster.Networks) news {
	var s news
	s.text, s.left = formatNetworks(n)
	s.links, _ = formatNetworks(cluster.Networks{Subnets: n.Subnets, Gateways: n.Gateways, Addresses: n.Addresses, MACs: n.MACs})
	s.strangers, _ = formatNetworks(cluster.Networks{Strangers: n.Strangers})
	return s
}

// pace allows burst writes at once, and one write every publishPause in the long run.
type pace struct {
	burst int
	// full is the time from which burst writes at once are possible again.
	full time.Time
}

// forever exceeds every real waiting time.
const forever = time.Duration(math.MaxInt64)

// wait returns the time that a change must wait at the time now, or forever if nothing has changed.
func (p *pace) wait(now time.Time, changed bool) time.Duration {
	if !changed {
		return forever
	}
	return max(0, p.full.Add(-time.Duration(p.burst-1)*publishPause).Sub(now))
}

// spend records a write of a change at the time now. A change that would have had to wait, and was written only
// together with another change, is not recorded.
func (p *pace) spend(now time.Time, changed bool) {
	if p.wait(now, changed) > 0 {
		return
	}
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(publishPause)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func newPublishRetry() wait.Backoff {
	return wait.Backoff{Duration: firstPublishRetry, Cap: lastPublishRetry, Steps: 8, Factor: 2, Jitter: 0.5}
}

// write patches the status subresource of the Pod, which accepts changes of annotations too. The right to patch Pods
// themselves would also allow an exchange of the images.
func (p *Publisher) write(ctx context.Context, n news) error {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	var patch struct {
		Metadata struct {
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
	}
	patch.Metadata.Annotations = map[string]*string{NetworksAnnotation: &n.text}
	if n.routes != "" {
		patch.Metadata.Annotations[RoutesAnnotation] = &n.routes
	} else if p.opt.Routed != nil {
		patch.Metadata.Annotations[RoutesAnnotation] = nil
	}
	b, err := json.Marshal(patch)
	if err == nil {
		_, err = p.opt.Client.Do(ctx, Request{
			Verb: VerbPatch, Resource: pods, Namespace: p.opt.Namespace, Name: p.opt.Pod, Subresource: "status",
			Patch: b, PatchType: types.MergePatchType, FieldManager: p.opt.Component,
		})
	}
	if err != nil {
		return fmt.Errorf("annotate Pod %s/%s: %w", p.opt.Namespace, p.opt.Pod, err)
	}
	return nil
}
