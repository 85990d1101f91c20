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

// The times of a Publisher.
const (
	// publishPause is the least time from one write to the next, so that a link that comes and goes costs little. Strangers
	// are told of at once, whatever was written before, strangersAtOnce times; then they too have to wait. A Service that
	// waits for an address that nobody else has can thus be given several within a second or two, but a router that answers
	// for all of them does not empty the pool.
	publishPause    = 10 * time.Second
	strangersAtOnce = 6
	// routesPoll is the time from one look at the routes to the next. The first two changes are written at once.
	routesPoll   = 5 * time.Second
	routesAtOnce = 2
	// publishLimit is how long one write may take.
	publishLimit = 10 * time.Second
	// The pause after a write that failed grows from the first to the second.
	firstPublishRetry = time.Second
	lastPublishRetry  = time.Minute
)

// PublisherOptions are what a Publisher needs.
type PublisherOptions struct {
	// Client is what [Connect] returns.
	Client Client
	// Namespace and Pod name the Pod of this process. Without a Pod nothing is written.
	Namespace, Pod string
	// Component is the field manager of writes, like "lanlord-speaker".
	Component string
	// Networks returns what is known now.
	Networks func() cluster.Networks
	// Routed returns what this node announces to routers now; says is false without BGP. Nil is for never.
	Routed func() (sets []cluster.RoutedSet, says bool)
	// Log is where state transitions go.
	Log *slog.Logger
}

// Publisher writes what this node knows of its networks, and what the node announces to routers, on the speaker's own Pod, where the controller reads it.
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

// wait waits for a ring, for d, or until ctx ends.
func (b bell) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b:
	case <-timer.C:
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

// news is what is written: the networks, whole and in the two parts that have a pace each, and the routes.
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

// pace allows burst writes at once, and one every publishPause in the long run.
type pace struct {
	burst int
	// full is when burst writes at once are possible again.
	full time.Time
}

// forever is longer than anybody waits.
const forever = time.Duration(math.MaxInt64)

// wait returns how long a change has to wait at now; forever if there is none.
func (p *pace) wait(now time.Time, changed bool) time.Duration {
	if !changed {
		return forever
	}
	return max(0, p.full.Add(-time.Duration(p.burst-1)*publishPause).Sub(now))
}

// spend notes that a change was written at now, unless it only went with another one and had to wait for itself.
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

// write patches the Pod's status, where an annotation may be written too: the right to patch Pods themselves would be one to
// exchange their images.
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
