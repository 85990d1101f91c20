package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/inspect"
)

// podNetworks maps the names of containers to network plugins.
var podNetworks = [...]struct{ container, plugin string }{
	{"cilium-agent", "Cilium"}, {"calico-node", "Calico"}, {"kube-flannel", "Flannel"}, {"kindnet-cni", "kindnet"}, {"weave", "Weave Net"},
	{"antrea-agent", "Antrea"}, {"kube-router", "kube-router"}, {"ovnkube-node", "OVN-Kubernetes"}, {"ovnkube-controller", "OVN-Kubernetes"},
	{"aws-node", "Amazon VPC CNI"},
}

// neededRights are rights of the installation, one of each kind of object.
var neededRights = [...]struct {
	group, resource string
	namespaced      bool
}{
	{"", "namespaces", false},
	{"rbac.authorization.k8s.io", "clusterroles", false},
	{"rbac.authorization.k8s.io", "clusterrolebindings", false},
	{"rbac.authorization.k8s.io", "roles", true},
	{"rbac.authorization.k8s.io", "rolebindings", true},
	{"", "serviceaccounts", true},
	{"", "services", true},
	{"", "configmaps", true},
	{"apps", "deployments", true},
	{"apps", "daemonsets", true},
}

// prepare looks at a cluster before the installation of Lanlord.
func (p *plugin) prepare(ctx context.Context) (inspect.Diagnosis, error) {
	a, err := p.connect(p.config())
	if err != nil {
		return inspect.Diagnosis{}, err
	}
	told := newProgress(p.terminal)
	defer told.done()
	told.say("looking at the cluster")
	fallback, _, err := p.config().Namespace()
	if err != nil {
		return inspect.Diagnosis{}, describe(err)
	}
	namespace := cmp.Or(p.namespace, usual[0])
	g := &gatherer{access: a, namespace: namespace, fallback: fallback, progress: told}
	g.cluster = inspect.Cluster{At: p.now(), Namespace: namespace, GossipKeys: -1}
	s := &survey{gatherer: g, ground: inspect.Ground{Minor: -1}}
	group, ctx := errgroup.WithContext(ctx)
	for _, step := range []func(context.Context) error{
		g.gatherServices, g.gatherNodes, g.gatherKubeProxy, g.gatherMetalLB, g.gatherRivals, s.version, s.pods, s.namespaceLabels, s.rights,
	} {
		group.Go(func() error { return step(ctx) })
	}
	if err := group.Wait(); err != nil {
		return inspect.Diagnosis{}, describe(err)
	}
	s.ground.Cluster = g.cluster
	slices.SortFunc(s.ground.Gaps, func(x, y inspect.Gap) int { return cmp.Compare(x.What, y.What) })
	s.ground.Others, s.ground.PortUsers = s.others, s.users
	return inspect.Prepare(&s.ground), nil
}

// survey reads what only prepare needs. Each method writes fields of its own.
type survey struct {
	*gatherer
	ground inspect.Ground
	// others are the namespaces in which a Lanlord is.
	others []string
	// users are the speakers of all installations.
	users []inspect.PortUser
}

func (s *survey) version(context.Context) error {
	info, err := s.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	s.ground.Version = info.GitVersion
	if minor, err := strconv.Atoi(strings.TrimRight(info.Minor, "+")); err == nil && info.Major == "1" {
		s.ground.Minor = minor
	}
	return nil
}

// pods looks for network plugins, for Pods that use ports of nodes, and for a Lanlord.
func (s *survey) pods(ctx context.Context) error {
	list, err := s.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return s.miss(inspect.OfPods, "list pods", err)
	}
	used := map[string]*inspect.UsedPort{}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if pod.Labels["app.kubernetes.io/name"] == "lanlord" {
			if !slices.Contains(s.others, pod.Namespace) {
				s.others = append(s.others, pod.Namespace)
			}
			s.users = append(s.users, portUsers(list.Items[i:i+1])...)
			continue
		}
		s.lookAt(pod, used)
	}
	slices.Sort(s.others)
	for _, u := range used {
		slices.Sort(u.Nodes)
		u.Nodes = slices.Compact(u.Nodes)
		s.ground.Ports = append(s.ground.Ports, *u)
	}
	slices.SortFunc(s.ground.Ports, func(x, y inspect.UsedPort) int {
		return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Protocol, y.Protocol), cmp.Compare(x.Pod, y.Pod))
	})
	slices.Sort(s.ground.PodNetworks)
	return nil
}

// lookAt looks at the containers of a Pod. Pods of one owner share an entry of used.
func (s *survey) lookAt(pod *corev1.Pod, used map[string]*inspect.UsedPort) {
	owner := pod.Name
	if len(pod.OwnerReferences) > 0 {
		owner = pod.OwnerReferences[0].Name
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		s.ground.ServiceProxy = s.ground.ServiceProxy || c.Name == "kube-proxy"
		for _, n := range podNetworks {
			if n.container == c.Name && !slices.Contains(s.ground.PodNetworks, n.plugin) {
				s.ground.PodNetworks = append(s.ground.PodNetworks, n.plugin)
			}
		}
		for _, port := range c.Ports {
			number := int(port.HostPort)
			if pod.Spec.HostNetwork {
				number = int(port.ContainerPort)
			}
			if !inspect.NeedsPort(number) || pod.Spec.NodeName == "" {
				continue
			}
			key := fmt.Sprintf("%s/%s %d %s", pod.Namespace, owner, number, port.Protocol)
			if used[key] == nil {
				used[key] = &inspect.UsedPort{Port: number, Protocol: string(port.Protocol), Pod: pod.Namespace + "/" + pod.Name}
			}
			used[key].Nodes = append(used[key].Nodes, pod.Spec.NodeName)
		}
	}
}

// namespaceLabels reads the Pod Security level of the namespace to install into.
func (s *survey) namespaceLabels(ctx context.Context) error {
	o, err := s.client.CoreV1().Namespaces().Get(ctx, s.namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil // the installation creates the namespace, with the labels
	case err != nil:
		return s.miss(inspect.OfNamespace, "get the namespace "+s.namespace, err)
	}
	s.ground.Enforced = o.Labels["pod-security.kubernetes.io/enforce"]
	return nil
}

// rights asks the API server what the user may create.
func (s *survey) rights(ctx context.Context) error {
	for _, r := range neededRights {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "create", Group: r.group, Resource: r.resource},
		}}
		in := ""
		if r.namespaced {
			review.Spec.ResourceAttributes.Namespace, in = s.namespace, " in "+s.namespace
		}
		answer, err := s.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return s.miss(inspect.OfRights, "create selfsubjectaccessreviews", err)
		}
		if !answer.Status.Allowed {
			s.ground.Refused = append(s.ground.Refused, "create "+r.resource+in)
		}
	}
	return nil
}
