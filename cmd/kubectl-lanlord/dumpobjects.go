package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/pkg/cluster"
)

// ours are the prefixes of the annotations that a bundle contains. Other annotations may hold anything.
var ours = [...]string{"lanlord.io/", "metallb.io/", "metallb.universe.tf/", "deprecated.daemonset.template.generation", "deployment.kubernetes.io/revision"}

// objects adds the objects of the cluster that concern Lanlord.
func (d *dumper) objects(ctx context.Context) {
	core, namespace := d.access.client.CoreV1(), d.where.namespace
	lanlord := metav1.ListOptions{LabelSelector: lanlordLabel}
	d.list(ctx, "services", "list services", func(ctx context.Context) (runtime.Object, error) {
		list, err := core.Services(d.servicesIn).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		list.Items = slices.DeleteFunc(list.Items, func(s corev1.Service) bool { return !d.concerns(&s) })
		for i := range list.Items {
			d.involved[cluster.Key{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}] = true
		}
		return list, nil
	})
	d.list(ctx, "nodes", "list nodes", func(ctx context.Context) (runtime.Object, error) { return core.Nodes().List(ctx, metav1.ListOptions{}) })
	d.list(ctx, "endpointslices", "list endpointslices.discovery.k8s.io", func(ctx context.Context) (runtime.Object, error) {
		list, err := d.access.client.DiscoveryV1().EndpointSlices(d.servicesIn).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		kept := list.Items[:0]
		for _, slice := range list.Items {
			if d.involved[cluster.Key{Namespace: slice.Namespace, Name: slice.Labels["kubernetes.io/service-name"]}] {
				kept = append(kept, slice)
			}
		}
		list.Items = kept
		return list, nil
	})
	d.list(ctx, "events", "list events", func(ctx context.Context) (runtime.Object, error) {
		list, err := core.Events(d.servicesIn).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		list.Items = slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return !d.concernsEvent(&e) })
		slices.SortStableFunc(list.Items, func(x, y corev1.Event) int { return y.LastTimestamp.Compare(x.LastTimestamp.Time) })
		list.Items = list.Items[:min(len(list.Items), mostEvents)]
		return list, nil
	})
	in := " in " + namespace
	d.list(ctx, "pods", "list pods"+in, func(ctx context.Context) (runtime.Object, error) { return core.Pods(namespace).List(ctx, lanlord) })
	apps := d.access.client.AppsV1()
	d.list(ctx, "daemonsets", "list daemonsets"+in, func(ctx context.Context) (runtime.Object, error) {
		return apps.DaemonSets(namespace).List(ctx, lanlord)
	})
	d.list(ctx, "deployments", "list deployments"+in, func(ctx context.Context) (runtime.Object, error) {
		return apps.Deployments(namespace).List(ctx, lanlord)
	})
	d.list(ctx, "lease", "get the lease "+leaseName+in, func(ctx context.Context) (runtime.Object, error) {
		return d.access.client.CoordinationV1().Leases(namespace).Get(ctx, leaseName, metav1.GetOptions{})
	})
	name := d.cluster.Config.Name
	d.list(ctx, "configmap", "get the configmap "+name+in, func(ctx context.Context) (runtime.Object, error) {
		return core.ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	})
	d.list(ctx, "state", "get the configmap lanlord-state"+in, func(ctx context.Context) (runtime.Object, error) {
		return core.ConfigMaps(namespace).Get(ctx, "lanlord-state", metav1.GetOptions{})
	})
}

// mostEvents is the greatest number of Events in a bundle, the newest first.
const mostEvents = 5000

// concerns reports whether a Service is of type LoadBalancer, or has an address of a load balancer.
func (d *dumper) concerns(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer || len(s.Status.LoadBalancer.Ingress) > 0 || len(s.Spec.ExternalIPs) > 0
}

func (d *dumper) concernsEvent(e *corev1.Event) bool {
	about := e.InvolvedObject
	return e.Namespace == d.where.namespace || about.Kind == "Node" || strings.HasPrefix(e.ReportingController, "lanlord-") ||
		strings.HasPrefix(e.Source.Component, "lanlord-") ||
		about.Kind == "Service" && d.involved[cluster.Key{Namespace: about.Namespace, Name: about.Name}]
}

// list adds one file of objects. A missing right becomes a line of the summary.
func (d *dumper) list(ctx context.Context, name, right string, get func(context.Context) (runtime.Object, error)) {
	o, err := get(ctx)
	switch {
	case apierrors.IsForbidden(err):
		d.missing = append(d.missing, "objects/"+name+".yaml: the right to "+right+" is missing")
		return
	case err != nil:
		d.missing = append(d.missing, fmt.Sprintf("objects/%s.yaml: %v", name, err))
		return
	}
	text, err := d.objectText(o)
	if err != nil {
		d.missing = append(d.missing, fmt.Sprintf("objects/%s.yaml: %v", name, err))
		return
	}
	d.add("objects/"+name+".yaml", text)
}

// objectText returns an object or a list as YAML, without the parts that may hold secrets.
func (d *dumper) objectText(o runtime.Object) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	if items, is := tree["items"].([]any); is {
		for _, item := range items {
			d.tidyObject(item)
		}
	} else {
		d.tidyObject(tree)
	}
	return yaml.Marshal(tree)
}

// tidyObject removes the managed fields, the annotations of others, and the values of environment variables from an
// object, and the secrets from the documents of a ConfigMap.
func (d *dumper) tidyObject(o any) {
	object, is := o.(map[string]any)
	if !is {
		return
	}
	d.tidyMeta(object)
	if data, is := object["data"].(map[string]any); is {
		for key, value := range data {
			text, _ := value.(string)
			data[key] = d.redactor.document(text)
		}
	}
	delete(object, "binaryData")
	if spec, is := object["spec"].(map[string]any); is {
		d.tidyPod(spec)
		if template, is := spec["template"].(map[string]any); is {
			d.tidyMeta(template)
			if spec, is := template["spec"].(map[string]any); is {
				d.tidyPod(spec)
			}
		}
	}
}

func (d *dumper) tidyMeta(object map[string]any) {
	meta, is := object["metadata"].(map[string]any)
	if !is {
		return
	}
	delete(meta, "managedFields")
	annotations, is := meta["annotations"].(map[string]any)
	if !is {
		return
	}
	for key := range annotations {
		if !slices.ContainsFunc(ours[:], func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			annotations[key] = leftOut
		}
	}
}

// tidyPod removes the values of environment variables from the specification of a Pod.
func (d *dumper) tidyPod(spec map[string]any) {
	for _, kind := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[kind].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			env, _ := container["env"].([]any)
			for _, e := range env {
				if variable, is := e.(map[string]any); is && variable["value"] != nil {
					if name, _ := variable["name"].(string); secretNames.MatchString(name) {
						d.redactor.keep(fmt.Sprint(variable["value"]))
					}
					variable["value"] = leftOut
				}
			}
		}
	}
}
