package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/daemon"
	"github.com/lanlord/lanlord/pkg/kube"
)

// wanted holds the user's choice of an installation. A field is empty if the user did not choose.
type wanted struct {
	// namespace, configMap and class come from flags.
	namespace, configMap, class string
	// fileNamespace and fileName name the ConfigMap in the file.
	fileNamespace, fileName string
}

// wantedBy returns the choice in the flags that the user set, and in the file.
func wantedBy(set *flag.FlagSet, flags daemon.Flags, data []byte) (w wanted) {
	w.fileNamespace, w.fileName = config.Object(data)
	set.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "namespace":
			w.namespace = flags.Namespace
		case "config-map":
			w.configMap = flags.ConfigMap
		case "load-balancer-class":
			w.class = flags.LoadBalancerClass
		}
	})
	return w
}

// locate finds the installation for the configuration, and sets the namespace, the ConfigMap and the class in flags.
// With --namespace, locate looks in that namespace only. Otherwise locate looks in the namespace of the file, then
// everywhere. The notes name missing objects. The error tells the user to name the namespace.
func locate(ctx context.Context, client kube.Client, w wanted, flags *daemon.Flags) (notes []string, err error) {
	found, notes, err := search(ctx, client, w, flags.Namespace)
	if err != nil {
		return nil, err
	}
	flags.Namespace = found.Namespace
	name := found.ConfigMap
	if name == "" {
		name = flags.ConfigMap
		if w.fileName != "" {
			name = w.fileName
		}
	}
	if w.configMap == "" {
		flags.ConfigMap = name
	}
	if w.class == "" && found.ConfigMap != "" {
		flags.LoadBalancerClass = found.LoadBalancerClass
	}
	if w.fileName != "" && w.fileName != flags.ConfigMap {
		notes = append(notes, fmt.Sprintf("the file has the ConfigMap %s, and the controller in %s reads the ConfigMap %s: rename the one in the file",
			w.fileName, flags.Namespace, flags.ConfigMap))
	}
	return notes, nil
}

// search returns the installation. If there is no controller, the ConfigMap of the installation is empty, and the
// namespace is w.namespace, w.fileNamespace or fallback.
func search(ctx context.Context, client kube.Client, w wanted, fallback string) (kube.Installation, []string, error) {
	for _, namespace := range []string{w.namespace, w.fileNamespace} {
		if namespace == "" {
			continue
		}
		list, err := kube.Installations(ctx, client, namespace)
		switch {
		case err == nil && len(list) > 0:
			return list[0], nil, nil
		case err != nil && !apierrors.IsForbidden(err):
			return kube.Installation{}, nil, err
		case namespace == w.namespace:
			note := absent("in the namespace " + namespace)
			if err != nil {
				note = fmt.Sprintf("whether Lanlord runs in the namespace %s is not known: %v", namespace, err)
			}
			return kube.Installation{Namespace: namespace}, []string{note}, nil
		}
	}
	list, err := kube.Installations(ctx, client, "")
	switch {
	case apierrors.IsForbidden(err):
		return searchOwn(ctx, client, fallback, err)
	case err != nil:
		return kube.Installation{}, nil, err
	case len(list) == 0:
		if w.fileNamespace != "" {
			fallback = w.fileNamespace
		}
		return kube.Installation{Namespace: fallback}, []string{absent("anywhere in the cluster")}, nil
	case len(list) > 1:
		names := make([]string, len(list))
		for i, l := range list {
			names[i] = l.Namespace
		}
		return kube.Installation{}, nil, fmt.Errorf("several namespaces have a Lanlord: %s; choose one with --namespace", strings.Join(names, ", "))
	}
	var notes []string
	if w.fileNamespace != "" && w.fileNamespace != list[0].Namespace {
		notes = append(notes, fmt.Sprintf("the file has a ConfigMap of the namespace %s, and Lanlord is in the namespace %s", w.fileNamespace, list[0].Namespace))
	}
	return list[0], notes, nil
}

// searchOwn looks in the namespace of this Pod, for a user who may not look everywhere.
func searchOwn(ctx context.Context, client kube.Client, namespace string, forbidden error) (kube.Installation, []string, error) {
	list, err := kube.Installations(ctx, client, namespace)
	if err == nil && len(list) > 0 {
		return list[0], nil, nil
	}
	return kube.Installation{}, nil, fmt.Errorf("the namespace of Lanlord was not found; name the namespace with --namespace: %w",
		errors.Join(forbidden, err))
}

// absent returns the note that no controller runs at a place.
func absent(where string) string {
	return "no controller of Lanlord was found " + where + ", so the gateways and the network addresses of the nodes are not known, and a " +
		"Service may get another address than the plan says; name the namespace of Lanlord with --namespace"
}
