package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/inspect"
)

// metalLBLabels lists the labels of MetalLB's Pods: first the label of its manifests, then the label of its chart and
// operator.
var metalLBLabels = [...]string{"app=metallb", "app.kubernetes.io/name=metallb"}

// metalLBPools is the path of the pools of MetalLB v0.13 and later on the API server.
const metalLBPools = "/apis/metallb.io/v1beta1/ipaddresspools"

// gatherMetalLB looks for Pods of a MetalLB in the same cluster.
func (g *gatherer) gatherMetalLB(ctx context.Context) error {
	var m inspect.MetalLB
	var old *corev1.Pod // a controller of v0.12 or before reads a ConfigMap
	for _, label := range metalLBLabels {
		list, err := g.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: label})
		if err != nil {
			return g.miss(inspect.OfMetalLB, "list pods", err)
		}
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.Labels["app.kubernetes.io/name"] == "lanlord" || pod.Status.Phase != corev1.PodRunning || len(pod.Spec.Containers) == 0 {
				continue
			}
			name := pod.Namespace + "/" + pod.Name
			if slices.Contains(m.Pods, name) {
				continue
			}
			m.Pods = append(m.Pods, name)
			if class := flagOf(&pod.Spec.Containers[0], "lb-class", ""); class != "" {
				m.Class = class
			}
			if flagOf(&pod.Spec.Containers[0], "config", "") != "" {
				old = pod
			}
		}
	}
	if len(m.Pods) == 0 {
		return nil
	}
	slices.Sort(m.Pods)
	var err error
	if m.Ranges, err = g.metalLBRanges(ctx, old); err == nil {
		m.Known = true
	} else if miss := g.missPools(err); miss != nil {
		return miss
	}
	g.result(func(c *inspect.Cluster) { c.MetalLB = &m })
	return nil
}

// missPools records that MetalLB's pools could not be read, for any reason. Lanlord cannot fix MetalLB's pools.
func (g *gatherer) missPools(err error) error {
	right := ""
	if apierrors.IsForbidden(err) {
		right = "list ipaddresspools.metallb.io"
	}
	return g.miss(inspect.OfTheirs, right, err)
}

// metalLBRanges returns the addresses of MetalLB's pools.
func (g *gatherer) metalLBRanges(ctx context.Context, old *corev1.Pod) ([]inspect.PoolRange, error) {
	if old != nil {
		name := flagOf(&old.Spec.Containers[0], "config", "config")
		o, err := g.client.CoreV1().ConfigMaps(old.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse([]byte(o.Data["config"]))
		if err != nil {
			return nil, fmt.Errorf("the ConfigMap %s/%s: %w", old.Namespace, name, err)
		}
		return rangesOf(cfg), nil
	}
	text, err := g.raw(ctx, metalLBPools)
	if apierrors.IsNotFound(err) {
		return nil, errors.New("there are no IPAddressPools, and no ConfigMap is named in the Pods' arguments")
	}
	if err != nil {
		return nil, err
	}
	return parsePools(text)
}

// parsePools reads a list of IPAddressPools. An IPAddressPool has the same syntax for addresses as the ConfigMap.
func parsePools(text []byte) ([]inspect.PoolRange, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name, Namespace string }
			Spec     struct{ Addresses []string }
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	var ranges []inspect.PoolRange
	for _, item := range list.Items {
		document, err := yaml.Marshal(map[string]any{"address-pools": []any{map[string]any{
			"name": item.Metadata.Name, "protocol": "layer2", "addresses": item.Spec.Addresses,
		}}})
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse(document)
		if err != nil {
			return nil, fmt.Errorf("the IPAddressPool %s/%s: %w", item.Metadata.Namespace, item.Metadata.Name, err)
		}
		ranges = append(ranges, rangesOf(cfg)...)
	}
	return ranges, nil
}

func rangesOf(cfg *config.Config) (ranges []inspect.PoolRange) {
	for _, p := range cfg.Pools {
		for _, r := range p.Ranges {
			ranges = append(ranges, inspect.PoolRange{Pool: p.Name, Range: r})
		}
	}
	return ranges
}

// gatherKubeProxy reads the mode and strictARP of kube-proxy from the ConfigMap that kubeadm makes.
func (g *gatherer) gatherKubeProxy(ctx context.Context) error {
	o, err := g.client.CoreV1().ConfigMaps("kube-system").Get(ctx, "kube-proxy", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // this distribution starts kube-proxy in another way, or has no kube-proxy
	}
	if err != nil {
		return g.miss(inspect.OfKubeProxy, "get the configmap kube-proxy in kube-system", err)
	}
	var conf struct {
		Mode string `json:"mode"`
		IPVS struct {
			StrictARP bool `json:"strictARP"`
		} `json:"ipvs"`
	}
	if err := yaml.Unmarshal([]byte(o.Data["config.conf"]), &conf); err != nil {
		return g.miss(inspect.OfKubeProxy, "", fmt.Errorf("config.conf in the ConfigMap kube-system/kube-proxy: %w", err))
	}
	g.result(func(c *inspect.Cluster) {
		c.KubeProxy = &inspect.KubeProxy{Mode: strings.ToLower(conf.Mode), StrictARP: conf.IPVS.StrictARP}
	})
	return nil
}
