package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/inspect"
)

const (
	// serviceLBName and serviceLBNamespace are labels on a DaemonSet of k3s ServiceLB. The labels name the Service.
	serviceLBName      = "svccontroller.k3s.cattle.io/svcname"
	serviceLBNamespace = "svccontroller.k3s.cattle.io/svcnamespace"
	// kubeVIPClass is the default class of kube-vip. The setting lb_class_name replaces the default.
	kubeVIPClass = "kube-vip.io/kube-vip-class"
)

// gatherRivals looks for load balancers other than MetalLB.
func (g *gatherer) gatherRivals(ctx context.Context) error {
	var found []inspect.Rival
	for _, look := range []func(context.Context) ([]inspect.Rival, error){g.serviceLB, g.podRivals, g.resourceRivals} {
		some, err := look(ctx)
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(x, y inspect.Rival) int { return cmp.Compare(x.Kind, y.Kind) })
	g.result(func(c *inspect.Cluster) { c.Rivals = found })
	return nil
}

// serviceLB looks for the DaemonSets of k3s ServiceLB. Each Service has its own DaemonSet.
func (g *gatherer) serviceLB(ctx context.Context) ([]inspect.Rival, error) {
	list, err := g.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{LabelSelector: serviceLBName})
	if err != nil {
		return nil, g.miss(inspect.OfRivals, "list daemonsets", err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	r := inspect.Rival{Kind: inspect.ServiceLB, Services: []cluster.Key{}}
	for i := range list.Items {
		o := &list.Items[i]
		r.Objects = append(r.Objects, "DaemonSet "+o.Namespace+"/"+o.Name)
		r.Services = append(r.Services, cluster.Key{Namespace: o.Labels[serviceLBNamespace], Name: o.Labels[serviceLBName]})
	}
	slices.Sort(r.Objects)
	slices.SortFunc(r.Services, cluster.Key.Compare)
	return []inspect.Rival{r}, nil
}

// podRivals looks for the images of kube-vip and of PureLB's allocator. The static Pods of kube-vip have no labels.
func (g *gatherer) podRivals(ctx context.Context) ([]inspect.Rival, error) {
	list, err := g.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, g.miss(inspect.OfRivals, "list pods", err)
	}
	kubeVIP, pureLB := inspect.Rival{Kind: inspect.KubeVIP}, inspect.Rival{Kind: inspect.PureLB, Class: "purelb.io/purelb"}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for j := range pod.Spec.Containers {
			container, name := &pod.Spec.Containers[j], "Pod "+pod.Namespace+"/"+pod.Name
			switch image := imageName(container.Image); {
			case image == "kube-vip" && setting(container, "svc_enable", "services") == "true":
				kubeVIP.Objects = append(kubeVIP.Objects, name)
				kubeVIP.Class = cmp.Or(setting(container, "lb_class_name", "lbClassName"), kubeVIPClass)
				kubeVIP.Classless = setting(container, "lb_class_only", "lbClassOnly") != "true"
			case image == "allocator" && strings.Contains(container.Image, "purelb"):
				pureLB.Objects = append(pureLB.Objects, name)
				pureLB.Classless = setting(container, "DEFAULT_ANNOUNCER", "default-announcer") != ""
			}
		}
	}
	var found []inspect.Rival
	for _, r := range []inspect.Rival{kubeVIP, pureLB} {
		if len(r.Objects) > 0 {
			slices.Sort(r.Objects)
			found = append(found, r)
		}
	}
	return found, nil
}

// imageName returns the last part of an image's name, without tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image = image[strings.LastIndex(image, "/")+1:]
	image, _, _ = strings.Cut(image, ":")
	return image
}

// setting returns the value of a container's flag, else of its environment variable, else an empty string. A flag
// without a value counts as true.
func setting(c *corev1.Container, variable, flag string) string {
	if slices.Contains(c.Args, "--"+flag) {
		return "true"
	}
	if value := flagOf(c, flag, ""); value != "" {
		return value
	}
	for _, e := range c.Env {
		if e.Name == variable {
			return e.Value
		}
	}
	return ""
}
