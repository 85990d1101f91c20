package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/inspect"
	"github.com/lanlord/lanlord/pkg/metallb"
)

// configNamespace returns the namespace of MetalLB's resources if a controller reads its configuration from them.
func configNamespace(c *corev1.Container) string {
	if flagOf(c, "config-source", daemon.SourceConfigMap) != daemon.SourceMetalLB {
		return ""
	}
	return flagOf(c, "config-namespace", "metallb-system")
}

// gatherResources reads MetalLB's resources in the same way as the controller and the speakers.
func (g *gatherer) gatherResources(ctx context.Context) error {
	found := inspect.Config{Name: g.cluster.Config.Name, MetalLB: g.cluster.Config.MetalLB, Known: true, Found: true}
	var texts [][]byte
	var version uint64
	var missing []error
	for _, k := range metallb.Kinds() {
		list, err := g.listResources(ctx, k, found.MetalLB)
		switch {
		case apierrors.IsNotFound(err) && k.Optional:
		case apierrors.IsNotFound(err):
			missing = append(missing, fmt.Errorf("the API server has no CustomResourceDefinition %s", k.Definition()))
		case err != nil:
			return g.miss(inspect.OfConfig, fmt.Sprintf("list %s in %s", k.Definition(), found.MetalLB), err)
		}
		for _, item := range list {
			texts = append(texts, item.text)
			version = max(version, item.version)
		}
	}
	found.Version = strconv.FormatUint(version, 10)
	found.Problem = errors.Join(missing...)
	if found.Problem == nil {
		conversion, err := metallb.ConvertObjects(found.MetalLB, texts)
		if found.Problem = err; err == nil {
			found.Config = conversion.Config
		}
	}
	g.result(func(c *inspect.Cluster) { c.Config = found })
	return nil
}

// resource holds one of MetalLB's resources.
type resource struct {
	text    []byte
	version uint64
}

// listResources returns the resources of a kind.
func (g *gatherer) listResources(ctx context.Context, k metallb.Kind, namespace string) ([]resource, error) {
	answer, err := g.raw(ctx, fmt.Sprintf("/apis/metallb.io/%s/namespaces/%s/%s", k.Version, namespace, k.Plural))
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Spec     json.RawMessage   `json:"spec,omitempty"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the list of %s: %w", k.Definition(), err)
	}
	all := make([]resource, len(list.Items))
	for i, item := range list.Items {
		version, err := strconv.ParseUint(item.Metadata.ResourceVersion, 10, 64)
		if err != nil {
			version = 0 // a change of the text still shows a change of the configuration
		}
		text, err := k.Object(item.Metadata.Name, item.Metadata.Namespace, item.Metadata.Labels, item.Spec)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", k.Name, item.Metadata.Name, err)
		}
		all[i] = resource{text, version}
	}
	return all, nil
}
