package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/kube"
)

const (
	// leaseName is the name of the controller's Lease.
	leaseName = "lanlord-controller"
	// shortestKey is the least length of a gossip key in bytes.
	shortestKey = 16
)

// gatherer fills an inspect.Cluster. Many goroutines may call its methods.
type gatherer struct {
	access
	namespace string
	// fallback is the namespace to list Services in, if the user may not list Services in all namespaces.
	fallback string
	progress *progress
	// sealed returns the statuses that the controller passes on. noExec is true after the API server has refused
	// pods/exec.
	sealed func() statuses
	noExec atomic.Bool

	mu      sync.Mutex
	cluster inspect.Cluster
}

// result calls note to store something in the cluster.
func (g *gatherer) result(note func(*inspect.Cluster)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	note(&g.cluster)
}

// miss records a gap: some part of the cluster could not be read. miss returns nil after recording the gap, and returns
// err without a gap if the API server cannot be reached.
func (g *gatherer) miss(what inspect.Subject, right string, err error) error {
	if apierrors.IsForbidden(err) {
		g.result(func(c *inspect.Cluster) {
			c.Gaps = append(c.Gaps, inspect.Gap{What: what, Right: right, Reason: err.Error()})
		})
		return nil
	}
	if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && right != "" {
		return err // the API server cannot be reached
	}
	g.result(func(c *inspect.Cluster) { c.Gaps = append(c.Gaps, inspect.Gap{What: what, Reason: err.Error()}) })
	return nil
}

// scope selects how much gather reads.
type scope uint8

const (
	// ordinary reads the objects and statuses for every report.
	ordinary scope = iota
	// thorough also reads the objects that only doctor needs.
	thorough
)

// gather reads the cluster once.
func (p *plugin) gather(ctx context.Context, a access, where installation, s scope, told *progress) (*inspect.Cluster, error) {
	fallback, _, err := p.config().Namespace()
	if err != nil {
		return nil, describe(err)
	}
	g := &gatherer{access: a, namespace: where.namespace, fallback: fallback, progress: told}
	g.cluster = inspect.Cluster{
		At: p.now(), Namespace: where.namespace, Others: where.others, Everywhere: where.everywhere, GossipKeys: -1,
		PortUsers: where.portUsers,
	}
	if where.forbidden != nil {
		g.cluster.Hidden, g.cluster.ClassUnknown = true, true
		g.cluster.Gaps = append(g.cluster.Gaps, inspect.Gap{
			What: inspect.OfProcesses, Right: "list pods and create pods/exec in " + where.namespace, Reason: where.forbidden.Error(),
		})
	}
	g.configuredBy(where.pods)
	steps := []func(context.Context) error{
		g.gatherServices, g.gatherNodes, g.gatherConfig, g.gatherLease, g.gatherDaemonSet,
		func(ctx context.Context) error {
			// A process that does not answer leaves time for the rest of the command.
			ctx, cancel := context.WithTimeout(ctx, p.timeout*3/4)
			defer cancel()
			return g.askAll(ctx, where.pods)
		},
	}
	if s == thorough {
		steps = append(steps, g.gatherKubeProxy, g.gatherMetalLB, g.gatherRivals, g.gatherKeys)
	}
	told.say("looking at the cluster")
	group, ctx := errgroup.WithContext(ctx)
	for _, step := range steps {
		group.Go(func() error { return step(ctx) })
	}
	if err := group.Wait(); err != nil {
		return nil, describe(err)
	}
	slices.SortFunc(g.cluster.Gaps, func(x, y inspect.Gap) int { return cmp.Compare(x.What, y.What) })
	return &g.cluster, nil
}

// configuredBy reads the class and the source of the configuration from the flags of the controller.
func (g *gatherer) configuredBy(pods []corev1.Pod) {
	g.cluster.Config.Name = "config"
	if c := controllerContainer(pods); c != nil {
		g.cluster.Class = flagOf(c, "load-balancer-class", "")
		g.cluster.Config.Name = flagOf(c, "config-map", "config")
		g.cluster.Config.MetalLB = configNamespace(c)
	}
}

// controllerContainer returns the container of the last of the controller's Pods, nil for none.
func controllerContainer(pods []corev1.Pod) *corev1.Container {
	for i := range slices.Backward(pods) {
		if pod := &pods[i]; pod.Labels[componentLabel] == controllerComponent && len(pod.Spec.Containers) > 0 {
			return &pod.Spec.Containers[0]
		}
	}
	return nil
}

func (g *gatherer) gatherServices(ctx context.Context) error {
	list, err := g.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		if miss := g.miss(inspect.OfOthers, "list services", err); miss != nil {
			return miss
		}
		list, err = g.client.CoreV1().Services(g.fallback).List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return g.miss(inspect.OfServices, "list services in "+g.fallback, err)
	}
	if g.cluster.ClassUnknown {
		g.cluster.Class = classOfMarks(list.Items)
	}
	var ours []cluster.Service
	var foreign []inspect.ForeignService
	var claims []cluster.Claim
	for i := range list.Items {
		o := &list.Items[i]
		s, is := kube.ServiceOf(o, g.cluster.Class)
		claims = append(claims, kube.ClaimsOf(o, g.cluster.Class)...)
		switch {
		case is && s.Managed:
			ours = append(ours, s)
		case o.Spec.Type == corev1.ServiceTypeLoadBalancer:
			f := inspect.ForeignService{Key: cluster.Key{Namespace: o.Namespace, Name: o.Name}}
			if o.Spec.LoadBalancerClass != nil {
				f.Class = *o.Spec.LoadBalancerClass
			}
			f.Service, _ = kube.OtherOf(o, g.cluster.Class)
			foreign = append(foreign, f)
		}
	}
	slices.SortFunc(ours, func(x, y cluster.Service) int { return x.Key.Compare(y.Key) })
	slices.SortFunc(foreign, func(x, y inspect.ForeignService) int { return x.Key.Compare(y.Key) })
	slices.SortFunc(claims, cluster.Claim.Compare)
	g.result(func(c *inspect.Cluster) { c.Services, c.Foreign, c.Claims = ours, foreign, claims })
	return nil
}

// classOfMarks returns the load-balancer class of the Services that Lanlord has marked, for a user who may not see the
// flags of the controller. Without such a Service, the class is empty, as by default.
func classOfMarks(list []corev1.Service) string {
	for i := range list {
		for _, condition := range list[i].Status.Conditions {
			if condition.Type == kube.ConditionType && list[i].Spec.LoadBalancerClass != nil {
				return *list[i].Spec.LoadBalancerClass
			}
		}
	}
	return ""
}

func (g *gatherer) gatherNodes(ctx context.Context) error {
	list, err := g.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return g.miss(inspect.OfNodes, "list nodes", err)
	}
	nodes := make([]inspect.Node, len(list.Items))
	for i := range list.Items {
		nodes[i] = convertNode(&list.Items[i])
	}
	slices.SortFunc(nodes, func(x, y inspect.Node) int { return strings.Compare(x.Name, y.Name) })
	g.result(func(c *inspect.Cluster) { c.Nodes = nodes })
	return nil
}

func (g *gatherer) gatherConfig(ctx context.Context) error {
	name := g.cluster.Config.Name
	if g.cluster.Config.MetalLB != "" {
		return g.gatherResources(ctx)
	}
	found := inspect.Config{Name: name, Known: true}
	o, err := g.client.CoreV1().ConfigMaps(g.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return g.miss(inspect.OfConfig, fmt.Sprintf("get the configmap %s in %s", name, g.namespace), err)
	default:
		found.Found, found.Version = true, o.ResourceVersion
		found.Config, found.Problem = kube.ConfigOf(o)
	}
	g.result(func(c *inspect.Cluster) { c.Config = found })
	return nil
}

func (g *gatherer) gatherLease(ctx context.Context) error {
	o, err := g.client.CoordinationV1().Leases(g.namespace).Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		g.result(func(c *inspect.Cluster) { c.Lease = &inspect.Lease{} })
		return nil
	case err != nil:
		return g.miss(inspect.OfLease, fmt.Sprintf("get the lease %s in %s", leaseName, g.namespace), err)
	}
	g.result(func(c *inspect.Cluster) { c.Lease = convertLease(o) })
	return nil
}

func (g *gatherer) gatherDaemonSet(ctx context.Context) error {
	list, err := g.client.AppsV1().DaemonSets(g.namespace).List(ctx, metav1.ListOptions{LabelSelector: lanlordLabel})
	if err != nil {
		return g.miss(inspect.OfDaemonSet, "list daemonsets in "+g.namespace, err)
	}
	for i := range list.Items {
		if o := &list.Items[i]; o.Labels[componentLabel] == speakerComponent {
			g.result(func(c *inspect.Cluster) { c.DaemonSet = convertDaemonSet(o) })
		}
	}
	return nil
}

// gatherKeys counts the gossip keys. Most users may not read Secrets; gatherKeys records no gap for them, because a
// speaker without keys reports the missing keys in its status.
func (g *gatherer) gatherKeys(ctx context.Context) error {
	o, err := g.client.CoreV1().Secrets(g.namespace).Get(ctx, kube.GossipSecret, metav1.GetOptions{})
	keys := 0
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case apierrors.IsNotFound(err):
	case err != nil:
		return g.miss(inspect.OfKeys, "get secrets in "+g.namespace, err)
	default:
		for _, key := range o.Data {
			if len(key) >= shortestKey {
				keys++
			}
		}
	}
	g.result(func(c *inspect.Cluster) { c.GossipKeys = keys })
	return nil
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
