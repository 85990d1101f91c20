package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanlord/lanlord/pkg/cluster"
	"github.com/lanlord/lanlord/pkg/config"
	"github.com/lanlord/lanlord/pkg/inspect"
)

const (
	// openELBAnnotation has the value openelb on a Service of OpenELB. openELBDefault has the value true on an Eip for
	// all Services.
	openELBAnnotation = "lb.kubesphere.io/v1alpha1"
	openELBDefault    = "eip.openelb.kubesphere.io/is-default-eip"
)

// block holds a range of addresses.
type block struct{ CIDR, Start, Stop string }

// custom holds the relevant fields of a custom resource of any rival.
type custom struct {
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Spec struct {
		// Cilium has Blocks. Versions before 1.15 have CIDRs.
		Blocks, CIDRs []block
		// Calico has these fields in IPPool, BGPConfiguration and KubeControllersConfiguration.
		CIDR                   string
		AllowedUses            []string
		ServiceLoadBalancerIPs []block
		Controllers            struct {
			LoadBalancer *struct{ AssignIPs string }
		}
		// OpenELB has Address.
		Address string
		// Disabled (in OpenELB: Disable) is true for a pool of Cilium, Calico or OpenELB that assigns nothing.
		Disabled, Disable bool
	}
}

// resourceRivals looks for the custom resources of rivals in the API groups of the API server.
func (g *gatherer) resourceRivals(ctx context.Context) ([]inspect.Rival, error) {
	groups, err := g.groups(ctx)
	if err != nil {
		return nil, g.miss(inspect.OfRivals, "get /apis", err)
	}
	var found []inspect.Rival
	for _, look := range []struct {
		group string
		find  func(ctx context.Context, version string) ([]inspect.Rival, error)
	}{
		{"cilium.io", g.cilium}, {"crd.projectcalico.org", g.calico}, {"network.kubesphere.io", g.openELB},
	} {
		for _, version := range groups[look.group] {
			some, err := look.find(ctx, version)
			if apierrors.IsNotFound(err) {
				continue // an older version may have the resource
			}
			if err != nil {
				return nil, err
			}
			found = append(found, some...)
			break
		}
	}
	return found, nil
}

// groups returns the versions of each API group, the preferred version first.
func (g *gatherer) groups(ctx context.Context) (map[string][]string, error) {
	text, err := g.raw(ctx, "/apis")
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list metav1.APIGroupList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	groups := map[string][]string{}
	for _, group := range list.Groups {
		for _, version := range group.Versions {
			groups[group.Name] = append(groups[group.Name], version.Version)
		}
	}
	return groups, nil
}

// customs lists resources. If the user may not list them, customs records a gap and returns no resources.
func (g *gatherer) customs(ctx context.Context, group, version, resource string) ([]custom, error) {
	text, err := g.raw(ctx, "/apis/"+group+"/"+version+"/"+resource)
	if apierrors.IsNotFound(err) {
		return nil, err
	}
	if err != nil {
		return nil, g.miss(inspect.OfRivals, "list "+resource+"."+group, err)
	}
	var list struct{ Items []custom }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, g.miss(inspect.OfRivals, "", fmt.Errorf("%s.%s: %w", resource, group, err))
	}
	return list.Items, nil
}

// cilium looks for the pools of Cilium LB-IPAM. LB-IPAM does nothing without a pool. Services may name a class of
// Cilium's announcers.
func (g *gatherer) cilium(ctx context.Context, version string) ([]inspect.Rival, error) {
	pools, err := g.customs(ctx, "cilium.io", version, "ciliumloadbalancerippools")
	if err != nil {
		return nil, err
	}
	r := inspect.Rival{Kind: inspect.CiliumIPAM, Classless: true, Class: "io.cilium/l2-announcer"}
	for _, p := range pools {
		if p.Spec.Disabled {
			continue
		}
		var texts []string
		for _, b := range append(p.Spec.Blocks, p.Spec.CIDRs...) {
			switch {
			case b.CIDR != "":
				texts = append(texts, b.CIDR)
			case b.Stop == "":
				texts = append(texts, b.Start)
			default:
				texts = append(texts, b.Start+"-"+b.Stop)
			}
		}
		addPool(&r, "CiliumLoadBalancerIPPool", p.Metadata.Name, texts)
	}
	return seen(r), nil
}

// calico looks for the pools of Calico's LoadBalancer IPAM, and for the ranges that Calico announces by BGP.
func (g *gatherer) calico(ctx context.Context, version string) ([]inspect.Rival, error) {
	const group = "crd.projectcalico.org"
	var lists [3][]custom
	for i, resource := range []string{"ippools", "bgpconfigurations", "kubecontrollersconfigurations"} {
		list, err := g.customs(ctx, group, version, resource)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		lists[i] = list
	}
	ipam := inspect.Rival{Kind: inspect.CalicoIPAM, Classless: true, Class: "calico"}
	for _, p := range lists[0] {
		if slices.Contains(p.Spec.AllowedUses, "LoadBalancer") && !p.Spec.Disabled {
			addPool(&ipam, "IPPool", p.Metadata.Name, []string{p.Spec.CIDR})
		}
	}
	for _, k := range lists[2] {
		if lb := k.Spec.Controllers.LoadBalancer; lb != nil && lb.AssignIPs == "RequestedServicesOnly" {
			ipam.Classless = false
		}
	}
	bgp := inspect.Rival{Kind: inspect.CalicoBGP}
	for _, b := range lists[1] {
		var texts []string
		for _, r := range b.Spec.ServiceLoadBalancerIPs {
			texts = append(texts, r.CIDR)
		}
		if len(texts) > 0 {
			addPool(&bgp, "BGPConfiguration", b.Metadata.Name, texts)
		}
	}
	return append(seen(ipam), seen(bgp)...), nil
}

// openELB looks for the Eips of OpenELB. Unless an Eip is for all Services, OpenELB serves the Services with OpenELB's
// annotation.
func (g *gatherer) openELB(ctx context.Context, version string) ([]inspect.Rival, error) {
	eips, err := g.customs(ctx, "network.kubesphere.io", version, "eips")
	if err != nil {
		return nil, err
	}
	r := inspect.Rival{Kind: inspect.OpenELB, Class: "lb.kubesphere.io/openelb"}
	for _, e := range eips {
		if e.Spec.Disable {
			continue
		}
		addPool(&r, "Eip", e.Metadata.Name, []string{e.Spec.Address})
		r.Classless = r.Classless || e.Metadata.Annotations[openELBDefault] == "true"
	}
	if len(r.Objects) == 0 || r.Classless {
		return seen(r), nil
	}
	services, err := g.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return seen(r), g.miss(inspect.OfRivals, "list services", err)
	}
	r.Services = []cluster.Key{}
	for i := range services.Items {
		if o := &services.Items[i]; o.Annotations[openELBAnnotation] == "openelb" {
			r.Services = append(r.Services, cluster.Key{Namespace: o.Namespace, Name: o.Name})
		}
	}
	slices.SortFunc(r.Services, cluster.Key.Compare)
	return seen(r), nil
}

// addPool adds an object and its addresses to a rival. The addresses have the same syntax as in the ConfigMap.
func addPool(r *inspect.Rival, kind, name string, addresses []string) {
	r.Objects = append(r.Objects, kind+" "+name)
	document, err := yaml.Marshal(map[string]any{"address-pools": []any{map[string]any{
		"name": name, "protocol": "layer2", "addresses": addresses,
	}}})
	if err == nil {
		var cfg *config.Config
		if cfg, err = config.Parse(document); err == nil {
			r.Ranges = append(r.Ranges, rangesOf(cfg)...)
			return
		}
	}
	r.Unread = fmt.Sprintf("%s %s: %v", kind, name, err)
}

// seen returns the rival, or nil if the rival has no objects.
func seen(r inspect.Rival) []inspect.Rival {
	if len(r.Objects) == 0 {
		return nil
	}
	slices.Sort(r.Objects)
	return []inspect.Rival{r}
}
